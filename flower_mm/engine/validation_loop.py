"""Validate the averaged (EMA) weights and the plain ones."""

import math
from collections.abc import Iterator

from mmengine.hooks import EMAHook
from mmengine.model import BaseAveragedModel, StochasticWeightAverage
from mmengine.runner import Runner, ValLoop

from flower_mm.engine.kept_predictions import KeepPredictions
from flower_mm.engine.metrics import best_criterion
from flower_mm.models.structure import unwrapped
from flower_mm.registry import LOOPS
from flower_mm.report.predictions import Predictions
from flower_mm.weights.best_checkpoint import TOP1

# Predictions that are kept, and their probabilities: some seconds to fit.
MOST_PHOTOS, MOST_SCORES = 20_000, 4_000_000


@LOOPS.register_module(name=['EMAValLoop', 'EitherWeightsValLoop'])
class EMAValLoop(ValLoop):
    """Validate with and without EMA, and report the better weights.

    The mean of the weights of all steps counts unless the plain weights are
    better by more than two standard errors: few photos cannot tell which ones
    are better, and this mean never falls far. Other averages may still be
    close to the initial weights; the better of the two counts.
    `accuracy/top1_ema` and `accuracy/top1_plain`, or those of the metric that
    chooses best.pth, are reported as well; `val_weights` in the message hub
    says which weights were better. Without an EMAHook, or before its first
    step, this is MMEngine's ValLoop. `predictions` are those that count.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        dataset = self.dataloader.dataset
        classes = dataset.metainfo.get('classes') or ()
        kept = min(MOST_PHOTOS, MOST_SCORES // max(1, len(classes)))
        every = max(1, math.ceil(len(dataset) / kept))
        self.kept = KeepPredictions(list(classes), every)
        self.evaluator.metrics.append(self.kept)

    def run(self) -> dict:
        self.margin = 0.0  # two scores that differ by less may be equal
        if not self._averages():
            self.runner.message_hub.update_info('val_weights', 'plain')
            return super().run()
        self.runner.call_hook('before_val')
        plain = self._measure()
        of_plain = self.kept.predictions
        self.runner.call_hook('before_val_epoch')  # EMAHook swaps
        ema = self._measure()
        criterion = best_criterion(self.runner.hooks, plain)
        best = ('ema', ema)
        self.margin = self._margin(criterion.metric, ema)
        # Otherwise the checkpoint hook raises an error with the names.
        if criterion.metric in plain:
            ahead = criterion.in_order(plain[criterion.metric])
            ahead -= criterion.in_order(ema[criterion.metric])
            if ahead > self.margin:
                best = ('plain', plain)
                self.kept.predictions = of_plain
        metrics = best[1] | {
            f'{name}_{weights}': values[name]
            for name in {TOP1, criterion.metric} & plain.keys()
            for weights, values in (('ema', ema), ('plain', plain))
        }
        self.runner.message_hub.update_info('val_weights', best[0])
        self.runner.call_hook('after_val_epoch', metrics=metrics)  # and back
        self.runner.call_hook('after_val')
        return metrics

    @property
    def predictions(self) -> Predictions | None:
        """Those of the last validation, of a part of very many photos."""
        return self.kept.predictions

    def _averages(self) -> bool:
        for average in averages(self.runner):
            if average.steps > 0:
                return True
            # EMAHook swaps this in: before the first step, the plain weights.
            weights = unwrapped(self.runner.model).state_dict()
            average.module.load_state_dict(weights)
        return False

    def _margin(self, metric: str, measured: dict) -> float:
        """Two standard errors of an accuracy in percent, for the mean of all.

        0 for other metrics and averages.
        """
        if metric != TOP1 or not all(
            isinstance(average, StochasticWeightAverage)
            for average in averages(self.runner)
        ):
            return 0.0
        photos = len(self.dataloader.dataset)
        # As if there were two more, one of them right: 25 of 25 is no proof.
        share = (measured[TOP1] / 100 * photos + 1) / (photos + 2)
        return 200 * math.sqrt(share * (1 - share) / (photos + 2))

    def _measure(self) -> dict:
        self.runner.model.eval()
        self.val_loss.clear()
        for idx, batch in enumerate(self.dataloader):
            self.run_iter(idx, batch)
        return self.evaluator.evaluate(len(self.dataloader.dataset))


def averages(runner: Runner) -> Iterator[BaseAveragedModel]:
    """The averaged model of each EMAHook."""
    for hook in runner.hooks:
        if isinstance(hook, EMAHook):
            yield hook.ema_model


def use_keys_of_model(average: BaseAveragedModel) -> None:
    """Give an average the keys of the model, after `module.`.

    EMAHook matches the two by key. TimmClassifier and others rename their keys
    in a hook whose result torch ignores inside another module.
    """
    average.register_state_dict_post_hook(_rename)


def _rename(
    average: BaseAveragedModel, state: dict, prefix: str, metadata: dict
) -> None:
    prefix = f'{prefix}module.'
    for key in [key for key in state if key.startswith(prefix)]:
        del state[key]
    for key, value in average.module.state_dict().items():
        state[prefix + key] = value

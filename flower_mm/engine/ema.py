"""Validate the averaged weights and the plain ones, and keep the better."""

from collections.abc import Iterator

from mmengine.hooks import EMAHook
from mmengine.model import BaseAveragedModel
from mmengine.runner import Runner, ValLoop

from flower_mm.engine.criterion import METRIC, deciding
from flower_mm.models.structure import unwrapped
from flower_mm.registry import LOOPS


@LOOPS.register_module()
class EitherWeightsValLoop(ValLoop):
    """Where an EMAHook is on, measure both sets of weights.

    The average lags behind in the first epochs and is ahead in the last
    ones. The metrics reported are those of the better one by the metric that
    decides about best.pth; `accuracy/top1_ema` and `accuracy/top1_plain`, or
    that metric's, give both, and the run's `val_weights` says which was
    better. Without an EMAHook, or before its first step, this is MMEngine's
    ValLoop.
    """

    def run(self) -> dict:
        if not self._averages():
            self.runner.message_hub.update_info('val_weights', 'plain')
            return super().run()
        self.runner.call_hook('before_val')
        plain = self._measure()
        self.runner.call_hook('before_val_epoch')  # EMAHook swaps in
        ema = self._measure()
        criterion = deciding(self.runner.hooks, plain)
        best = ('ema', ema)
        # CheckpointHook says which metrics there are instead.
        if criterion.metric in plain:
            best = max(
                ('ema', ema),
                ('plain', plain),
                key=lambda m: criterion.in_order(m[1][criterion.metric]),
            )
        metrics = best[1] | {
            f'{name}_{weights}': values[name]
            for name in {METRIC, criterion.metric} & plain.keys()
            for weights, values in (('ema', ema), ('plain', plain))
        }
        self.runner.message_hub.update_info('val_weights', best[0])
        self.runner.call_hook('after_val_epoch', metrics=metrics)  # and out
        self.runner.call_hook('after_val')
        return metrics

    def _averages(self) -> bool:
        for average in averages(self.runner):
            if average.steps > 0:
                return True
            # Of no step yet: what the hook swaps in is what there is.
            weights = unwrapped(self.runner.model).state_dict()
            average.module.load_state_dict(weights)
        return False

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
    """Give an average the model's own keys, behind `module.`.

    EMAHook pairs the two by their keys. TimmClassifier and others rename
    theirs in a hook whose result torch ignores for a module inside another.
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

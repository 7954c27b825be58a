"""Store in best.pth what tells photos like the training photos from others."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from flower_mm.console import progress
from flower_mm.errors import message_of
from flower_mm.inference import known_photos
from flower_mm.inference.classifier import Unread
from flower_mm.inference.model import TrainedModel
from flower_mm.inference.model_input import InputReader
from flower_mm.layout import RunDir
from flower_mm.registry import HOOKS
from flower_mm.weights.best_checkpoint import write_best
from flower_mm.weights.read_checkpoint import read_checkpoint

BATCH_SIZE = 32
VALIDATION = 500  # photos, for mean, deviation and threshold
SEED = 0


@HOOKS.register_module()
class KnownPhotosHook(Hook):
    """Add features of training photos to best.pth after the training.

    Predictions then say of a photo that is unlike them that it is unknown. A
    failure does not fail the run. Like the report, this is done after the
    process group has been left, if `later` is set.
    """

    comes_last = True  # after the checkpoint hook has written best.pth
    later = False

    def after_train(self, runner) -> None:
        if is_main_process() and not self.later:
            self.write(runner)

    def write(self, runner) -> None:
        """Add the features, or print why that failed."""
        best = Path(runner.work_dir) / RunDir.BEST
        if runner.val_loop is None or not best.is_file():
            return
        try:
            _remember(best, runner)
        except (Exception, KeyboardInterrupt) as error:
            reason = message_of(error) or type(error).__name__
            runner.say(f'best.pth does not recognise unknown photos: {reason}')


def _remember(best: Path, runner) -> None:
    device = str(next(runner.model.parameters()).device)
    model = TrainedModel(best, device, config=runner.cfg)
    if model.known:
        return
    if model.layer is None:
        runner.say(
            'best.pth does not recognise unknown photos: the head has no '
            f'linear layer with {len(model.classes)} outputs'
        )
        return
    held_out = _paths(runner.val_loop.dataloader.dataset)
    step = -(-len(held_out) // VALIDATION)
    most = known_photos.most_photos(model.layer.in_features)
    trained = _by_class_in_turn(runner.train_loop.dataloader.dataset)[:most]
    with progress(
        len(trained) + len(held_out[::step]), 'remembering photos'
    ) as advance:
        known, _ = last_layer_of(model, trained, advance)
        features, logits = last_layer_of(model, held_out[::step], advance)
    if len(features) < known_photos.FEWEST:
        runner.say(
            'best.pth does not recognise unknown photos: expected at least '
            f'{known_photos.FEWEST} validation photos, got {len(features)}'
        )
        return
    values = known_photos.remember(known, features, logits)
    content = read_checkpoint(best)
    meta = {**content['meta'], known_photos.KEY: values}
    write_best(best, content['state_dict'], meta)


def _paths(dataset) -> list[str]:
    return [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]


def _by_class_in_turn(dataset) -> list[str]:
    """One photo of each class, then a second one, in a random order."""
    order = np.random.default_rng(SEED).permutation(len(dataset))
    classes: dict[int, list[str]] = defaultdict(list)
    for i in order.tolist():
        photo = dataset.get_data_info(i)
        classes[int(photo['gt_label'])].append(photo['img_path'])
    turns = zip_longest(*(classes[label] for label in sorted(classes)))
    return [path for path in chain.from_iterable(turns) if path]


def last_layer_of(
    model: TrainedModel, photos: Sequence[str], advance
) -> tuple[np.ndarray, np.ndarray]:
    """Return features and logits of the photos that can be read."""
    features: list[np.ndarray] = []
    logits: list[np.ndarray] = []
    reader = InputReader(model, BATCH_SIZE)
    with (
        model.last_layer() as seen,
        closing(reader.batches(photos)) as batches,
    ):
        for batch in batches:
            good = [item for _, item in batch if not isinstance(item, Unread)]
            if good:
                model.run(good)
                for rows, new in zip((features, logits), seen(), strict=True):
                    rows.append(new)
            advance(len(batch))
    return np.concatenate(features), np.concatenate(logits)

"""What a checkpoint says of photos, without its run's Python config."""

import time
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.registry import DefaultScope
from torch import nn

from flower_mm.console import progress
from flower_mm.datasets.draws import drawing
from flower_mm.datasets.flower import read_photo
from flower_mm.engine.device import use_device
from flower_mm.engine.ema import METRIC
from flower_mm.engine.model import laid_out
from flower_mm.errors import UserError
from flower_mm.registry import MODELS, TRANSFORMS
from flower_mm.report.predictions import Predictions
from flower_mm.report.read import checked
from flower_mm.weights.config import config_of
from flower_mm.weights.load import load_whole
from flower_mm.weights.read import read_checkpoint

BATCH = 64  # photos, as in our configs' test_dataloader


class Predictor:
    """A model as it was validated, built from its best.pth alone.

    The config in there is data and is checked; whatever else lies in a
    stranger's work dir is not opened. For the same batch size the scores
    are those of tools/test.py, to the bit.

    Args:
        checkpoint: best.pth, or an epoch_N.pth, of which it takes the
            weights that tools/test.py takes.
        device: As in `--device`.
        batch_size: Photos at a time.
        config: The config of one's own run, instead of that in the file.
        plain: Take the weights themselves where the checkpoint has their
            average as well.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        device: str = 'auto',
        batch_size: int = BATCH,
        config: Config | None = None,
        plain: bool = False,
    ) -> None:
        cfg = config or config_of(checkpoint)
        found = read_checkpoint(checkpoint)
        self.classes = list(found['meta']['dataset_meta']['classes'])
        self.noted = _noted(found['meta'])
        self.batch_size = batch_size
        self.photos_per_second = 0.0  # of the last `predict`, reading included
        kind = use_device(device, 'none')
        # As the Runner tests it, after precision.use_bfloat16.
        self.precision = torch.autocast(
            kind,
            torch.bfloat16,
            enabled=bool((cfg.get('test_cfg') or {}).get('fp16')),
        )
        try:
            model, steps = _build(cfg)
        except Exception as error:
            raise UserError(
                f'{checkpoint} holds no config that a model can be built '
                f'from: {type(error).__name__}: {str(error)[:200]}'
            ) from error
        if plain:
            found = {'state_dict': plain_weights(found)}
        load_whole(model, found, checkpoint)
        self.model = laid_out(model.to(kind)).eval()
        self.read, self.prepare = steps[:1], Compose(steps[1:])

    def predict(self, photos: list[str], labels: list[int]) -> Predictions:
        """Score photos whose true classes are `labels`."""
        scores = []
        begin = time.perf_counter()
        with (
            progress(len(photos), 'predicting') as advance,
            torch.no_grad(),
            self.precision,
        ):
            for start in range(0, len(photos), self.batch_size):
                part = range(start, min(start + self.batch_size, len(photos)))
                batch = default_collate(
                    [self.packed(photos[i], i) for i in part]
                )
                scores += [
                    sample.pred_score.float().cpu().numpy()
                    for sample in self.model.test_step(batch)
                ]
                advance(len(part))
        seconds = time.perf_counter() - begin
        self.photos_per_second = len(photos) / seconds
        if len(scores[0]) != len(self.classes):
            raise UserError(
                f'the model tells {len(scores[0])} classes apart, and names '
                f'{len(self.classes)}'
            )
        return Predictions(
            list(photos), np.array(labels), np.stack(scores), self.classes
        )

    def packed(self, photo: str, index: int = 0) -> dict:
        """What the model is given of a photo."""
        if not Path(photo).is_file():
            raise UserError(
                f'{photo} is not there any more.\nPut it back, or look '
                'which are missing: python tools/prepare_dataset.py --check '
                '--out DATASET'
            )
        # Draws, if a pipeline makes any here, are those of validation.
        with drawing(0, 0, index):
            return self.prepare(read_photo(self.read, {'img_path': photo}))

    def seen(self, photo: str) -> np.ndarray:
        """The part of a photo that the model saw, as pixels in RGB."""
        pixels = self.packed(photo)['inputs'].permute(1, 2, 0).numpy()
        if pixels.dtype != np.uint8:  # normalised in the pipeline
            low, high = pixels.min(), pixels.max()
            pixels = (255 * (pixels - low) / max(high - low, 1e-6)).astype(
                np.uint8
            )
        bgr = self.model.data_preprocessor.to_rgb
        return np.ascontiguousarray(pixels[..., ::-1] if bgr else pixels)


def _noted(meta: dict) -> dict:
    """Which run best.pth is of, as far as the file tells."""
    metrics = meta.get('metrics')
    top1 = metrics.get(METRIC) if isinstance(metrics, dict) else None
    return {
        'best_epoch': checked(meta.get('epoch'), int),
        'best_top1': checked(top1, float),
        'best_seed': checked(meta.get('seed'), int),
        'best_dataset_sha256': checked(meta.get('dataset_sha256'), str),
    }


def _build(cfg: Config) -> tuple[nn.Module, list]:
    """The model and the steps that prepare a photo for it."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(
            # The Runner, too, prefers a preprocessor in the model.
            {'data_preprocessor': cfg.data_preprocessor, **cfg.model}
        )
        pipeline = cfg.test_dataloader.dataset.pipeline
        return model, [TRANSFORMS.build(step) for step in pipeline]


def plain_weights(checkpoint: dict) -> dict[str, torch.Tensor]:
    """Undo EMAHook's exchange: what it saves as the average is the model."""
    exchanged = {
        name.removeprefix('module.'): tensor
        for name, tensor in checkpoint.get('ema_state_dict', {}).items()
        if name.startswith('module.')
    }
    return checkpoint['state_dict'] | exchanged

"""A model as it was validated, built from its best.pth alone."""

from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.registry import DefaultScope
from torch import nn

from flower_mm.datasets.draws import drawing
from flower_mm.engine.device import use_device
from flower_mm.engine.ema import METRIC
from flower_mm.engine.model import laid_out
from flower_mm.engine.precision import PAYS, speed_up
from flower_mm.errors import UserError
from flower_mm.registry import MODELS, TRANSFORMS
from flower_mm.weights.config import config_of
from flower_mm.weights.load import load_whole
from flower_mm.weights.read import read_checkpoint

# Steps that make no random draws, which validation's are.
DRAW_NOTHING = {
    'CenterCrop',
    'Normalize',
    'PackInputs',
    'Pad',
    'Resize',
    'ResizeEdge',
}


class TrainedModel:
    """What scores photos as tools/test.py does.

    The config in the checkpoint is data and is checked; whatever else lies
    in a stranger's folder is not opened. For the same photos in a batch the
    scores are those of tools/test.py, to the bit.

    Args:
        checkpoint: best.pth, its copy in safetensors, or an epoch_N.pth, of
            which it takes the weights that tools/test.py takes.
        device: As in `--device`.
        amp: In bfloat16, also where validation was not.
        config: The config of one's own run, instead of that in the file.
        plain: Take the weights themselves where the checkpoint has their
            average as well.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        device: str = 'auto',
        amp: bool = False,
        config: Config | None = None,
        plain: bool = False,
    ) -> None:
        cfg = config or config_of(checkpoint)
        found = read_checkpoint(checkpoint)
        self.meta = found['meta']
        self.classes = list(self.meta['dataset_meta']['classes'])
        kind = use_device(device, 'none')
        # As the Runner tests it, after precision.use_bfloat16.
        self.in_bfloat16 = amp or _in_bfloat16(cfg, kind)
        self.precision = torch.autocast(
            kind, torch.bfloat16, enabled=self.in_bfloat16
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
        # By its number: which GPU is in use is a matter of each thread.
        place = device if device.startswith(f'{kind}:') else kind
        self.model = laid_out(model.to(place)).eval()
        self.first, self.rest = steps[0], Compose(steps[1:])
        self._draws = not {type(step).__name__ for step in steps[1:]}.issubset(
            DRAW_NOTHING
        )

    def prepared(self, pixels: np.ndarray, index: int = 0) -> dict:
        """What the model is given of a photo's pixels."""
        shape = pixels.shape[:2]
        photo = {'img': pixels, 'img_shape': shape, 'ori_shape': shape}
        if not self._draws:
            return self.rest(photo)
        # The same as in validation.
        with drawing(0, 0, index):
            return self.rest(photo)

    def scores(self, batch: list[dict]) -> np.ndarray:
        """(photos, classes), each row sums to 1."""
        with torch.no_grad(), self.precision:
            samples = self.model.test_step(default_collate(batch))
        found = np.stack(
            [sample.pred_score.float().cpu().numpy() for sample in samples]
        )
        if found.shape[1] != len(self.classes):
            raise UserError(
                f'the model tells {found.shape[1]} classes apart, and names '
                f'{len(self.classes)}'
            )
        return found

    def seen(self, prepared: dict) -> np.ndarray:
        """The part of a photo that the model saw, as pixels in RGB."""
        pixels = prepared['inputs'].permute(1, 2, 0).numpy()
        if pixels.dtype != np.uint8:  # normalised in the pipeline
            low, high = pixels.min(), pixels.max()
            pixels = (255 * (pixels - low) / max(high - low, 1e-6)).astype(
                np.uint8
            )
        bgr = self.model.data_preprocessor.to_rgb
        return np.ascontiguousarray(pixels[..., ::-1] if bgr else pixels)

    @property
    def top1(self) -> float | None:
        """What its own run measured on val, as far as the file tells."""
        metrics = self.meta.get('metrics')
        top1 = metrics.get(METRIC) if isinstance(metrics, dict) else None
        return top1 if isinstance(top1, float) else None


def _in_bfloat16(cfg: Config, kind: str) -> bool:
    """As it was validated, unless this machine's choice would be another."""
    if not (cfg.get('test_cfg') or {}).get('fp16'):
        return False
    return cfg.get('precision') != 'auto' or speed_up(kind) >= PAYS


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

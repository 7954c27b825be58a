"""A model as it was validated, built from its best.pth alone."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.registry import DefaultScope
from torch import nn

from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.datasets.load_photo import as_load_photo
from flower_mm.decoding import MAX_RATIO
from flower_mm.environment import kind_of_device
from flower_mm.errors import UserError, is_out_of_memory, printable
from flower_mm.inference.limited_build import LimitedBuild
from flower_mm.inference.registered_names import registered_names_only
from flower_mm.models.bfloat16 import MIN_SPEED_UP, speed_up
from flower_mm.models.float32_head import classify_in_float32
from flower_mm.models.memory_format import use_channels_last
from flower_mm.registry import MODELS, TRANSFORMS
from flower_mm.weights.allowed_transforms import LARGEST_SHORT_SIDE
from flower_mm.weights.best_checkpoint import TOP1
from flower_mm.weights.checked_config import config_of
from flower_mm.weights.load_into_model import load_whole
from flower_mm.weights.read_checkpoint import read_checkpoint
from flower_mm.weights.safe_loading import safe_loading

# Steps that make no random draws, which validation's are.
DRAW_NOTHING = {
    'CenterCrop',
    'Normalize',
    'PackInputs',
    'Pad',
    'Resize',
    'ResizeEdge',
}
# What a resize of the longest photo comes to.
MOST_PIXELS = MAX_RATIO * LARGEST_SHORT_SIDE**2


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
        self.file = checkpoint
        found = read_checkpoint(checkpoint)
        cfg = config or config_of(checkpoint, found)
        self.meta = found['meta']
        self.classes = list(self.meta['dataset_meta']['classes'])
        kind = kind_of_device(device)
        # As the Runner tests it, after precision.use_bfloat16.
        self.in_bfloat16 = amp or _in_bfloat16(cfg, kind)
        self.precision = torch.autocast(
            kind, torch.bfloat16, enabled=self.in_bfloat16
        )
        if plain:
            found = {'state_dict': plain_weights(found)}
        # Its parts are a stranger's choice, unless the config is one's own.
        limit = nullcontext() if config else LimitedBuild(_tensors(found))
        names = nullcontext() if config else registered_names_only()
        with self._failing_as(
            'holds no config that a model can be built from'
        ):
            # What building draws, it does not draw from the host's generators.
            with names, limit, safe_loading(), drawing(0):
                model = _build_model(cfg)
            steps = _build_pipeline(cfg)
        load_whole(model, found, checkpoint)
        # With its number: the current GPU belongs to the thread.
        self.device = device if device.startswith(f'{kind}:') else kind
        with self._failing_as('holds a model that fails'):
            self.model = use_channels_last(model.to(self.device)).eval()
            classify_in_float32(self.model)
        self.first, self.rest = steps[0], Compose(steps[1:])
        self._draws = not {type(step).__name__ for step in steps[1:]}.issubset(
            DRAW_NOTHING
        )

    def prepared(self, pixels: np.ndarray, index: int = 0) -> dict:
        """What the model is given of a photo's pixels."""
        shape = pixels.shape[:2]
        photo = {'img': pixels, 'img_shape': shape, 'ori_shape': shape}
        # The same draws as in validation.
        draws = drawing(0, 0, index) if self._draws else nullcontext()
        with self._failing_as('has a test pipeline that fails'), draws:
            for step in self.rest.transforms:
                photo = step(photo)
                _check_size(photo.get('img'))
            return photo

    def scores(self, batch: list[dict]) -> np.ndarray:
        """(photos, classes), each row sums to 1."""
        with (
            self._failing_as('holds a model that fails'),
            torch.no_grad(),
            self.precision,
        ):
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

    @contextmanager
    def _failing_as(self, what: str) -> Iterator[None]:
        """Name the file where its config makes a library raise."""
        try:
            yield
        except (UserError, MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from error
            reason = printable(str(error).strip() or 'no reason given')
            raise UserError(
                f'{self.file} {what}: {type(error).__name__}: {reason}'
            ) from error

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
        top1 = metrics.get(TOP1) if isinstance(metrics, dict) else None
        return top1 if isinstance(top1, float) else None


def _check_size(image: object) -> None:
    """Refuse what the next steps would fill the memory with."""
    if isinstance(image, torch.Tensor):
        height, width = image.shape[-2:]
    elif isinstance(image, np.ndarray):
        height, width = image.shape[:2]
    else:
        width, height = getattr(image, 'size', (1, 1))
    low, high = sorted((height, width))
    # Rounded to whole pixels, a narrow photo becomes up to twice as narrow.
    if high > 2 * MAX_RATIO * low or low * high > MOST_PIXELS:
        raise ValueError(f'it makes an image of {width} x {height} pixels')


def _in_bfloat16(cfg: Config, kind: str) -> bool:
    """As it was validated, unless this machine's choice would be another."""
    if not (cfg.get('test_cfg') or {}).get('fp16'):
        return False
    return cfg.get('precision') != 'auto' or speed_up(kind) >= MIN_SPEED_UP


def _build_model(cfg: Config) -> nn.Module:
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(
            # The Runner, too, prefers a preprocessor in the model.
            {'data_preprocessor': cfg.data_preprocessor, **cfg.model}
        )


def _build_pipeline(cfg: Config) -> list:
    """The transforms that prepare a photo for the model."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        pipeline = cfg.test_dataloader.dataset.pipeline
        return [as_load_photo(TRANSFORMS.build(step)) for step in pipeline]


def _tensors(checkpoint: dict) -> list[torch.Tensor]:
    state = checkpoint.get('state_dict')
    values = state.values() if isinstance(state, dict) else ()
    return [value for value in values if isinstance(value, torch.Tensor)]


def plain_weights(checkpoint: dict) -> dict[str, torch.Tensor]:
    """Undo EMAHook's exchange: what it saves as the average is the model."""
    exchanged = {
        name.removeprefix('module.'): tensor
        for name, tensor in checkpoint.get('ema_state_dict', {}).items()
        if name.startswith('module.')
    }
    return checkpoint['state_dict'] | exchanged

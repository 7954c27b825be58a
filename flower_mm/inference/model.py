"""Build the model of best.pth and predict as in validation."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, default_collate
from mmengine.registry import DefaultScope
from torch import nn
from torch.nn import functional

from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.datasets.load_photo import as_load_photo
from flower_mm.decoding import MAX_RATIO
from flower_mm.environment import kind_of_device
from flower_mm.errors import UserError, is_out_of_memory, printable
from flower_mm.inference.calibration import calibration_of
from flower_mm.inference.known_photos import known_photos_of
from flower_mm.inference.safe_build import (
    LimitedBuild,
    registered_names_only,
)
from flower_mm.models.bfloat16 import MIN_SPEED_UP, speed_up
from flower_mm.models.float32_head import classify_in_float32
from flower_mm.models.memory_format import use_channels_last
from flower_mm.models.structure import classifier_layer, inputs_of
from flower_mm.registry import MODELS, TRANSFORMS
from flower_mm.weights.allowed_transforms import LARGEST_SHORT_SIDE
from flower_mm.weights.best_checkpoint import TOP1
from flower_mm.weights.checked_config import config_of
from flower_mm.weights.load_into_model import load_whole
from flower_mm.weights.read_checkpoint import read_checkpoint
from flower_mm.weights.safe_loading import safe_loading

# Transforms without random parameters, as in validation.
DETERMINISTIC = {
    'CenterCrop',
    'Normalize',
    'PackInputs',
    'Pad',
    'Resize',
    'ResizeEdge',
}
# Of the longest photo after the resize.
MAX_PIXELS = MAX_RATIO * LARGEST_SHORT_SIDE**2


class Network:
    """A model with the pipeline that prepares its photos.

    Args:
        file: The file with its weights.
        model: A classifier of MMPretrain.
        cfg: Its config.
        device: As in `--device`.
        in_bfloat16: Whether it computes in bfloat16.
    """

    def __init__(
        self,
        file: str | Path,
        model: nn.Module,
        cfg: Config,
        device: str,
        in_bfloat16: bool,
    ) -> None:
        self.file, self.in_bfloat16 = file, in_bfloat16
        kind = kind_of_device(device)
        self.precision = torch.autocast(
            kind, torch.bfloat16, enabled=in_bfloat16
        )
        steps = _build_pipeline(cfg)
        # With its number, since the current GPU is a setting of the thread.
        self.device = device if device.startswith(f'{kind}:') else kind
        with naming(file, 'its model fails'):
            # Any: a classifier of MMPretrain.
            self.model: Any = use_channels_last(model.to(self.device)).eval()
            classify_in_float32(self.model)
        self.first, self.rest = steps[0], Compose(steps[1:])
        self._is_random = not {
            type(step).__name__ for step in steps[1:]
        }.issubset(DETERMINISTIC)

    def prepared(self, pixels: np.ndarray, index: int = 0) -> dict:
        """Return the input of the model for the pixels of a photo."""
        shape = pixels.shape[:2]
        photo = {'img': pixels, 'img_shape': shape, 'ori_shape': shape}
        # The random parameters of validation.
        random = drawing(0, 0, index) if self._is_random else nullcontext()
        with naming(self.file, 'its test pipeline fails'), random:
            for step in self.rest.transforms:
                photo = step(photo)
                _check_size(photo.get('img'))
            return photo

    def run(self, batch: list[dict]) -> list:
        """Return MMPretrain's data samples with the predictions."""
        with (
            naming(self.file, 'its model fails'),
            torch.no_grad(),
            self.precision,
        ):
            return self.model.test_step(default_collate(batch))

    def seen(self, prepared: dict) -> np.ndarray:
        """Return the part of a photo that the model receives, in RGB."""
        pixels = prepared['inputs'].permute(1, 2, 0).numpy()
        if pixels.dtype != np.uint8:  # normalised in the pipeline
            low, high = pixels.min(), pixels.max()
            pixels = (255 * (pixels - low) / max(high - low, 1e-6)).astype(
                np.uint8
            )
        bgr = self.model.data_preprocessor.to_rgb
        return np.ascontiguousarray(pixels[..., ::-1] if bgr else pixels)


class TrainedModel(Network):
    """A model that predicts the probabilities of `flower-mm test`.

    The config in the checkpoint is validated as data; other files of its
    folder stay closed. For the same photos in a batch the probabilities are
    bit-identical to those of `flower-mm test`.

    Args:
        checkpoint: best.pth, best.safetensors or epoch_N.pth.
        device: As in `--device`.
        amp: Compute in bfloat16, also if validation did not.
        config: The config of the user's own run, instead of that in the file.
        unselected: Use weights that no validation chose: the mean of the
            weights of all steps if training keeps it, otherwise the plain
            weights, not another average.
        calibrated: Scale the probabilities with the temperature in the file.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        device: str = 'auto',
        amp: bool = False,
        config: Config | None = None,
        unselected: bool = False,
        calibrated: bool = True,
    ) -> None:
        content = read_checkpoint(checkpoint)
        cfg = config or config_of(checkpoint, content)
        self.meta = content['meta']
        self.classes = list(self.meta['dataset_meta']['classes'])
        found = calibration_of(self.meta, len(self.classes), checkpoint)
        self.calibration = found
        self.calibrated = calibrated
        # As the Runner tests it, after precision.use_bfloat16.
        in_bfloat16 = amp or _in_bfloat16(cfg, kind_of_device(device))
        if unselected and not _keeps_mean(self.meta):
            content = {'state_dict': plain_weights(content)}
        # A config from the file is untrusted.
        limit = nullcontext() if config else LimitedBuild(_tensors(content))
        names = nullcontext() if config else registered_names_only()
        with naming(checkpoint, 'its config does not build a model'):
            # Initial weights leave the generators of the host unchanged.
            with names, limit, safe_loading(), drawing(0):
                model = build_classifier(cfg)
            load_whole(model, content, checkpoint)
            super().__init__(checkpoint, model, cfg, device, in_bfloat16)
        self.layer = classifier_layer(self.model, len(self.classes))
        self.known = (
            known_photos_of(self.meta, self.layer.in_features, checkpoint)
            if self.layer
            else None
        )

    def scores(self, batch: list[dict]) -> np.ndarray:
        """Return the probabilities (photos, classes)."""
        samples = self.run(batch)
        with naming(self.file, 'its model fails'):
            scores = np.stack(
                [sample.pred_score.float().cpu().numpy() for sample in samples]
            )
        if scores.shape[1] != len(self.classes):
            raise UserError(
                f'invalid model in {self.file}: expected '
                f'{len(self.classes)} classes, got {scores.shape[1]}'
            )
        if self.calibrated:
            return self.calibration.calibrated(scores)
        return scores

    def scores_and_unlikeness(
        self, batch: list[dict]
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the probabilities, and how unlike the training photos."""
        if self.known is None:
            return self.scores(batch), None
        with self.last_layer() as seen:
            scores = self.scores(batch)
        with naming(self.file, 'its known photos do not fit its model'):
            unlike = self.known.unlikeness(*seen())
            if len(unlike) != len(scores):
                raise ValueError(
                    f'expected {len(scores)} photos, got {len(unlike)}'
                )
        return scores, unlike

    @contextmanager
    def last_layer(
        self,
    ) -> Iterator[Callable[[], tuple[np.ndarray, np.ndarray]]]:
        """Yield what returns the features and logits of the last batch."""
        layer = self.layer
        assert layer is not None  # who asks has looked

        def seen() -> tuple[np.ndarray, np.ndarray]:
            with torch.no_grad():
                features = inputs[-1].flatten(1)
                bias = None if layer.bias is None else layer.bias.float()
                logits = functional.linear(
                    features, layer.weight.float(), bias
                )
            return features.cpu().numpy(), logits.cpu().numpy()

        with inputs_of(layer) as inputs:
            yield seen

    @property
    def top1(self) -> float | None:
        """The validation accuracy that the file records, if any."""
        metrics = self.meta.get('metrics')
        top1 = metrics.get(TOP1) if isinstance(metrics, dict) else None
        return top1 if isinstance(top1, float) else None


@contextmanager
def naming(file: str | Path, fault: str) -> Iterator[None]:
    """Turn an exception of a library into one that names the file."""
    try:
        yield
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise MemoryError(str(error)) from error
        reason = printable(str(error).strip() or 'unknown reason')
        raise UserError(
            f'{file}: {fault}: {type(error).__name__}: {reason}'
        ) from error


def _check_size(image: object) -> None:
    """Refuse an image that would exhaust the memory."""
    if isinstance(image, torch.Tensor):
        height, width = image.shape[-2:]
    elif isinstance(image, np.ndarray):
        height, width = image.shape[:2]
    else:
        width, height = getattr(image, 'size', (1, 1))
    low, high = sorted((height, width))
    # Rounding to whole pixels can double the ratio of a narrow photo.
    if high > 2 * MAX_RATIO * low or low * high > MAX_PIXELS:
        raise ValueError(f'an image of {width} x {height} pixels is too large')


def _in_bfloat16(cfg: Config, kind: str) -> bool:
    """Return whether validation ran in it, and this machine supports it."""
    if not (cfg.get('test_cfg') or {}).get('fp16'):
        return False
    return cfg.get('precision') != 'auto' or speed_up(kind) >= MIN_SPEED_UP


def build_classifier(cfg: Config) -> nn.Module:
    """Build the model of a config with its preprocessor."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(
            # A preprocessor in the model comes first, as in the Runner.
            {'data_preprocessor': cfg.data_preprocessor, **cfg.model}
        )


def _build_pipeline(cfg: Config) -> list:
    """Build the transforms that prepare a photo for the model."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        pipeline = cfg.test_dataloader.dataset.pipeline
        return [as_load_photo(TRANSFORMS.build(step)) for step in pipeline]


def _tensors(checkpoint: dict) -> list[torch.Tensor]:
    state = checkpoint.get('state_dict')
    values = state.values() if isinstance(state, dict) else ()
    return [value for value in values if isinstance(value, torch.Tensor)]


def _keeps_mean(meta: dict) -> bool:
    """Whether the averaged weights are the mean of those of all steps."""
    cfg = meta.get('cfg')
    hooks = cfg.get('default_hooks') if isinstance(cfg, dict) else None
    hook = hooks.get('ema') if isinstance(hooks, dict) else None
    return (
        isinstance(hook, dict)
        and hook.get('ema_type') == 'StochasticWeightAverage'
    )


def plain_weights(checkpoint: dict) -> dict[str, torch.Tensor]:
    """Return the weights, which EMAHook saves as the average."""
    exchanged = {
        name.removeprefix('module.'): tensor
        for name, tensor in checkpoint.get('ema_state_dict', {}).items()
        if name.startswith('module.')
    }
    return checkpoint['state_dict'] | exchanged

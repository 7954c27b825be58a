"""A linear probe of one backbone on its features of the photos."""

import copy
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager

import numpy as np
import torch
from mmengine.registry import DefaultScope

from flower_mm import console
from flower_mm.config import ResolvedRun
from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.engine.features import features_of, plain_batches, plain_photos
from flower_mm.engine.hooks.head_first import last_layer
from flower_mm.engine.linear_probe import scores_by_fold
from flower_mm.environment import device_name
from flower_mm.errors import UserError, message_of
from flower_mm.inference import feature_cache
from flower_mm.inference.model import build_classifier
from flower_mm.models.memory_format import use_channels_last
from flower_mm.pick.train_photos import FOLDS, SEED, TrainPhotos
from flower_mm.registry import DATASETS
from flower_mm.weights.candidates import Candidate
from flower_mm.weights.file_hash import sha256_of
from flower_mm.weights.load_into_model import load_backbone
from flower_mm.weights.pretrained_table import verify

MEASURED = 3  # batches until the time of a photo is known; the first is slower


class UnusableError(Exception):
    """A backbone that cannot be used; the text says why."""


class TimeIsUpError(Exception):
    """The work would end after the deadline."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds  # that it needs


class Probe:
    """A backbone with its weights, and its features as far as computed."""

    def __init__(
        self,
        candidate: Candidate,
        run: ResolvedRun,
        photos: TrainPhotos,
        device: str,
    ) -> None:
        self.candidate, self.photos, self.device = candidate, photos, device
        self.cfg = cfg = run.cfg
        path = candidate.path()
        assert path is not None  # the caller has asked
        self.path = path
        if not candidate.file:
            with naming_fault():
                verify(candidate.entry, path)
        self.sha256 = sha256_of(path)
        wrapper = cfg.optim_wrapper.get('type')
        self.in_bfloat16 = wrapper == 'Bf16OptimWrapper'
        self.batch_size = cfg.val_dataloader.batch_size
        key = (
            *(photos.classes, photos.names, self.sha256, device_name(device)),
            *(cfg.model, cfg.data_preprocessor, self.in_bfloat16),
            cfg.val_dataloader.dataset.pipeline,
        )
        self._cache = feature_cache.cache_path(key)
        self.features = feature_cache.load(self._cache, photos.sha256)

    def compute(self, count: int, deadline: float) -> None:
        """Compute the features of the first `count` photos.

        Raises:
            TimeIsUpError: It would take longer. What is computed stays in the
                cache.
        """
        begin = len(self.features.rows)
        if begin >= count:
            return
        batches = self._batches(begin, count)
        name = self.candidate.name
        pieces = [self.features.rows] if begin else []
        try:
            with console.progress(count, name, start=begin) as advance:
                for piece in batches:
                    pieces.append(piece)
                    advance(len(piece))
                    done = sum(map(len, pieces))
                    needed = self.features.seconds_per_photo * (count - done)
                    is_late = time.monotonic() + needed > deadline
                    if done < count and is_late:
                        raise TimeIsUpError(needed)
        finally:
            batches.close()
            if len(pieces) > bool(begin):
                self.features.rows = np.concatenate(pieces)
                feature_cache.save(
                    self._cache, self.features, self.photos.sha256
                )

    def _batches(
        self, begin: int, end: int
    ) -> Generator[np.ndarray, None, None]:
        """Yield features, and keep the times in `self.features` up to date."""
        cfg = self.cfg
        dataset = copy.deepcopy(cfg.train_dataloader.dataset)
        dataset.indices = self.photos.indices[begin:end]
        dataset.test_mode = True  # a broken photo is an error
        with DefaultScope.overwrite_default_scope(cfg.default_scope):
            # This leaves the random generators unchanged.
            with drawing(SEED), naming_fault():
                model = build_classifier(cfg)
                load_backbone(model, self.path)
            batches = plain_batches(
                plain_photos(DATASETS.build(dataset), cfg),
                cfg,
                cfg.train_dataloader.num_workers,
            )
        model = use_channels_last(model.to(self.device))
        layer = last_layer(model, len(self.photos.classes))
        if layer is None:
            raise UserError(f'{self.cfg.filename} has no linear last layer')
        network: list[float] = []  # seconds of each batch in the network

        @contextmanager
        def timed() -> Iterator[None]:
            start = time.monotonic()
            with torch.autocast(
                self.device, torch.bfloat16, enabled=self.in_bfloat16
            ):
                yield
            if self.device == 'cuda':
                torch.cuda.synchronize()
            network.append(time.monotonic() - start)

        ends, sizes = [], []
        times = self.features
        with closing(features_of(model, layer, batches, timed)) as pieces:
            for piece, _ in pieces:
                rows = piece.cpu().numpy()
                ends.append(time.monotonic())
                sizes.append(len(rows))
                # The last batch may be smaller.
                if len(rows) == sizes[0]:
                    # The fastest one, because other programs slow it down.
                    times.photos_per_second = max(
                        times.photos_per_second, len(rows) / network[-1]
                    )
                if len(ends) >= MEASURED:
                    passed = ends[-1] - ends[0]
                    times.seconds_per_photo = passed / sum(sizes[1:])
                yield rows

    def predict(self, folds: np.ndarray, deadline: float) -> np.ndarray:
        """Return the class of each photo, predicted without it."""
        count = len(folds)
        # The solver has not been tried on MPS.
        device = 'cuda' if self.device == 'cuda' else 'cpu'
        features = torch.from_numpy(self.features.rows[:count]).to(device)
        labels = torch.from_numpy(self.photos.labels[:count]).to(device)
        classes = len(self.photos.classes)
        return predict_out_of_fold(features, labels, folds, classes, deadline)

    def facts(self) -> dict:
        """Return what tables tell about the network and its weights."""
        entry = self.candidate.entry
        home = entry.home_of(self.sha256) or next(
            (home for home in entry.homes if home.file == self.path.name), None
        )
        return {
            'parameters': entry.parameters,
            'image_size': self.candidate.image_size,
            'precision': 'bfloat16' if self.in_bfloat16 else 'float32',
            'licence': home.licence if home else 'unknown',
            'weights': self.path.name,
            'weights_sha256': self.sha256,
        }


def predict_out_of_fold(
    features: torch.Tensor,
    labels: torch.Tensor,
    folds: np.ndarray,
    classes: int,
    deadline: float,
) -> np.ndarray:
    """Return the predicted class of each photo, by cross-validation."""
    predicted = np.zeros(len(folds), int)
    start = time.monotonic()
    for done, (held, scores) in enumerate(
        scores_by_fold(features, labels, folds, classes, SEED), 1
    ):
        predicted[held] = scores.argmax(1).cpu().numpy()
        now = time.monotonic()
        needed = (FOLDS - done) * (now - start) / done
        if needed and now + needed > deadline:
            raise TimeIsUpError(needed)
    return predicted


@contextmanager
def naming_fault() -> Iterator[None]:
    """Turn an error of one backbone into UnusableError."""
    try:
        yield
    except UserError as error:
        raise UnusableError(message_of(error).splitlines()[0]) from error

"""Features of photos at unit length, and the photos that are nearest by them.

They are what the last layer of a trained model gets as input, or what a
pretrained backbone returns. The dot product of two is their cosine
similarity.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
from mmengine.config import Config
from torch import nn

from flower_mm import photo_bytes
from flower_mm.config import read_config
from flower_mm.console import progress
from flower_mm.datasets.augmentation_seed import drawing
from flower_mm.environment import device_name, kind_of_device
from flower_mm.errors import UserError
from flower_mm.inference import feature_cache
from flower_mm.inference.classifier import BATCH, Classifier, Unread
from flower_mm.inference.model import (
    Network,
    TrainedModel,
    build_classifier,
)
from flower_mm.inference.model_input import InputReader
from flower_mm.inference.photo_reader import Photo
from flower_mm.models.bfloat16 import MIN_SPEED_UP, speed_up
from flower_mm.models.structure import classifier_layer, inputs_of
from flower_mm.packaged_configs import config_path
from flower_mm.weights.candidates import Candidate
from flower_mm.weights.file_hash import sha256_of
from flower_mm.weights.load_into_model import load_backbone
from flower_mm.weights.pretrained_table import verify
from flower_mm.weights.safe_loading import safe_loading

# Of a comparison of vectors, so that it takes less than 100 MB.
VECTORS, QUERIES = 4096, 1024


class FeatureModel:
    """Computes the features of photos.

    Attributes:
        key: Everything besides the photos that determines the features.
    """

    def __init__(
        self,
        network: Network,
        layer: nn.Module,
        key: tuple,
        batch_size: int = BATCH,
    ) -> None:
        self.network, self._layer = network, layer
        device = device_name(network.device)
        self.key = (*key, device, network.in_bfloat16)
        self._reader = InputReader(network, batch_size)

    @classmethod
    def of_run(
        cls,
        source: str | Path,
        device: str = 'auto',
        imports: Sequence[str] = (),
    ) -> 'FeatureModel':
        """Load the model of a training.

        Args:
            source: As for Classifier: best.pth, or the folder of a training.
            device: As in `--device`.
            imports: As for Classifier.
        """
        return cls.of_trained(
            Classifier(source, device, imports=imports).model
        )

    @classmethod
    def of_trained(
        cls, model: TrainedModel, batch_size: int = BATCH
    ) -> 'FeatureModel':
        """Use a model that is loaded."""
        layer = classifier_layer(model.model, len(model.classes))
        if layer is None:
            raise UserError(
                f'{model.file} has no features: expected a model with a '
                'linear last layer'
            )
        key = ('run', sha256_of(Path(model.file)))
        return cls(model, layer, key, batch_size)

    @classmethod
    @safe_loading()
    def of_backbone(
        cls, candidate: Candidate, device: str = 'auto'
    ) -> 'FeatureModel':
        """Load pretrained weights, which are verified as for a training."""
        path = candidate.path()
        if path is None:
            raise UserError(f'the weights {candidate.name} are not stored')
        if not candidate.file:
            verify(candidate.entry, path)
        cfg = _config_of(candidate)
        # This leaves the generators of the host unchanged.
        with drawing(0):
            model = build_classifier(cfg)
        load_backbone(model, path)
        kind = kind_of_device(device)
        is_faster = speed_up(kind) >= MIN_SPEED_UP
        network = Network(path, model, cfg, device, is_faster)
        pipeline = cfg.test_dataloader.dataset.pipeline
        key = (sha256_of(path), cfg.model, cfg.data_preprocessor, pipeline)
        # The head has a random layer in some architectures.
        return cls(network, model.get_submodule('head'), key)

    def features(
        self, photos: Iterable[Photo]
    ) -> Generator[np.ndarray | Unread, None, None]:
        """Yield the vector of each photo, or Unread, in their order.

        The next photos are read while the model computes.
        """
        with closing(self._reader.batches(photos)) as batches:
            for batch in batches:
                good = [x for _, x in batch if not isinstance(x, Unread)]
                rows = iter(self._compute(good) if good else ())
                for _, item in batch:
                    yield item if isinstance(item, Unread) else next(rows)

    def _compute(self, batch: list[dict]) -> np.ndarray:
        with inputs_of(self._layer) as inputs:
            self.network.run(batch)
        rows = inputs[-1].cpu().numpy().reshape(len(batch), -1)
        if not np.isfinite(rows).all():
            raise UserError(
                f'{self.network.file} computes NaN or Inf.\nUse another file'
            )
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.maximum(lengths, 1e-12)


def _config_of(candidate: Candidate) -> Config:
    """Return the config of a training that starts from these weights."""
    options = {}
    if '--backbone' in candidate.words:
        options['model.backbone.model_name'] = candidate.entry.timm_model
    cfg = read_config(config_path(candidate.words[0]), options)
    cfg.model.head.num_classes = 2  # any: the head is not loaded
    return cfg


@dataclass
class PhotoFeatures:
    """The features of those photos that could be read."""

    vectors: np.ndarray  # (photos, features) float32, each of length 1
    indices: np.ndarray  # (photos,) in the list of photos
    unread: list[Unread]


def features_of(
    model: FeatureModel,
    photos: Sequence[str],
    task: str = 'computing features',
    is_late: Callable[[], bool] = lambda: False,
) -> PhotoFeatures:
    """Compute features, or take them from the cache of this user.

    The cache has them by the content of the photos. What is computed stays
    there if the process is stopped.

    Args:
        model: The model.
        photos: Files.
        task: What the progress bar shows.
        is_late: Whether to leave out the other photos, asked before each one.
    """
    hashes = [_hash_of(photo) for photo in photos]
    path = feature_cache.cache_path(model.key)
    known = feature_cache.load_by_hash(path)
    missing = [i for i, digest in enumerate(hashes) if digest not in known]
    unread: list[Unread] = []
    if missing:
        before = len(known)
        wanted = takewhile(
            lambda _: not is_late(), (photos[i] for i in missing)
        )
        try:
            with (
                progress(len(missing), task) as advance,
                closing(model.features(wanted)) as rows,
            ):
                for i, row in zip(missing, rows, strict=False):
                    if isinstance(row, Unread):
                        unread.append(row)
                    elif hashes[i]:
                        known[hashes[i]] = row
                    advance(1)
        finally:
            if len(known) > before:
                feature_cache.save_by_hash(path, known)
    indices = [i for i, digest in enumerate(hashes) if digest in known]
    vectors = [known[hashes[i]] for i in indices]
    return PhotoFeatures(
        np.stack(vectors) if vectors else np.zeros((0, 0), np.float32),
        np.array(indices, np.intp),
        unread,
    )


def _hash_of(photo: str) -> bytes:
    """Return b'' for a file that cannot be opened."""
    with suppress(OSError, ValueError):
        return bytes.fromhex(photo_bytes.sha256_of(photo))
    return b''


def nearest(
    vectors: np.ndarray, queries: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Find the most similar vectors of each query, by comparing all.

    Args:
        vectors: (vectors, features), of length 1 like the queries.
        queries: (queries, features)
        count: How many, or all if there are fewer.

    Returns:
        Indices (queries, count) and cosine similarities, the most similar
        first.
    """
    count = min(count, len(vectors))
    indices = np.zeros((len(queries), count), np.intp)
    similarities = np.zeros((len(queries), count), np.float32)
    for start in range(0, len(queries), QUERIES):
        block = slice(start, start + QUERIES)
        indices[block], similarities[block] = _nearest(
            vectors, queries[block], count
        )
    return indices, similarities


def _nearest(
    vectors: np.ndarray, queries: np.ndarray, count: int
) -> list[np.ndarray]:
    best = np.zeros((len(queries), 0), np.intp)
    scores = np.zeros((len(queries), 0), np.float32)
    for start in range(0, len(vectors), VECTORS):
        similar = queries @ vectors[start : start + VECTORS].T
        own = np.arange(start, start + similar.shape[1])
        scores = np.concatenate([scores, similar.clip(-1, 1)], axis=1)
        best = np.concatenate([best, np.tile(own, (len(queries), 1))], axis=1)
        if scores.shape[1] > count:
            order = np.argpartition(-scores, count - 1, axis=1)[:, :count]
            best, scores = _taken(order, best, scores)
    # Equally similar ones by their index.
    return _taken(np.lexsort((best, -scores), axis=1), best, scores)


def _taken(order: np.ndarray, *tables: np.ndarray) -> list[np.ndarray]:
    return [np.take_along_axis(table, order, 1) for table in tables]

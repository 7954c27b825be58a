"""Photos that live in the device's memory, and batches made there.

No worker processes, and nothing crosses from the host while an epoch runs but
the order of its photos, at its beginning. Untried on a GPU.
"""

import copy
from collections.abc import Callable, Iterator
from itertools import chain, islice

import numpy as np
import torch
from mmengine.dataset import Compose, DefaultSampler
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from flower_mm.datasets.batched.draws import Draws
from flower_mm.datasets.batched.plan import CannotError, Plan
from flower_mm.datasets.batched.view import read
from flower_mm.datasets.draws import drawing
from flower_mm.datasets.flower import FlowerDataset
from flower_mm.errors import UserError

SIDE = 320  # of decoded photos, the shorter one, unless it is said
SHARE = 0.25  # of a GPU's memory that 'auto' lets photos take
COLOURS = 3


def placed(cfg: dict, build: Callable[[dict], DataLoader]) -> DataLoader:
    """The loader of a config, by what its `on_device` asks for.

    True, False, or 'auto': on a GPU in whose memory the photos fit, and where
    the pipeline can run there. Photos for the device are decoded once.
    """
    cfg = copy.copy(cfg)
    wanted = cfg.pop('on_device', False)
    if wanted not in (True, False, 'auto'):
        raise UserError(
            f"a dataloader's `on_device` is True, False or 'auto', not "
            f'{wanted!r}'
        )
    if not wanted or (wanted == 'auto' and get_device() != 'cuda'):
        return build(cfg)
    dataset = cfg['dataset']
    if isinstance(dataset, dict) and 'FlowerDataset' in str(dataset['type']):
        dataset = cfg['dataset'] = copy.copy(dataset)
        dataset['decode_once'] = dataset.get('decode_once') or SIDE
    loader = build(cfg)
    try:
        if wanted == 'auto':
            _require_room(_flowers(loader.dataset))
        return DeviceLoader.like(loader)
    except CannotError as error:
        if wanted != 'auto':
            raise
        if is_main_process():
            line = str(error).splitlines()[0]
            print(f'workers load the photos: {line}', flush=True)
        return loader


class DeviceLoader(DataLoader):
    """A DataLoader that makes its batches on the device.

    A sample names its photo and label; how it was mirrored is not told, for
    that would have to be waited for.

    Args:
        dataset: Whose photos and pipeline; they are decoded once.
        photos: Of an equal dataset that are on the device already.
        kwargs: What torch's DataLoader takes.
    """

    def __init__(
        self,
        dataset: FlowerDataset,
        photos: 'DevicePhotos | None' = None,
        **kwargs,
    ) -> None:
        self._plan = Plan(dataset.pipeline.transforms)
        self._photos = photos or DevicePhotos(dataset)
        self._plan.require_one_size(self._photos.sizes)
        super().__init__(dataset, **kwargs)

    @classmethod
    def like(cls, loader: DataLoader) -> 'DeviceLoader':
        """With the photos, the order and the batches of another one."""
        if loader.batch_size is None:
            batches = {'batch_sampler': loader.batch_sampler}
        else:
            batches = {
                'batch_size': loader.batch_size,
                'sampler': loader.sampler,
                'drop_last': loader.drop_last,
            }
        return cls(_flowers(loader.dataset), **batches)

    def seen_by(self, pipeline: Compose, batch_size: int) -> 'DeviceLoader':
        """This process's share of the photos, each once, otherwise seen."""
        dataset = copy.copy(self.dataset)
        dataset.pipeline = pipeline
        return DeviceLoader(
            dataset,
            self._photos,
            batch_size=batch_size,
            sampler=DefaultSampler(dataset, shuffle=False, round_up=False),
        )

    def __iter__(self) -> Iterator[dict]:
        seed, epoch, epochs = self.dataset.now
        progress = epoch / epochs if epochs else 0.0
        plan, photos = self._plan, self._photos
        size = plan.size(photos.sizes[:1], progress)
        batches = list(self.batch_sampler)
        lengths = [len(batch) for batch in batches]
        order = torch.tensor(list(chain(*batches)), dtype=torch.int64)
        rows = photos.rows(self.dataset)[order]
        for names, index, row in zip(
            rows.split(lengths),
            order.to(photos.device).split(lengths),
            rows.to(photos.device).split(lengths),
            strict=True,
        ):
            draws = Draws(seed, epoch, index)
            first, shape = photos.first[row], photos.shape[row]
            view = plan.view(shape, draws, progress)
            seen = read(photos.pixels, first, shape, view, size)
            seen = plan.changed(seen, draws).byte()
            yield {
                # Convolutions like them to lie so.
                'inputs': seen.permute(0, 3, 1, 2),
                'data_samples': photos.samples(names.tolist(), row, size),
            }


class DevicePhotos:
    """All photos of a dataset, decoded, and their labels, on the device."""

    def __init__(self, dataset: FlowerDataset) -> None:
        self.device = torch.device(get_device())
        table = np.array(dataset.decoded.table)
        table[dataset.decoded.damaged()] = 0  # loaded below
        # What follows the last photo fills up eight bytes.
        end = len(dataset.decoded.pixels) // COLOURS * COLOURS
        pixels = dataset.decoded.pixels[:end]
        for idx in np.flatnonzero(table[:, 1] == 0).tolist():
            with drawing(*dataset.now[:2], idx):
                photo = dataset.load(idx)
            if photo['sample_idx'] == idx:  # it is whole by now
                table[idx] = len(pixels), *photo['img'].shape[:2]
                pixels = np.append(pixels, photo['img'])
        self.broken = np.flatnonzero(table[:, 1] == 0).tolist()
        self.pixels = self._sent(pixels).view(-1, COLOURS)
        self.first = self._sent(table[:, 0] // COLOURS)
        self.shape = self._sent(table[:, 1:])
        whole = table[table[:, 1] > 0, 1:]
        self.sizes = torch.from_numpy(whole)  # stays on the host
        self._labels = self._sent(dataset.get_gt_labels())
        self._facts = [
            (dataset.get_data_info(idx)['img_path'], shape)
            for idx, shape in enumerate(map(tuple, table[:, 1:].tolist()))
        ]

    def _sent(self, array: np.ndarray) -> Tensor:
        return torch.tensor(array, device=self.device)

    def rows(self, dataset: FlowerDataset) -> Tensor:
        """Each photo's row, on the host; of a broken one, the stand-in's."""
        rows = torch.arange(len(dataset))
        for idx in self.broken:
            with drawing(*dataset.now[:2], idx):
                others = islice(dataset.candidates(idx), 1, None)
                rows[idx] = next(i for i in others if i not in self.broken)
        return rows

    def samples(
        self, names: list[int], row: Tensor, size: list[int]
    ) -> list[DataSample]:
        """What is known of these photos; the labels stay on the device."""
        found = []
        for name, label in zip(names, self._labels[row].split(1), strict=True):
            sample = DataSample().set_gt_label(label)
            path, shape = self._facts[name]
            for key, value in (
                ('sample_idx', name),
                ('img_path', path),
                ('ori_shape', shape),
                ('img_shape', tuple(size)),
            ):
                sample.set_field(value, key, field_type='metainfo')
            found.append(sample)
        return found


def _flowers(dataset: Dataset) -> FlowerDataset:
    """The dataset, if its photos are decoded."""
    if not isinstance(dataset, FlowerDataset):
        raise CannotError(
            f'{type(dataset).__name__} has no photos for the device, a '
            'FlowerDataset has: name that as the dataset, or on_device=False'
        )
    if not dataset.decoded:
        raise CannotError(
            'the photos are decoded each time, and so not on the device.\n'
            'Free the disk, or on_device=False in that dataloader'
        )
    return dataset


def _require_room(dataset: FlowerDataset) -> None:
    size = dataset.decoded.pixels.nbytes
    # Not of what is free now: a run that goes on shall find the same.
    _, memory = torch.cuda.mem_get_info()
    if size > SHARE * memory:
        raise CannotError(
            f'they take {size / 1e9:.1f} GB, more than {SHARE:.0%} of the '
            f"{memory / 1e9:.1f} GB of the GPU's memory"
        )

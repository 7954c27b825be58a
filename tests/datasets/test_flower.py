"""The same photo in the same epoch is the same tensor, whoever loads it."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from torch.utils.data import DataLoader

from flower_mm.datasets.flower import FlowerDataset
from flower_mm.errors import UserError

PIPELINE = [
    {'type': 'LoadImageFromFile'},
    # numpy draws for these,
    {'type': 'RandomResizedCrop', 'scale': 24},
    {'type': 'ColorJitter', 'brightness': 0.5},
    {'type': 'NumpyToPIL'},
    # torch for these.
    {'type': 'torchvision/RandomHorizontalFlip'},
    {'type': 'torchvision/RandomRotation', 'degrees': 30},
    {'type': 'torchvision/ToTensor'},
]


def unchanged(batch: list) -> list:
    return batch


def load(dataset: FlowerDataset, workers: int, context: str | None) -> list:
    loader = DataLoader(
        dataset,
        batch_size=4,
        num_workers=workers,
        multiprocessing_context=context,
        persistent_workers=bool(workers),
        collate_fn=unchanged,
    )
    epochs = []
    for epoch in (0, 1):
        dataset.set_epoch(7, epoch)
        epochs.append([s['img'] for batch in loader for s in batch])
    return epochs


@pytest.fixture
def flowers(dataset: Path) -> FlowerDataset:
    DefaultScope.get_instance('test_flower', scope_name='mmpretrain')
    return FlowerDataset(str(dataset), 'train', pipeline=PIPELINE)


def same(one: list, two: list) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize(
    ('workers', 'context'), [(1, 'fork'), (3, 'fork'), (2, 'spawn')]
)
def test_workers_change_nothing(flowers, workers, context):
    expected = load(flowers, 0, None)
    found = load(flowers, workers, context)
    assert same(expected[0], found[0])
    # Workers that live on are told of the next epoch.
    assert same(expected[1], found[1])
    assert not same(expected[0], expected[1])


def test_seeds_and_order_of_asking(flowers):
    flowers.set_epoch(1, 0)
    first = flowers[3]['img']
    flowers[0], flowers[5]
    assert torch.equal(flowers[3]['img'], first)
    flowers.set_epoch(2, 0)
    assert not torch.equal(flowers[3]['img'], first)


def test_the_generators_outside_do_not_move(flowers):
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = random.random(), np.random.rand(), torch.rand(1)
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    flowers[0]
    assert (random.random(), np.random.rand(), torch.rand(1)) == expected


def test_a_photo_that_breaks_later_is_named(flowers):
    path = Path(flowers.get_data_info(2)['img_path'])
    good = path.read_bytes()
    try:
        path.write_bytes(good[:20])
        with pytest.raises(UserError, match='--check') as error:
            flowers[2]
        assert str(path) in str(error.value)
    finally:
        path.write_bytes(good)


def test_a_pipeline_that_cannot_work_is_not_the_photos_fault(dataset, flowers):
    wrong = [PIPELINE[0], PIPELINE[-2]]  # wants a PIL image, gets an array
    broken = FlowerDataset(str(dataset), 'train', pipeline=wrong)
    with pytest.raises(Exception) as error:  # noqa: PT011 - not ours to name
        broken[0]
    assert not isinstance(error.value, UserError)


def test_a_wrapped_dataset_is_told_of_epochs(flowers):
    from mmengine.dataset import ClassBalancedDataset, ConcatDataset

    from flower_mm.engine.draws import _flower_datasets

    both = ConcatDataset([flowers, flowers])
    assert list(_flower_datasets(both)) == [flowers, flowers]
    balanced = ClassBalancedDataset(flowers, 0.5)
    assert list(_flower_datasets(balanced)) == [flowers]

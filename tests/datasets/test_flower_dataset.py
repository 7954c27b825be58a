"""A photo in an epoch gives the same tensor in any process."""

import io
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope
from PIL import Image
from torch.utils.data import DataLoader

from flower_mm.datasets.flower_dataset import FlowerDataset, flower_datasets
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
    ('workers', 'context'),
    [
        (1, 'fork'),
        (3, 'fork'),
        pytest.param(2, 'spawn', marks=pytest.mark.nightly),
    ],
)
def test_workers_change_nothing(flowers, workers, context):
    expected = load(flowers, 0, None)
    found = load(flowers, workers, context)
    assert same(expected[0], found[0])
    # Persistent workers see the next epoch.
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


def test_epochs_of_a_wrapped_dataset(flowers):
    from mmengine.dataset import ClassBalancedDataset, ConcatDataset

    both = ConcatDataset([flowers, flowers])
    assert list(flower_datasets(both)) == [flowers, flowers]
    balanced = ClassBalancedDataset(flowers, 0.5)
    assert list(flower_datasets(balanced)) == [flowers]


@pytest.mark.parametrize('end', [0.3, 0.6, 0.9, -2])
@pytest.mark.parametrize(
    ('kind', 'how'),
    [
        ('JPEG', {}),
        ('JPEG', {'progressive': True}),
        ('PNG', {}),
        ('WEBP', {}),
        ('BMP', {}),
        ('TIFF', {}),
    ],
)
def test_a_truncated_photo_is_not_taken_for_a_whole_one(
    flowers, tmp_path, kind, how, end
):
    """OpenCV before 4.11 fills up a JPEG with what its memory held before."""
    if (kind, end) == ('PNG', -2):
        end = -14  # the last 12 bytes say that it has ended, no more
    path = Path(flowers.get_data_info(2)['img_path'])
    good = path.read_bytes()
    whole = io.BytesIO()
    Image.open(io.BytesIO(good)).resize((300, 200)).save(whole, kind, **how)
    data = whole.getvalue()
    try:
        path.write_bytes(data)
        assert flowers[2]
        path.write_bytes(data[: int(end * len(data)) if end > 0 else end])
        with pytest.raises(UserError, match='could not be loaded'):
            flowers[2]
    finally:
        path.write_bytes(good)


@pytest.fixture
def copy(dataset: Path, tmp_path: Path) -> Path:
    """A dataset whose photos may be broken."""
    DefaultScope.get_instance('test_flower', scope_name='mmpretrain')
    return shutil.copytree(dataset, tmp_path / 'flowers')


def skipping(root: Path, load: dict = PIPELINE[0], **kwargs) -> FlowerDataset:
    return FlowerDataset(
        str(root), 'train', pipeline=[load], broken='skip', **kwargs
    )


def delete(dataset: FlowerDataset, *indices: int) -> None:
    for idx in indices:
        Path(dataset.get_data_info(idx)['img_path']).unlink()


def test_another_photo_of_the_class_stands_in(copy):
    flowers = skipping(copy)
    delete(flowers, 0, 5)
    stand_ins = []
    for seed, epoch in [(0, 0), (0, 1), (1, 0), (0, 0)]:
        flowers.set_epoch(seed, epoch)
        photo = flowers[5]
        assert photo['gt_label'] == flowers.get_data_info(5)['gt_label']
        stand_ins.append(photo['img_path'])
    assert stand_ins[3] == stand_ins[0]
    assert len(set(stand_ins)) > 1
    assert flowers[1]['sample_idx'] == 1
    path = Path(flowers.get_data_info(5)['img_path'])
    name = path.relative_to(copy).as_posix()
    assert name in flowers.skipped_photos()


def test_a_loader_that_gives_nothing_is_a_broken_photo_too(copy):
    flowers = skipping(copy, {**PIPELINE[0], 'ignore_empty': True})
    delete(flowers, 3)
    assert flowers[3]['img_path'] != flowers.get_data_info(3)['img_path']
    assert len(flowers.skipped_photos()) == 1


def test_skipping_ends_where_a_class_or_a_tenth_is_gone(copy):
    lines = (copy / 'train.txt').read_text().splitlines(keepends=True)
    few = [next(x for x in lines if x.endswith(f' {i}\n')) for i in (0, 1)]
    (copy / 'train.txt').write_text(
        ''.join(few + [line for line in lines if line.endswith(' 2\n')])
    )
    flowers = skipping(copy)
    delete(flowers, 0)
    with pytest.raises(UserError, match='photos of the class blue tit are'):
        flowers[0]
    delete(flowers, *range(2, len(flowers)))
    with pytest.raises(UserError, match=f'4 of the {len(flowers)} photos'):
        flowers[2]


def test_nothing_is_skipped_in_testing_or_for_a_wrong_word(copy):
    flowers = skipping(copy, test_mode=True)
    delete(flowers, 2)
    with pytest.raises(UserError, match='could not be loaded'):
        flowers[2]
    with pytest.raises(UserError, match="'stop' or 'skip', got 'ignore'"):
        FlowerDataset(str(copy), broken='ignore')


def test_full_memory_is_not_the_photos_fault(copy):
    def full(photo: dict) -> dict:
        raise MemoryError

    flowers = skipping(copy, full)
    with pytest.raises(MemoryError):
        flowers[0]
    assert not flowers.skipped_photos()


@pytest.mark.skipif(not torch.cuda.is_available(), reason='there is no GPU')
def test_an_epoch_seeds_the_gpus_dropout(flowers):
    from types import SimpleNamespace

    from flower_mm.engine.hooks.train_dataset import EpochSeedHook

    def draws(epoch: int) -> torch.Tensor:
        torch.rand(epoch, device='cuda')
        loader = DataLoader(flowers)
        EpochSeedHook().before_train_epoch(
            SimpleNamespace(
                train_dataloader=loader,
                train_loop=SimpleNamespace(dataloader=loader),
                seed=3,
                epoch=epoch,
            )
        )
        return torch.rand(9, device='cuda')

    first = draws(1)
    assert not torch.equal(draws(2), first)
    assert torch.equal(draws(1), first)


def test_a_pipeline_that_loads_nothing_is_not_the_photos_fault(copy):
    flowers = skipping(copy, {'type': 'RandomResizedCrop', 'scale': 32})
    with pytest.raises(UserError, match=r'LoadImage.*RandomResizedCrop'):
        flowers[0]
    assert not flowers.skipped_photos()


def test_infos_are_those_of_mmengine(dataset, flowers):
    """Packed without a list of all photos."""
    as_list = FlowerDataset(str(dataset), 'train', serialize_data=False)
    assert isinstance(as_list.data_list, list)
    count = len(flowers)
    assert len(as_list) == count > 2
    infos = [flowers.get_data_info(i) for i in range(count)]
    assert infos == [as_list.get_data_info(i) for i in range(count)]
    packed = BaseDataset._serialize_data(as_list)
    assert np.array_equal(packed[0], flowers.data_bytes)
    assert np.array_equal(packed[1], flowers.data_address)
    few = FlowerDataset(str(dataset), 'train', indices=2)
    assert [few.get_data_info(i) for i in range(2)] == infos[:2]

"""Photos decoded once are the photos decoded each time."""

import os
import pickle
import shutil
import tracemalloc
from collections import namedtuple
from pathlib import Path

import cv2
import forked
import numpy as np
import pytest
import torch
from helpers import draw_photo, tool
from mmengine.registry import DefaultScope
from PIL import Image

from flower_mm.datasets import cache_space
from flower_mm.datasets.decoded_cache import DecodedPhotos, open_cache
from flower_mm.datasets.flower_dataset import FlowerDataset
from flower_mm.errors import UserError
from flower_mm.lock import LOCK

PIPELINE = [
    {'type': 'LoadImageFromFile'},
    {'type': 'GrowingCrop', 'scales': [24], 'crop_ratio_range': (0.4, 1.0)},
    {'type': 'RandomFlip', 'prob': 0.5},
    {'type': 'ColorJitter', 'brightness': 0.5},
    {'type': 'PackInputs'},
]


@pytest.fixture
def root(dataset: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(dataset, tmp_path / 'flowers'))


def flowers(
    root: Path, side: int, pipeline: list[dict] = PIPELINE, **kwargs
) -> FlowerDataset:
    DefaultScope.get_instance('test_decoded', scope_name='flower_mm')
    return FlowerDataset(
        str(root), 'train', pipeline=pipeline, decode_once=side, **kwargs
    )


def files(root: Path) -> list[Path]:
    found = (root / 'decoded').glob('*')
    return sorted(path for path in found if path.name != LOCK)


def batch(dataset: FlowerDataset) -> torch.Tensor:
    photos = [dataset[i]['inputs'] for i in range(len(dataset))]
    return torch.stack(photos).float()


def test_inputs_of_the_model_are_the_same(root):
    """The photos have 40 x 48 pixels: none is shrunk."""
    assert torch.equal(batch(flowers(root, 40)), batch(flowers(root, 0)))
    (file,) = files(root)
    assert file.stat().st_size > 38 * 40 * 48 * 3


@pytest.mark.parametrize(('grain', 'least', 'most'), [(0, 0, 2), (8, 3, 5)])
def test_shrunk_photos_are_nearly_the_same(root, grain, least, most):
    """Of 255 grey levels, smooth ones differ by one, from rounding.

    Bilinear resizing keeps grain that averaging over areas takes away: 3.9
    levels in the mean where photos are four times as large.
    """
    random = np.random.default_rng(0)
    for number, photo in enumerate(sorted((root / 'train').rglob('*.jpg'))):
        x = np.linspace(0, 255, 400)[None, :, None]
        y = np.linspace(0, 255, 240)[:, None, None]
        pixels = (x + np.array([0, 1, 2]) * y + number) / 3.1
        pixels += random.normal(0, grain, pixels.shape)
        # As PNG, which OpenCV recognises by its bytes: JPEG loses grain.
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
            photo, 'PNG'
        )
    plain, shrunk = (
        batch(flowers(root, side, PIPELINE[:2] + PIPELINE[4:]))
        for side in (0, 60)
    )
    assert not torch.equal(plain, shrunk)
    assert least < (plain - shrunk).abs().mean() < most


def test_second_run_reads_the_file(root):
    flowers(root, 32)
    (file,) = files(root)
    before = file.stat().st_mtime_ns
    flowers(root, 32)
    (file,) = files(root)
    assert file.stat().st_mtime_ns == before


def test_temporary_file_of_a_killed_process(root):
    left = root / 'decoded' / '.train-40-0.photos.a_killed.part'
    left.parent.mkdir()
    left.write_bytes(b'pixels')
    flowers(root, 40)
    (file,) = files(root)
    assert file.suffix == '.photos'


DECODES = """
import sys, time
from pathlib import Path
from flower_mm.datasets import decoded_cache
import numpy as np

def load(idx):
    print('loaded', flush=True)
    time.sleep(0.1)
    return np.full((40, 40, 3), idx, np.uint8)

found = decoded_cache.open_cache(
    Path({folder!r}), 'train', ['a'] * 20, 32, load
)
assert [found[i].max() for i in range(20)] == list(range(20))
sys.exit()  # before the tool
"""


def test_of_several_processes_one_decodes(tmp_path):
    script = tmp_path / 'first.py'
    cache = tmp_path / 'cache'
    script.write_text(DECODES.format(folder=str(cache)))
    runs = [
        forked.start(tmp_path / f'{number}.log', 'doctor', first=str(script))
        for number in range(3)
    ]
    assert [run.wait() for run in runs] == [0, 0, 0], [r.text for r in runs]
    assert sum(run.text.count('loaded') for run in runs) == 20
    assert len(files(cache)) == 1


def test_changed_photo(root):
    before = batch(flowers(root, 40))
    (file,) = files(root)
    photo = sorted((root / 'train').rglob('*.jpg'))[0]
    draw_photo(photo, 2, 77)
    os.utime(photo, (1, 1))
    after = batch(flowers(root, 40))
    assert not torch.equal(before, after)
    assert torch.equal(after, batch(flowers(root, 0)))
    # The old one went when the new one stood.
    (other,) = files(root)
    assert other != file


@pytest.mark.parametrize(
    ('row', 'damaged'),
    [
        (0, [10**12, 300, 300]),
        (3, [0, 300, 300]),  # of another photo's pixels
        (3, [3 * 40 * 48 * 3, 41, 48]),
        (3, [3 * 40 * 48 * 3, -40, -48]),
        (3, [3 * 40 * 48 * 3, 2**62, 2**62]),  # the product wraps to 0
        (37, [37 * 40 * 48 * 3, 0, 0]),
    ],
)
def test_damaged_table(row, damaged, root):
    expected = batch(flowers(root, 40))
    (file,) = files(root)
    content = file.read_bytes()
    begin = int(np.frombuffer(content[-8:], np.int64)[0]) + 24 * row
    table = np.array(damaged, np.int64).tobytes()
    file.write_bytes(content[:begin] + table + content[begin + 24 :])
    assert torch.equal(batch(flowers(root, 40)), expected)
    assert file.read_bytes() == content


def overwrite(file: Path, share: float, seed: int = 0) -> None:
    """Other bytes in some of the pages; the table and the sizes stay."""
    content = np.fromfile(file, np.uint8)
    end = int(content[-8:].view(np.int64)[0])
    pages = np.arange(0, end, 4096)
    random = np.random.default_rng(seed)
    for page in random.choice(pages, int(share * len(pages)), replace=False):
        content[page : min(page + 4096, end)] ^= 0x55
    content.tofile(file)


@pytest.mark.parametrize('side', [40, 32])
def test_overwritten_pixels(root, capfd, side):
    expected = batch(flowers(root, side))
    (file,) = files(root)
    overwrite(file, 1 / 6)
    capfd.readouterr()
    damaged = flowers(root, side)
    assert torch.equal(batch(damaged), expected)
    assert 0 < len(damaged.decoded.damaged()) < len(damaged)
    output = capfd.readouterr().out
    assert output.count('is damaged') == 1
    assert str(file) in output


def test_overwritten_pixels_in_workers(root, capfd):
    dataset = flowers(root, 40)
    expected = batch(dataset)
    overwrite(files(root)[0], 0.5)
    loader = torch.utils.data.DataLoader(
        flowers(root, 40), batch_size=None, num_workers=2
    )
    found = torch.stack([photo['inputs'] for photo in loader]).float()
    assert torch.equal(found, expected)
    assert 1 <= capfd.readouterr().out.count('is damaged') <= 2


def test_a_photo_under_another_number_or_turned_is_damage(tmp_path):
    """Nothing is overwritten, and the table is sound."""
    photos = [np.full((10, 20, 3), i, np.uint8) for i in range(3)]
    found = open_cache(tmp_path, 'val', list('abc'), 10, photos.__getitem__)
    path = found.path
    content = bytearray(path.read_bytes())
    content[:600], content[600:1200] = content[600:1200], content[:600]
    end = int(np.frombuffer(content[-8:], np.int64)[0])
    row = np.array([1200, 20, 10], np.int64).tobytes()  # was 10 x 20
    content[end + 48 : end + 72] = row
    path.write_bytes(content)
    assert DecodedPhotos(path).damaged() == [0, 1, 2]


def test_a_photo_that_never_could_be_read_is_no_damage(tmp_path):
    photos = [None, np.ones((5, 7, 3), np.uint8), None]

    def again(idx: int) -> None:
        raise AssertionError(idx)

    for load in (photos.__getitem__, again):
        found = open_cache(tmp_path, 'val', ['a', 'b', 'c'], 8, load)
        assert found[0] is found[2] is None
        assert np.array_equal(found[1], photos[1])


@pytest.mark.parametrize('length', [0, 5, 1000])
def test_damaged_file(length, root):
    expected = batch(flowers(root, 40))
    (file,) = files(root)
    with file.open('r+b') as stream:
        stream.truncate(length)
    assert torch.equal(batch(flowers(root, 40)), expected)


def test_broken_photo(root):
    photo = sorted((root / 'train').rglob('*.jpg'))[3]
    photo.write_bytes(photo.read_bytes()[:60])
    dataset = flowers(root, 40)
    index = [
        dataset.get_data_info(i)['img_path'] for i in range(len(dataset))
    ].index(str(photo.absolute()))
    with pytest.raises(UserError, match='could not be loaded'):
        dataset[index]
    skipping = flowers(root, 40, broken='skip')
    skipping[index]
    assert len(skipping.skipped_photos()) == 1


def test_without_room_photos_are_decoded_each_time(root, monkeypatch, capsys):
    monkeypatch.setattr(cache_space, 'MOST_BYTES', 1000)
    assert torch.equal(batch(flowers(root, 40)), batch(flowers(root, 0)))
    assert files(root) == []
    assert 'decoded in each epoch' in capsys.readouterr().out


def test_message_about_missing_space(root, monkeypatch, capsys):
    """The photos are 218,880 bytes."""
    usage = namedtuple('usage', 'free')
    monkeypatch.setattr(
        cache_space.shutil, 'disk_usage', lambda _: usage(free=2e9 - 1e6)
    )
    flowers(root, 40)
    assert capsys.readouterr().out.splitlines()[-2:] == [
        f'warning: photos are decoded in each epoch, since {root}/decoded '
        'cannot hold them: the decoded photos take 0.2 MB: the disk lacks, '
        'with 2.0 GB left free, 1.0 MB.',
        'To turn this off, set decode_once=0 in the dataset of train',
    ]


def keep(root: Path, name: str, load=None) -> DecodedPhotos | None:
    """A file of 3,000 bytes of pixels; `name` is in the list of photos."""
    photos = [np.zeros((10, 100, 3), np.uint8)]
    return open_cache(root, 'train', [name], 10, load or photos.__getitem__)


def used(kept: DecodedPhotos, day: int) -> Path:
    """Set the time of the last use of an idle file."""
    os.utime(kept.path, (86400 * day, 0))
    return kept.path


def test_least_recently_used_file_is_deleted(tmp_path, monkeypatch):
    monkeypatch.setattr(cache_space, 'MOST_BYTES', 7000)
    (tmp_path / 'decoded').mkdir()
    # As named before there was a list's name in it, and of another split.
    other = tmp_path / 'decoded' / 'val-100-0123456789abcdef.photos'
    other.write_bytes(bytes(2000))
    os.utime(other, (86400, 0))
    first = used(keep(tmp_path, 'a'), 3)
    assert other.is_file()
    second = used(keep(tmp_path, 'b'), 2)
    assert files(tmp_path) == sorted([first, second])
    keep(tmp_path, 'a')  # is a use
    os.utime(second, (86400 * 9, 0))
    third = keep(tmp_path, 'c').path
    assert files(tmp_path) == sorted([first, third])


def test_files_in_use_stay(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cache_space, 'MOST_BYTES', 7000)
    others = [keep(tmp_path, 'a'), keep(tmp_path, 'b')]
    assert keep(tmp_path, 'c') is None
    assert all(kept.path.is_file() for kept in others)
    assert 'for all files is exceeded by 0.0 MB' in capsys.readouterr().out


def test_nothing_is_deleted_in_vain(tmp_path, monkeypatch):
    path = used(keep(tmp_path, 'a'), 1)
    monkeypatch.setattr(cache_space, 'MOST_BYTES', 2000)
    assert keep(tmp_path, 'b') is None
    assert path.is_file()


def test_a_full_disk_makes_room(tmp_path, monkeypatch):
    path = used(keep(tmp_path, 'a'), 1)
    usage = namedtuple('usage', 'free')
    monkeypatch.setattr(
        cache_space.shutil, 'disk_usage', lambda _: usage(free=2e9 - 2500)
    )
    assert keep(tmp_path, 'b')
    assert not path.exists()


def test_undeletable_file(tmp_path, monkeypatch):
    """As on Windows, where another run has it mapped."""
    path = used(keep(tmp_path, 'a'), 1)

    def refuse(_: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(cache_space, 'MOST_BYTES', 4000)
    with monkeypatch.context() as patch:
        patch.setattr(Path, 'unlink', refuse)
        assert keep(tmp_path, 'b') is None
    assert path.is_file()


def test_two_lists_of_one_split_are_two_files(root, monkeypatch):
    lines = (root / 'train.txt').read_text().splitlines(keepends=True)
    names = ['a.txt', 'b.txt']
    for number, name in enumerate(names):
        (root / name).write_text(''.join(lines[number::2]))
    for name in names:
        flowers(root, 40, ann_file=name)
    assert len(files(root)) == 2

    def again(*_) -> None:
        raise AssertionError

    monkeypatch.setattr('flower_mm.datasets.decoded_cache._write', again)
    for name in names:
        flowers(root, 40, ann_file=name)


def test_a_worker_whose_file_another_run_deleted(root):
    kept = flowers(root, 40).decoded
    sent = pickle.dumps(kept)
    kept.path.unlink()
    assert pickle.loads(sent) is None  # noqa: S301


@pytest.mark.parametrize('side', [-5, 'big', True, 0.5, [320]])
def test_invalid_side(root, side):
    with pytest.raises(UserError, match='invalid decode_once'):
        flowers(root, side)


@pytest.mark.parametrize('side', [None, 0, False])
def test_photos_are_decoded_each_time(root, side):
    assert flowers(root, side).decoded is None
    assert files(root) == []


def test_training_refuses_such_a_side(config, dataset, tmp_path):
    done = tool(
        *('train', config, '--data-root', dataset),
        *('--work-dir', tmp_path / 'run'),
        *('--cfg-options', 'train_dataloader.dataset.decode_once=big'),
        check=False,
    )
    assert done.returncode == 2
    assert "got 'big'" in done.stderr
    assert 'Traceback' not in done.stderr


def test_a_folder_that_cannot_be_written(root, capsys):
    (root / 'decoded').write_text('not a folder')
    assert torch.equal(batch(flowers(root, 40)), batch(flowers(root, 0)))
    assert 'cannot hold them' in capsys.readouterr().out


@pytest.mark.parametrize(
    'load', [{'to_float32': True}, {'color_type': 'grayscale'}]
)
def test_photos_of_another_kind_are_not_kept(root, capsys, load):
    load = {'type': 'LoadImageFromFile', **load}
    kept, each_time = (
        flowers(root, side, pipeline=[load, PIPELINE[-1]]) for side in (40, 0)
    )
    assert 'decoded in each epoch' in capsys.readouterr().out
    assert torch.equal(kept[0]['inputs'], each_time[0]['inputs'])


def test_another_way_to_decode_is_another_file(root):
    before = flowers(root, 40)
    steps = [{'type': 'LoadImageFromFile', 'imdecode_backend': 'pillow'}]
    after = flowers(root, 40, pipeline=steps + PIPELINE[1:])
    assert before.decoded.path != after.decoded.path


def test_a_part_of_the_dataset_has_its_own_photos(root):
    whole = flowers(root, 40)
    part = whole.get_subset([5, 3])
    for number, idx in enumerate((5, 3)):
        path = part.get_data_info(number)['img_path']
        assert path == whole.get_data_info(idx)['img_path']
        photo = part.load(number)['img']
        assert np.array_equal(photo, whole.decoded[idx])
    whole.get_subset_([5, 3])
    assert np.array_equal(whole.load(1)['img'], part.load(1)['img'])


def test_spawned_worker_maps_the_file(root):
    kept = flowers(root, 40).decoded
    sent = pickle.dumps(kept)
    assert len(sent) < 1000
    assert np.array_equal(pickle.loads(sent)[2], kept[2])  # noqa: S301


def test_dataset_that_was_prepared_again(root, photos):
    flowers(root, 40)
    assert files(root)
    tool('prepare_dataset', photos, '--out', root, '--overwrite')
    assert files(root) == []


def test_memory_while_writing(tmp_path):
    """64 photos may be under way, of 200; all would be 24 MB."""
    photo = np.zeros((200, 200, 3), np.uint8)
    folder = tmp_path / 'train' / 'a'
    folder.mkdir(parents=True)
    for number in range(200):
        cv2.imwrite(str(folder / f'{number}.jpg'), photo)
    (tmp_path / 'classes.txt').write_text('a\nb\n')
    (tmp_path / 'train.txt').write_text(
        ''.join(f'a/{number}.jpg 0\n' for number in range(200))
    )
    flowers(tmp_path, 100)  # what is imported on the way takes memory, too
    tracemalloc.start()
    try:
        dataset = flowers(tmp_path, 200)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(dataset.decoded) == 200
    assert peak < 15e6


def test_photos_of_any_size_in_order(tmp_path):
    sizes = [(7, 5), (64, 31), (9, 100), (3, 3)]
    photos = [
        np.full((height, width, 3), i, np.uint8)
        for i, (height, width) in enumerate(sizes)
    ]
    found = open_cache(
        tmp_path, 'val', ['a', 'b', 'c', 'd'], 8, photos.__getitem__
    )
    assert [found[i].shape for i in range(4)] == [
        (7, 5, 3), (17, 8, 3), (8, 89, 3), (3, 3, 3)
    ]  # fmt: skip
    assert all((found[i] == i).all() for i in range(4))

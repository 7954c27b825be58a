"""Photos in shards give the same bits as photos in files of their own."""

import json
import os
import shutil
import sqlite3
import tarfile
from contextlib import chdir
from multiprocessing import get_context
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from helpers import CLASSES, tool, train_tiny
from mmengine.registry import DefaultScope
from PIL import Image
from test_flower_dataset import PIPELINE, load, same

from flower_mm import photo_bytes, shards
from flower_mm.annotations import read_annotations
from flower_mm.datasets.flower_dataset import FlowerDataset
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir, RunDir
from flower_mm.report.learning_curves import read_scalars
from flower_mm.shard_index import ShardError, ShardIndex
from flower_mm.weights.read_checkpoint import read_checkpoint


@pytest.fixture
def copy(packed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(packed, tmp_path / 'set'))


def one_photo(root: Path) -> str:
    name = (root / 'train.txt').read_text('utf-8').partition(' 0\n')[0]
    return str(root / 'train' / name)


def change(root: Path, statement: str, *values: object) -> None:
    db = sqlite3.connect(root / DatasetDir.INDEX)
    with db:
        db.execute(statement, values)
    db.close()


def test_dataset_has_the_same_lists_and_photos(loose: Path, packed: Path):
    for name in ('classes.txt', 'train.txt', 'val.txt', 'test.txt'):
        assert (packed / name).read_bytes() == (loose / name).read_bytes()
    files = [
        json.loads((p / 'dataset.json').read_text()) for p in (loose, packed)
    ]
    assert files[0]['files'] == files[1]['files']
    assert not (packed / 'train').exists()
    for path in (p for p in loose.rglob('*.jpg')):
        photo = packed / path.relative_to(loose)
        assert photo_bytes.read_bytes(str(photo)) == path.read_bytes()
        assert photo_bytes.is_file(str(photo))
        assert photo_bytes.stat(str(photo)).size == path.stat().st_size


@pytest.mark.parametrize(
    ('workers', 'context'), [(0, None), (2, 'fork'), (2, 'spawn')]
)
def test_input_of_the_network_over_two_epochs(
    loose: Path, packed: Path, workers: int, context: str | None
):
    DefaultScope.get_instance('test_shards', scope_name='mmpretrain')
    one, two = (
        FlowerDataset(str(root), 'train', pipeline=PIPELINE)
        for root in (loose, packed)
    )
    two[0]  # opens the shards before the workers start
    wanted, got = load(one, 0, None), load(two, workers, context)
    assert same(wanted[0], got[0])
    assert same(wanted[1], got[1])


def test_decoded_photos_are_those_of_the_files(loose: Path, copy: Path):
    DefaultScope.get_instance('test_shards', scope_name='mmpretrain')
    one, two = (
        FlowerDataset(str(r), 'train', pipeline=PIPELINE, decode_once=32)
        for r in (loose, copy)
    )
    assert two.decoded is not None
    assert two.decoded.damaged() == []
    assert same(load(one, 0, None)[0], load(two, 0, None)[0])
    shutil.rmtree(loose / 'decoded')


# The process is killed at the end of its first epoch.
STOP = """
import os, signal
from mmengine.runner import EpochBasedTrainLoop

run_epoch = EpochBasedTrainLoop.run_epoch


def stop(self):
    if self.epoch == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return run_epoch(self)


EpochBasedTrainLoop.run_epoch = stop
"""


def losses(run: Path) -> list[float]:
    return [
        row['loss']
        for row in read_scalars(run / RunDir.SCALARS)
        if 'loss' in row
    ]


def test_training_is_the_same_bit_for_bit_also_after_a_resume(
    config: Path, loose: Path, packed: Path, tmp_path: Path
):
    each = ('--cfg-options', 'default_hooks.logger.interval=1')
    one = train_tiny(config, loose, tmp_path / 'loose', *each)
    two = tmp_path / 'packed'
    script = tmp_path / 'stop.py'
    script.write_text(STOP)
    command = ('train', config, '--data', packed, '--work-dir', two, *each)
    run = forked.start(tmp_path / 'log1', *command, first=str(script))
    assert run.wait() == -9, run.text
    forked.finish(tmp_path / 'log2', *command, '--resume')
    assert len(losses(one)) == 10
    assert losses(one) == losses(two)
    for name in ('epoch_2.pth', RunDir.BEST):
        wanted, got = (
            read_checkpoint(run / name)['state_dict'] for run in (one, two)
        )
        for key, tensor in wanted.items():
            assert torch.equal(tensor, got[key]), key


def test_webdataset_reads_the_shards(packed: Path):
    import webdataset

    urls = [str(p) for p in sorted((packed / 'shards').glob('train-*.tar'))]
    samples = list(
        webdataset.WebDataset(urls, shardshuffle=False).decode('rgb8')
    )
    lines = (packed / 'train.txt').read_text('utf-8').splitlines()
    labels = sorted(int(line.rpartition(' ')[2]) for line in lines)
    assert sorted(sample['cls'] for sample in samples) == labels
    assert all(sample['jpg'].shape == (40, 48, 3) for sample in samples)


def test_a_shard_is_at_most_of_the_size_that_was_named(tmp_path: Path):
    noise = np.random.default_rng(0)
    for name in CLASSES:
        (tmp_path / 'photos' / name).mkdir(parents=True)
        for number in range(6):
            pixels = noise.integers(255, size=(300, 300, 3), dtype=np.uint8)
            path = tmp_path / 'photos' / name / f'{number}.a.b.bmp'
            Image.fromarray(pixels).save(path)
    out = tmp_path / 'set'
    tool('prepare_dataset', tmp_path / 'photos', '--out', out, '--shards=1MB')
    tars = sorted((out / 'shards').glob('*.tar'))
    assert len(tars) > 4
    assert all(tar.stat().st_size <= 1e6 + tarfile.RECORDSIZE for tar in tars)
    tool('prepare_dataset', '--check', out)


def test_unchanged_photos_and_another_kind_of_dataset(
    photos: Path, packed: Path, copy: Path
):
    split = ('--val', '0.35', '--test', '0.1')
    args = ('prepare_dataset', photos, '--out', copy, *split)
    before = (copy / DatasetDir.INDEX).stat().st_mtime_ns
    assert 'up to date' in tool(*args, '--shards', '1MB').stdout
    assert (copy / DatasetDir.INDEX).stat().st_mtime_ns == before
    assert tool(*args, check=False).returncode == 2  # needs --overwrite
    tool(*args, '--overwrite')
    assert not (copy / 'shards').exists()
    assert Path(one_photo(copy)).is_file()
    done = tool(*args, '--shards=1MB', '--how=link', check=False)
    assert done.returncode == 2


# The process is killed while it writes its second shard.
DIE = """
import os, signal
from flower_mm.prepare import write_shards

next_shard = write_shards._Shards._next


def die(self, split, number):
    if self.paths:
        os.kill(os.getpid(), signal.SIGKILL)
    return next_shard(self, split, number)


write_shards._Shards._next = die
"""


def test_a_killed_run_leaves_the_old_dataset(
    photos: Path, packed: Path, copy: Path
):
    command = ('prepare_dataset', photos, '--out', copy, '--overwrite')
    options = ('--shards', '1MB', '--seed', '3')
    script = copy.with_name('die.py')
    script.write_text(DIE)
    log = copy.with_name('log')
    run = forked.start(log, *command, *options, first=str(script))
    assert run.wait() == -9, run.text
    for path in packed.rglob('*.*'):
        assert (
            path.read_bytes() == (copy / path.relative_to(packed)).read_bytes()
        )
    tool(*command, *options)
    tool('prepare_dataset', '--check', copy)
    names = {path.name for path in copy.parent.iterdir()}
    assert names == {'set', 'die.py', 'log'}


def test_corrections_of_a_dataset_of_shards(copy: Path, tmp_path: Path):
    from flower_mm.review.dataset_photos import read_dataset

    photo = read_dataset(copy).photos[0]
    (copy / 'corrections.csv').write_text(
        'when,who,split,photo,sha256,old_label,action,new_label\n'
        f'2026-01-01T00:00:00+00:00,me,{photo.split},{photo.name},'
        f'{photo.sha256},{CLASSES[photo.label]},exclude,\n',
        'utf-8',
    )
    args = ('prepare_dataset', copy, '--apply-corrections', '--out')
    for name, options in (('a', ()), ('b', ('--shards', '1MB'))):
        out = tmp_path / name
        tool(*args, out, *options)
        tool('prepare_dataset', '--check', out)
        left = sum(
            len((out / f'{s}.txt').read_text().splitlines())
            for s in ('train', 'val', 'test')
        )
        assert left == 59


def test_a_dataset_of_shards_is_no_source_of_photos(
    copy: Path, tmp_path: Path
):
    done = tool('prepare_dataset', copy, '--out', tmp_path / 'x', check=False)
    assert done.returncode == 2


def test_folds_and_checks(config: Path, copy: Path, tmp_path: Path):
    tool('doctor', config, '--data', copy)
    run = train_tiny(
        config, copy, tmp_path / 'run', '--folds', '2', '--no-report',
        '--cfg-options', 'train_cfg.max_epochs=1',
    )  # fmt: skip
    assert (run / 'folds').is_dir()


@pytest.mark.nightly
def test_other_commands_read_it(
    plain_run: Path, config: Path, photos: Path, packed: Path, tmp_path: Path
):
    run = Path(shutil.copytree(plain_run, tmp_path / 'run'))
    data = ('--data', packed)
    tool('report', run, *data)
    assert b'data:image/jpeg' in (run / 'report.html').read_bytes()
    tool('test', config, run / 'best.pth', *data)
    photo = next(photos.rglob('*.jpg'))
    tool('similar', photo, *data, '--run', run)
    tool('look', packed, '--out', tmp_path / 'look.html', '--run', run)
    tool('share', run, tmp_path / 'shared', *data)
    tool('export', run / 'best.pth', '--to', 'onnx', '--int8', *data)


# --- damage and strangers ----------------------------------------------------


def test_missing_and_truncated_shards_end_with_a_clear_error(copy: Path):
    photo = one_photo(copy)
    assert photo_bytes.read_bytes(photo)
    shard = next((copy / 'shards').glob('train-*.tar'))
    whole = shard.read_bytes()
    shards.forget_shards()
    shard.write_bytes(whole[:600])
    with pytest.raises(ShardError):
        photo_bytes.read_bytes(photo)
    with pytest.raises(ShardError):
        read_annotations(copy / 'train.txt', copy / 'train', CLASSES)
    shard.unlink()
    shards.forget_shards()
    with pytest.raises(ShardError):
        photo_bytes.read_bytes(photo)
    os.mkfifo(shard)
    shards.forget_shards()
    with pytest.raises(ShardError):
        photo_bytes.read_bytes(photo)
    shard.unlink()
    shard.write_bytes(bytes(len(whole)))
    done = tool('prepare_dataset', '--check', copy, check=False)
    assert done.returncode == 2


def test_a_truncated_shard_ends_a_training_although_it_skips_photos(
    config: Path, copy: Path, tmp_path: Path
):
    shard = next((copy / 'shards').glob('train-*.tar'))
    with shard.open('r+b') as file:
        file.truncate(shard.stat().st_size // 2)
    options = ('--data', copy, '--work-dir', tmp_path / 'run', '--skip-broken')
    done = tool('train', config, *options, check=False)
    assert done.returncode == 2
    assert shard.name in done.stderr


@pytest.mark.parametrize(
    ('statement', 'value'),
    [
        ('UPDATE shards SET name = ?', '../../../etc/passwd'),
        ('UPDATE shards SET name = ?', '/etc/passwd'),
        ('UPDATE shards SET name = ?', 'https://host/train-00000.tar'),
        ('UPDATE shards SET bytes = ?', -1),
        ('UPDATE shards SET bytes = ?', 'many'),
        ('UPDATE photos SET "offset" = ?', -1),
        ('UPDATE photos SET "offset" = ?', 1 << 62),
        ('UPDATE photos SET length = ?', 1 << 40),
        ('UPDATE photos SET length = ?', 'x'),
        ('UPDATE photos SET shard = ?', 99),
        ('UPDATE photos SET sha256 = ?', b'short'),
        ('CREATE VIEW v AS SELECT ?', None),
        ('CREATE TRIGGER t AFTER DELETE ON photos BEGIN SELECT ?; END', None),
    ],
)
def test_an_index_of_a_stranger_is_refused(
    copy: Path, statement: str, value: object
):
    if value is None:
        change(copy, statement.replace('?', '1'))
    else:
        change(copy, statement, value)
    with pytest.raises(ShardError):
        photo_bytes.read_bytes(one_photo(copy))


def test_a_file_that_is_no_index_is_refused(copy: Path):
    (copy / DatasetDir.INDEX).write_bytes(b'SQLite format 3\0' + bytes(99))
    with pytest.raises(ShardError):
        ShardIndex(copy / DatasetDir.INDEX)


def test_a_shard_that_links_out_needs_trust(copy: Path, tmp_path: Path):
    shard = next((copy / 'shards').glob('train-*.tar'))
    shard.rename(tmp_path / 'elsewhere.tar')
    shard.symlink_to(tmp_path / 'elsewhere.tar')
    # The dataset was trusted by nobody: it is a copy with another record.
    record = json.loads((copy / 'dataset.json').read_text('utf-8'))
    (copy / 'dataset.json').write_text(json.dumps(record | {'source': 'x'}))
    with pytest.raises(UserError, match='--trust'):
        photo_bytes.read_bytes(one_photo(copy))


# --- processes ---------------------------------------------------------------


def _number_of_files(photo: str) -> int:
    photo_bytes.read_bytes(photo)
    return len(list(Path('/proc/self/fd').iterdir()))


def test_open_files_are_limited_in_each_process(
    copy: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shards, 'MOST_OPEN', 1)
    photo = one_photo(copy)
    for split in ('train', 'val', 'test'):
        name = (copy / f'{split}.txt').read_text('utf-8').partition(' 0\n')[0]
        photo_bytes.read_bytes(str(copy / split / name))
    files = shards.shards_in(copy).files
    assert len(files._open) == 1
    with get_context('fork').Pool(1) as pool:
        assert pool.apply(_number_of_files, (photo,)) > 0
    assert shards.shards_in(copy).files is files


def test_without_pread(packed: Path, monkeypatch: pytest.MonkeyPatch):
    photo = one_photo(packed)
    wanted = photo_bytes.read_bytes(photo)
    monkeypatch.delattr(os, 'pread')
    assert photo_bytes.read_bytes(photo) == wanted


def test_relative_paths(packed: Path):
    photo = one_photo(packed)
    with chdir(packed):
        name = os.path.relpath(photo)
        assert photo_bytes.read_bytes(name) == photo_bytes.read_bytes(photo)

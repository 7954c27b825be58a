"""What benchmarks.throughput stands on: its photos and its stamps."""

import json
from pathlib import Path

import pytest
from mmengine.registry import DefaultScope

from benchmarks import stamps
from benchmarks.stamps import StampHook
from benchmarks.throughput import lay_out
from flower_mm.datasets.flower_dataset import FlowerDataset


def photos(data: Path, split: str) -> list[tuple[str, int]]:
    DefaultScope.get_instance('test_throughput', scope_name='flower_mm')
    dataset = FlowerDataset(
        str(data), split, pipeline=[{'type': 'LoadImageFromFile'}]
    )
    assert all(dataset[i]['img'].size for i in range(len(dataset)))
    return [
        (info['img_path'].removeprefix(f'{data / split}/'), info['gt_label'])
        for info in map(dataset.get_data_info, range(len(dataset)))
    ]


def test_generated_photos_are_a_dataset(tmp_path):
    data = tmp_path / 'data'
    lay_out(data, None, 12)
    assert len(photos(data, 'train')) == 12
    assert photos(data, 'train') == photos(data, 'test')


def test_photos_of_a_dataset_keep_their_classes(dataset, tmp_path):
    data = tmp_path / 'data'
    lay_out(data, str(dataset), 9)
    all_ = (dataset / 'train.txt').read_text('utf-8').splitlines()
    chosen = [f'{name} {label}' for name, label in photos(data, 'train')]
    assert len(set(chosen)) == 9
    assert set(chosen) <= set(all_)


def test_too_few_photos_are_told(dataset, tmp_path):
    with pytest.raises(SystemExit, match='fewer --iterations'):
        lay_out(tmp_path / 'data', str(dataset), 10_000)


def test_a_rate_is_of_what_lies_between_the_stamps(tmp_path, monkeypatch):
    ends = iter([10.0, 14.0])
    monkeypatch.setattr(stamps, 'now', lambda: next(ends))
    out = tmp_path / 'rate.json'
    hook = StampHook(str(out), skip=2, count=3)
    for number, size in enumerate([9, 9, 4, 4, 2, 9, 9]):
        hook.after_train_iter(None, number, {'inputs': [0] * size})
    assert json.loads(out.read_text()) == {'rate': 10 / 4.0}

"""Photos that break while a run is training."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import forked
import pytest
import torch

from flower_mm.datasets.flower_dataset import FEW

# A hook that breaks photos before an epoch, long after they were checked. It
# is no part of the config, which a resumed run has to share.
HOOK = """
from pathlib import Path
from mmengine.hooks import Hook
from flower_mm.registry import HOOKS

@HOOKS.register_module()
class BreakPhotos(Hook):
    def before_train_epoch(self, runner):
        for path in {deleted}.get(runner.epoch, []):
            Path(path).unlink(missing_ok=True)
        for path in {truncated}.get(runner.epoch, []):
            photo = Path(path).read_bytes()
            Path(path).write_bytes(photo[: len(photo) * 2 // 3])
"""


@pytest.fixture
def flowers(dataset: Path, tmp_path: Path) -> Path:
    """A dataset of this test's own."""
    return shutil.copytree(dataset, tmp_path / 'flowers')


@pytest.fixture
def start(config: Path, flowers: Path, tmp_path: Path) -> Callable:
    """Start a run; `deleted` and `truncated` are {epoch: photos}."""

    def start(
        name: str,
        *args: str,
        deleted: dict[int, list[str]],
        truncated: dict[int, list[str]] | None = None,
        more: str = '',
        start: Callable = forked.start,
    ) -> forked.Run:
        def paths(photos: dict[int, list[str]]) -> dict[int, list[str]]:
            return {e: [str(flowers / p) for p in photos[e]] for e in photos}

        hook = tmp_path / 'hook.py'
        hook.write_text(
            HOOK.format(
                deleted=paths(deleted), truncated=paths(truncated or {})
            )
        )
        breaking = tmp_path / 'breaking.py'
        breaking.write_text(
            f'_base_ = [{str(config)!r}]\n'
            f"custom_hooks = [dict(type='BreakPhotos')]\n{more}"
        )
        ranks = start is forked.start_ranks
        return start(
            tmp_path if ranks else tmp_path / 'run.log',
            'train',
            breaking,
            *('--data-root', flowers, '--work-dir', tmp_path / name),
            *args,
            first=str(hook),
        )

    return start


def listed(flowers: Path, split: str = 'train') -> list[str]:
    lines = (flowers / f'{split}.txt').read_text().splitlines()
    return [f'{split}/{line.rpartition(" ")[0]}' for line in lines]


def skipped(run: Path) -> dict:
    return json.loads((run / 'run.json').read_text())['skipped_photos']


def told(run: forked.Run) -> list[str]:
    return [x for x in run.text.splitlines() if x.startswith('skipped')]


@pytest.mark.parametrize(
    'method',
    ['fork', pytest.param('spawn', marks=pytest.mark.nightly)],
)
def test_skipped_photos_are_counted_and_workers_change_nothing(
    method, start, flowers, dataset, tmp_path
):
    one, two, three = (listed(flowers)[i] for i in (3, 20, 30))
    weights = []
    for workers in (0, 2):
        shutil.copytree(dataset, flowers, dirs_exist_ok=True)
        run = start(
            f'run_{workers}',
            *('--skip-broken', '--cfg-options'),
            f'train_dataloader.num_workers={workers}',
            f'env_cfg.mp_cfg.mp_start_method={method}',
            deleted={0: [one, two]},
            truncated={1: [three]},
        )
        assert run.wait() == 0, run.text
        assert told(run) == [
            f'skipped 2 photos that could not be loaded: {one}, {two}',
            f'skipped 1 photo that could not be loaded: {three}; 3 so far',
        ]
        found = skipped(tmp_path / f'run_{workers}')
        assert found == {'count': 3, 'photos': [one, two, three]}
        last = tmp_path / f'run_{workers}' / 'epoch_2.pth'
        weights.append(torch.load(last, weights_only=True)['state_dict'])
    for key, tensor in weights[0].items():
        assert torch.equal(tensor, weights[1][key]), key


def test_a_whole_run_tells_of_no_skipped_photos(plain_run):
    assert skipped(plain_run) == {'count': 0, 'photos': []}


def test_a_broken_photo_stops_the_run_unless_told_otherwise(
    start, flowers, tmp_path
):
    photo = listed(flowers)[3]
    run = start('run', deleted={1: [photo]})
    assert run.wait() == 2
    assert f'error: {flowers / photo} could not be loaded: File' in run.text
    assert 'To train without them: --skip-broken' in run.text
    rest = start('run', '--skip-broken', '--resume', deleted={})
    assert rest.wait() == 0, rest.text
    record = json.loads((tmp_path / 'run' / 'run.json').read_text())
    assert record['resumed_at_epoch'] == 1
    assert record['skipped_photos']['photos'] == [photo]


def test_a_broken_photo_always_stops_validation(start, flowers):
    photo = listed(flowers, 'val')[2]
    run = start(
        'run',
        '--skip-broken',
        '--cfg-options',
        'val_dataloader.dataset.broken=skip',
        'val_dataloader.num_workers=1',
        deleted={1: [photo]},
    )
    assert run.wait() == 2
    assert f'error: {flowers / photo} could not be loaded' in run.text
    assert 'To train without them' not in run.text


@pytest.mark.parametrize('workers', [0, 2])
def test_a_disk_that_is_gone_is_not_skipped(start, flowers, workers):
    photos = listed(flowers)
    run = start(
        'run',
        *(
            '--skip-broken',
            '--cfg-options',
            f'train_dataloader.num_workers={workers}',
        ),
        deleted={1: photos},
    )
    assert run.wait() == 2
    last = run.text.partition('error: ')[2]
    found = re.match(
        rf'too many to skip: (\d+) of the {len(photos)} photos', last
    )
    allowed = max(FEW, len(photos) // 10)
    # The workers may find one each at the same time.
    assert allowed < int(found[1]) <= allowed + max(workers, 1)
    assert 'Traceback' not in run.text


def test_a_resumed_run_remembers_what_was_skipped(
    start, flowers, dataset, tmp_path
):
    one, two = (listed(flowers)[i] for i in (3, 20))
    stopped = start(
        'run', '--skip-broken', deleted={0: [one], 1: listed(flowers)}
    )
    assert stopped.wait() == 2
    assert skipped(tmp_path / 'run')['photos'] == [one]
    shutil.copytree(dataset, flowers, dirs_exist_ok=True)
    rest = start('run', '--skip-broken', '--resume', deleted={1: [two]})
    assert rest.wait() == 0, rest.text
    assert skipped(tmp_path / 'run')['photos'] == [one, two]
    assert told(rest)[0].endswith(f'{two}; 2 so far')


def test_photos_inside_a_wrapper_are_counted(start, flowers, tmp_path):
    more = f"""
train_dataloader = dict(dataset=dict(
    _delete_=True, type='ClassBalancedDataset', oversample_thr=0.5,
    dataset=dict(
        type='FlowerDataset', data_root={str(flowers)!r}, split='train',
        pipeline={{{{_base_.train_pipeline}}}})))
"""
    broken = [listed(flowers)[i] for i in (3, 20)]
    run = start('run', '--skip-broken', deleted={0: broken}, more=more)
    assert run.wait() == 0, run.text
    assert skipped(tmp_path / 'run')['photos'] == broken


def test_processes_count_together(start, flowers, tmp_path):
    """Each of two sees half of the photos, and so of the broken ones."""
    broken = [listed(flowers)[i] for i in (2, 12, 20)]
    runs = start(
        'run', '--skip-broken', deleted={0: broken}, start=forked.start_ranks
    )
    for run in runs:
        assert run.wait() == 0, run.text
    assert skipped(tmp_path / 'run')['photos'] == broken
    assert [len(told(run)) for run in runs] == [1, 0]

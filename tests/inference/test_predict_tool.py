"""tools/predict.py as people call it."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import forked
import numpy as np
import pytest
import torch
from helpers import CLASSES, ROOT, tool

from flower_mm.report.predictions import read_predictions
from flower_mm.weights.read_checkpoint import read_checkpoint


@pytest.fixture(scope='module')
def best(plain_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('best')
    return Path(shutil.copy(plain_run / 'best.pth', folder))


@pytest.fixture
def predict(best: Path, tmp_path: Path):
    """Run the tool; return its exit code and its output."""

    def run(*args: object, first: str = '', model: Path = best) -> tuple:
        script = tmp_path / 'first.py'
        script.write_text(first)
        log = tmp_path / 'log'
        done = forked.start(log, 'predict', model, *args, first=str(script))
        return done.wait(), done.text

    return run


def read(path: Path) -> list[dict[str, str]]:
    with path.open(
        encoding='utf-8', errors='surrogateescape', newline=''
    ) as file:
        return list(csv.DictReader(file, strict=True))


def test_scores_are_those_of_the_test_tool_to_the_bit(
    best, config, dataset, predict, tmp_path
):
    forked.finish(
        tmp_path / 'test.log',
        'test',
        *(config, best, '--data-root', dataset),
        *('--out', tmp_path / 'theirs.csv', '--work-dir', tmp_path / 'test'),
        # The last batch is a smaller one.
        *('--cfg-options', 'test_dataloader.batch_size=7'),
    )
    theirs = read_predictions(tmp_path / 'theirs.csv')
    names = tmp_path / 'names'
    names.write_text('\n'.join(theirs.photos), encoding='utf-8')
    out = tmp_path / 'ours.csv'
    code, output = predict(
        *('-', '--csv', out, '--batch-size', 7),
        first=f'import sys; sys.stdin = open({str(names)!r})',
    )
    assert code == 0, output
    ours = read(out)
    assert [row['photo'] for row in ours] == theirs.photos
    scores = np.array([[row[name] for name in CLASSES] for row in ours])
    assert np.array_equal(scores.astype(np.float32), theirs.scores)
    best_of = [theirs.classes[i] for i in theirs.predicted]
    assert [row['predicted'] for row in ours] == best_of
    assert [float(row['confidence']) for row in ours] == pytest.approx(
        theirs.scores.max(axis=1)
    )


def test_files_folders_and_archives(photos, predict, tmp_path):
    packed = tmp_path / 'more.zip'
    with zipfile.ZipFile(packed, 'w') as archive:
        archive.write(photos / 'red/000.jpg', 'in/side.jpg')
        archive.writestr('in/broken.jpg', b'\xff\xd8 no photo')
    scratch = tmp_path / 'scratch'
    scratch.mkdir()
    out, found = tmp_path / 'out.csv', tmp_path / 'out.json'
    code, output = predict(
        *(photos / 'red', 'gone.jpg', packed, photos / 'blue tit/00[01].jpg'),
        *('--csv', out, '--json', found, '--threshold', 0.999),
        first=f'import tempfile; tempfile.tempdir = {str(scratch)!r}',
    )
    assert code == 2
    rows = read(out)
    assert [row['photo'] for row in rows] == [
        *(str(photos / 'red' / f'{i:03}.jpg') for i in range(20)),
        f'{packed}/in/side.jpg',
        *(str(photos / 'blue tit' / f'{i:03}.jpg') for i in range(2)),
    ]
    assert rows[0] | {'photo': ''} == rows[20] | {'photo': ''}
    assert {row['predicted'] for row in rows} == {'unsure'}
    lines = output.splitlines()
    assert sum(line.startswith('unsure: ') for line in lines) == 23
    assert lines[-3:] == [
        '2 of 25 photos could not be classified:',
        '  gone.jpg: cannot be opened (No such file or directory)',
        f'  {packed}/in/broken.jpg: not a photo by its content',
    ]
    assert any('23 photos in' in line for line in lines)
    content = json.loads(found.read_text(encoding='utf-8'))
    assert content['classes'] == CLASSES
    assert content['threshold'] == 0.999
    assert len(content['photos']) == 23
    assert [one['photo'] for one in content['bad']] == [
        'gone.jpg',
        f'{packed}/in/broken.jpg',
    ]
    assert not list(scratch.iterdir())


def test_sorting_twice(photos, predict, tmp_path):
    mine = tmp_path / 'mine'
    shutil.copytree(photos, mine)
    before = {path: path.read_bytes() for path in mine.rglob('*.jpg')}
    # In the folder that is read: it must not be read the second time.
    sorted_ = mine / 'sorted'
    out = tmp_path / 'out.csv'
    args = (mine, '--sort-into', sorted_, '--csv', out, '--threshold', 0.5)
    code, output = predict(*args)
    assert code == 0, output
    rows = read(out)
    copies = {path: path.read_bytes() for path in sorted_.rglob('*.jpg')}
    assert len(rows) == len(copies) == 60
    assert f'{sorted_}: 60 copied' in output
    for row in rows:
        folder = sorted_ / row['predicted']
        (wanted,) = {before[Path(row['photo'])]} & {
            path.read_bytes() for path in folder.iterdir()
        }
        assert wanted in copies.values()
    code, output = predict(*args)
    assert code == 0, output
    assert 'skipped 60 photos in class folders of' in output
    assert '0 copied, 60 existed' in output
    after = {path: path.read_bytes() for path in mine.rglob('*.jpg')}
    assert after == before | copies
    assert len(read(out)) == 60
    code, output = predict(
        *(sorted_, '--sort-into', sorted_, '--threshold', 0.5)
    )
    assert code == 2, output
    assert 'error: all photos are in class folders of' in output


def renamed(best: Path, path: Path, classes: list[str]) -> Path:
    found = read_checkpoint(best)
    found['meta']['dataset_meta']['classes'] = classes
    torch.save(found, path)
    return path


def test_class_names_lead_nowhere_else(best, photos, predict, tmp_path):
    names = ['../../up', '/etc/x', 'con']
    model = renamed(best, tmp_path / 'x.pth', names)
    inside = tmp_path / 'deep' / 'er' / 'out'
    code, output = predict(photos, '--sort-into', inside, model=model)
    assert code == 0, output
    assert {path.name for path in inside.iterdir()} <= {
        '_.._.._up', '_etc_x', '_con',
    }  # fmt: skip
    assert [path.name for path in (tmp_path / 'deep').iterdir()] == ['er']
    assert len(list(inside.rglob('*.jpg'))) == 60


def test_a_class_called_unsure(best, photos, predict, tmp_path):
    model = renamed(best, tmp_path / 'x.pth', ['a', 'unsure', 'b'])
    code, output = predict(photos / 'red', model=model)
    assert code == 0, output
    code, output = predict(
        *(photos / 'red', '--threshold', 0.5, '--sort-into', tmp_path / 'out'),
        model=model,
    )
    assert code == 2
    assert 'is also a class' in output
    assert not (tmp_path / 'out').exists()


def test_without_photos(predict, tmp_path):
    (tmp_path / 'empty').mkdir()
    code, output = predict(tmp_path / 'empty', '*.gone')
    assert code == 2
    assert 'a folder without photos' in output
    assert '*.gone: matches no photo' in output
    assert output.endswith('error: PHOTOS contains no photos\n')


def test_unreadable_photos(predict, tmp_path):
    (tmp_path / 'x.jpg').write_text('x')
    out = tmp_path / 'x.json'
    code, output = predict(tmp_path / 'x.jpg', 'gone.jpg', '--json', out)
    assert code == 2
    assert '0 photos in' in output
    assert '2 of 2 photos could not' in output
    found = json.loads(out.read_text())
    assert (found['photos'], len(found['bad'])) == ([], 2)


@pytest.mark.parametrize('out', ['-', 'both.csv'])
def test_csv_and_json_in_one_file(out, predict):
    code, output = predict('x.jpg', '--csv', out, '--json', out)
    assert code == 2
    assert 'name the same file' in output


def test_other_files_are_not_replaced(photos, predict, tmp_path):
    """`--csv photos/*` names a photo as the CSV file."""
    mine = [tmp_path / 'a.jpg', tmp_path / 'b.jpg', tmp_path / 'c.csv']
    for path in mine:
        shutil.copy(photos / 'red/000.jpg', path)
    content = mine[0].read_bytes()
    for flags in (
        ['--csv', mine[0], mine[1]],
        ['--json', mine[0], mine[0]],
        ['--json', mine[2], mine[0]],
        ['--csv', mine[2], mine[2]],
        ['--csv', tmp_path, mine[0]],
    ):
        code, output = predict(*flags)
        assert code == 2
        assert 'Name a' in output
        assert [path.read_bytes() for path in mine] == [content] * 3
    # Earlier results are replaced.
    assert predict(mine[0], '--csv', mine[2])[0] == 0
    assert mine[2].read_text().startswith('photo,')


CLOSED = """
import os
import sys

read, write = os.pipe()
os.close(read)
os.dup2(write, 1)
sys.stdout = open(1, 'w')
"""


@pytest.mark.parametrize('kind', ['--csv', '--json', '--topk=1'])
def test_closed_pipe(kind, photos, predict):
    args = [kind, '-'] if kind in ('--csv', '--json') else [kind]
    code, output = predict(
        photos,
        *args,
        first=CLOSED,
    )
    assert code == 1, output
    assert 'Traceback' not in output
    assert 'rror' not in output


TERMINAL = """
import os
import pty
import sys
import threading

reads, writes = pty.openpty()
os.dup2(writes, 2)
sys.stderr = open(2, 'w')

def drain():
    while os.read(reads, 1000):
        pass

threading.Thread(target=drain, daemon=True).start()
"""


@pytest.mark.skipif(os.name == 'nt', reason='has no such terminals')
@pytest.mark.parametrize('kind', [[], ['--csv', '-']])
def test_a_bar_on_the_terminal_leaves_the_output_alone(kind, photos, predict):
    code, output = predict(photos / 'red', *kind, first=TERMINAL)
    assert code == 0, output
    lines = output.splitlines()
    assert len(lines) == 20 + len(kind) // 2
    assert all('.jpg' in line for line in lines[-20:])
    assert '\x1b' not in output


STOP = f"""
import os
from flower_mm.inference.classifier import Classifier

each = Classifier.each

def stopped(self, photos):
    for number, result in enumerate(each(self, photos)):
        if number == 5:
            os.kill(os.getpid(), {signal.SIGINT:d})
        yield result

Classifier.each = stopped
"""


def test_stopped_in_the_middle(photos, predict, tmp_path):
    out = tmp_path / 'out.csv'
    out.write_text('old')
    scratch = tmp_path / 'scratch'
    scratch.mkdir()
    packed = Path(shutil.make_archive(tmp_path / 'p', 'zip', photos))
    code, output = predict(
        *(packed, '--csv', out, '--sort-into', tmp_path / 'sorted'),
        first=f'{STOP}import tempfile; tempfile.tempdir = {str(scratch)!r}',
    )
    assert code == 130
    assert 'stopped' in output
    assert 'Traceback' not in output
    assert out.read_text() == 'old'
    assert not list(scratch.iterdir())
    assert not list(tmp_path.rglob('*.part'))


FULL = """
import errno
import os
import shutil
import tempfile

def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

"""


@pytest.mark.parametrize(
    ('which', 'flag'),
    [('shutil.copyfileobj', '--sort-into'), ('tempfile.mkstemp', '--csv')],
)
def test_a_full_disk(which, flag, photos, predict, tmp_path):
    out = tmp_path / 'out'
    code, output = predict(photos, flag, out, first=f'{FULL}{which} = full')
    assert code == 2
    assert f'error: no disk space for {out}' in output
    assert ' MB (' in output
    assert not [path for path in out.rglob('*') if path.is_file()]


MEMORY = """
from flower_mm.inference.model import TrainedModel

def full(self, batch):
    raise MemoryError

TrainedModel.scores = full
"""


def test_out_of_memory(photos, predict):
    code, output = predict(photos, '--batch-size', 24, first=MEMORY)
    assert code == 2
    assert 'too small for a batch of 24 photos' in output
    assert '--batch-size 12' in output


# --- as processes of their own -----------------------------------------------


@pytest.mark.skipif(
    sys.platform != 'linux', reason='elsewhere names are Unicode'
)
def test_names_of_any_bytes_and_only_json_on_standard_output(
    best, photos, tmp_path
):
    odd = tmp_path / os.fsdecode(b'\xff \n[b].jpg')
    shutil.copy(photos / 'red/000.jpg', odd)
    done = subprocess.run(
        [sys.executable, ROOT / 'tools/predict.py', best, '-', '--json', '-'],
        input=os.fsencode(odd) + b'\0gone.jpg\0',
        capture_output=True,
        env=os.environ | {'OMP_NUM_THREADS': '1'},
    )
    assert done.returncode == 2
    found = json.loads(done.stdout)
    assert [one['photo'] for one in found['photos']] == [str(odd)]
    assert [one['photo'] for one in found['bad']] == ['gone.jpg']
    assert b'1 photo in' in done.stderr


def test_help_is_fast_and_loads_nothing():
    code = (
        'import sys, runpy; sys.argv = [sys.argv[1], "--help"]\n'
        'try: runpy.run_path(sys.argv[0], run_name="__main__")\n'
        'except SystemExit: pass\n'
        'print([m for m in ("numpy", "PIL", "torch") if m in sys.modules])'
    )
    done = subprocess.run(
        [sys.executable, '-c', code, ROOT / 'tools/predict.py'],
        capture_output=True,
        text=True,
    )
    assert '--sort-into' in done.stdout
    assert 'exit code is 2' in ' '.join(done.stdout.split())
    assert done.stdout.endswith('[]\n')


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--threshold', '80'], 'from 0 to 1'),
        (['--threshold', 'nan'], 'from 0 to 1'),
        (['--topk', '0'], 'at least 1'),
        (['--batch-size', '-1'], 'at least 1'),
    ],
)
def test_numbers_out_of_range(args, message):
    done = tool('predict', 'best.pth', 'x.jpg', *args, check=False)
    assert done.returncode == 2
    assert message in done.stderr

"""Text of strangers does not steer the terminal, whichever tool shows it."""

import argparse
import io
import json
import os
import re
import shutil
import sys
from pathlib import Path

import forked
import pytest
import torch
from helpers import CLASSES, draw_photo

from flower_mm import console
from flower_mm.annotations import read_classes
from flower_mm.cli.run_command import run
from flower_mm.console import PlainStream, plain_streams
from flower_mm.errors import UserError
from flower_mm.inference import prediction_files
from flower_mm.inference.classifier import Prediction
from flower_mm.plain_text import class_name_fault, visible
from flower_mm.prepare.file_tree import list_folder
from flower_mm.prepare.sources.listing import Source
from flower_mm.prepare.sources.recognise import recognise
from flower_mm.weights.read_checkpoint import read_checkpoint

# Sets the title of a terminal, clears it, moves up; C1 controls do the same.
NASTY = '\x1b]0;own\x07\x1b[2J\x1b[1A\x9b31m\x7f'
STEERS = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e]')


def name(text: str) -> str:
    """Short enough for a file name."""
    return f'{text}{NASTY}'


# --- classes -----------------------------------------------------------------

BAD_NAMES = [
    NASTY,
    'rose\x1b[31m',
    'tab\there',
    'rose\u202egpj',
    'rose\u2066',
    'a\ud800',
    'line\u2028',
    'x' * 256,
]
GOOD_NAMES = ['étoile', '花', 'می\u200cخو', '👩\u200d🌾', 'a' * 255, '=1+1']


@pytest.mark.parametrize('bad', BAD_NAMES)
def test_an_invalid_class_name_is_named(bad):
    assert class_name_fault(bad)


@pytest.mark.parametrize('good', GOOD_NAMES)
def test_names_in_any_language_are_valid(good):
    assert class_name_fault(good) == ''
    assert visible(good) == good


@pytest.mark.parametrize('bad', ['rose\x1b[31m', 'rose\u202egpj', 'x' * 256])
def test_classes_txt_is_checked(bad, tmp_path):
    (tmp_path / 'classes.txt').write_text(f'daisy\n{bad}\n', 'utf-8')
    with pytest.raises(UserError, match='invalid class name') as error:
        read_classes(tmp_path)
    assert not STEERS.search(str(error.value))


@pytest.mark.parametrize('key', ['dataset_meta', 'classes'])
def test_classes_of_a_checkpoint_are_checked(key, tmp_path):
    bad = ['daisy', 'rose\x1b[31m']
    meta = {key: {'classes': bad} if key == 'dataset_meta' else bad}
    torch.save({'state_dict': {}, 'meta': meta}, tmp_path / 'x.pth')
    with pytest.raises(UserError, match='is refused: a class') as error:
        read_checkpoint(tmp_path / 'x.pth')
    assert not STEERS.search(str(error.value))


def test_folders_of_classes_are_checked(tmp_path):
    for folder in ('daisy', 'rose\u202egpj'):
        draw_photo(tmp_path / folder / '1.jpg', 0, 0)
    with pytest.raises(UserError, match='invalid class name'):
        recognise(Source(tmp_path, list_folder(tmp_path)))


# --- the streams -------------------------------------------------------------


@pytest.mark.parametrize('stream', ['stdout', 'stderr'])
def test_printed_text_is_escaped(stream, capsys):
    with plain_streams():
        print(f'a\tb\r{NASTY}', file=getattr(sys, stream))
        getattr(sys, stream).writelines([NASTY, 'end\n'])
    text = getattr(capsys.readouterr(), stream.removeprefix('std'))
    assert not STEERS.search(text)
    assert text.startswith('a\tb\r\\x1b]0;own\\x07')
    assert not isinstance(sys.stdout, PlainStream)


def test_a_closed_stream_stays_closed(monkeypatch):
    monkeypatch.setattr(sys, 'stdout', None)
    with plain_streams():
        assert sys.stdout is None


def test_a_bar_does_not_let_text_through(monkeypatch):
    """It takes over the streams, and has colours of its own."""
    screen = io.StringIO()
    screen.isatty = lambda: True
    screen.reconfigure = lambda **_: None
    monkeypatch.setenv('TERM', 'xterm')
    for stream in ('stdout', 'stderr'):
        monkeypatch.setattr(sys, stream, screen)
    with plain_streams():
        with console.progress(2, f'reading {NASTY}') as advance:
            print(f'printed {NASTY}')
            advance(1)
        print(f'after {NASTY}')
    text = screen.getvalue()
    assert '\x1b[' in text  # the bar's own
    assert text.count('\\x1b]0;own\\x07\\x1b[2J') >= 3
    assert '\x1b]' not in text
    assert '\x1b[2J' not in text


@pytest.mark.parametrize('output', ['table', 'csv', 'json'])
def test_predictions_on_a_terminal(output, monkeypatch):
    screen = io.TextIOWrapper(io.BytesIO(), 'utf-8')
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, 'stdout', screen)
    found = Prediction(f'{NASTY}\u202e.jpg', {'a': 0.75, 'b': 0.25})
    with plain_streams():
        outputs = {
            'table': lambda: prediction_files.table_on(
                sys.stdout, ['a', 'b'], ['a', 'b'], 1
            ),
            'csv': lambda: prediction_files.csv_into('-', ['a', 'b']),
            'json': lambda: prediction_files.json_into('-', {}, []),
        }
        with outputs[output]() as put:
            put(found, 'a')
    screen.flush()
    text = screen.buffer.getvalue().decode()
    assert '0.75' in text or '75.0 %' in text
    # What is left is the colour of the table's head.
    text = re.sub(r'\x1b\[[0-9;]*m', '', text) if output == 'table' else text
    assert not STEERS.search(text)


def test_messages_of_errors_are_visible(capsys, monkeypatch):
    def fail(args) -> None:
        raise RuntimeError(NASTY)

    monkeypatch.setattr(sys, 'argv', ['tool'])
    with pytest.raises(SystemExit) as ended:
        run(fail, argparse.ArgumentParser())
    assert ended.value.code == 1
    assert not STEERS.search(capsys.readouterr().err)


# --- every tool --------------------------------------------------------------


@pytest.fixture(scope='module')
def nasty(
    plain_run: Path, dataset: Path, config: Path, tmp_path_factory
) -> dict[str, Path]:
    """Files and folders that a stranger has named and filled."""
    folder = tmp_path_factory.mktemp('nasty')
    found = {
        'RUN': folder / name('run'),
        'DATA': folder / name('data'),
        'CONFIG': folder / f'{name("config")}.py',
        'MODEL': folder / f'{name("best")}.pth',
        'BAD_MODEL': folder / 'classes.pth',
        'BAD_DATA': folder / 'bad_data',
        'PHOTOS': folder / name('photos'),
        'PREPARED': folder / name('prepared'),
        'OUT': folder / name('out'),
    }
    shutil.copytree(plain_run, found['RUN'])
    shutil.copytree(dataset, found['DATA'])
    shutil.copytree(dataset, found['BAD_DATA'])
    classes = [NASTY, *CLASSES[1:]]
    (found['BAD_DATA'] / 'classes.txt').write_text('\n'.join(classes), 'utf-8')
    text = config.read_text('utf-8')
    found['CONFIG'].write_text(
        f'{text}\noptimzer = {NASTY!r}\nexperiment_name = "x"\n', 'utf-8'
    )
    shutil.copy(plain_run / 'best.pth', found['MODEL'])
    best = torch.load(plain_run / 'best.pth', weights_only=True)
    best['meta']['dataset_meta']['classes'] = classes
    best['meta']['classes'] = classes
    torch.save(best, found['BAD_MODEL'])
    for number, kind in enumerate(CLASSES):
        draw_photo(found['PHOTOS'] / kind / f'{name("a")}.jpg', number, 0)
        draw_photo(found['PHOTOS'] / kind / 'b.jpg', number, 1)
        (found['PHOTOS'] / kind / f'{name("c")}.jpg').write_text(NASTY)
    record = json.loads((found['RUN'] / 'run.json').read_text('utf-8'))
    for key, value in record.items():
        if isinstance(value, str):
            record[key] = NASTY
    record['data_root'] = str(found['DATA'])
    record['error'] = NASTY
    (found['RUN'] / 'run.json').write_text(json.dumps(record), 'utf-8')
    return found


COMMANDS = {
    'train_bad_classes': 'train CONFIG --data-root BAD_DATA --work-dir OUT',
    'train_no_data': f'train CONFIG --data-root OUT{NASTY}',
    'train_no_config': f'train OUT{NASTY}.py',
    'train_unknown_option': f'train CONFIG --{NASTY}',
    'doctor': 'doctor CONFIG --data-root DATA',
    'doctor_bad_classes': 'doctor CONFIG --data-root BAD_DATA',
    'test_bad_classes': 'test CONFIG BAD_MODEL --data-root DATA',
    'test_bad_data': 'test CONFIG MODEL --data-root BAD_DATA',
    'test': 'test CONFIG MODEL --data-root DATA --work-dir OUT/t',
    'predict': 'predict MODEL PHOTOS',
    'predict_json': 'predict MODEL PHOTOS --json OUT/p.json --csv OUT/p.csv',
    'predict_sort': 'predict MODEL PHOTOS --sort-into OUT/sorted',
    'predict_bad_classes': 'predict BAD_MODEL PHOTOS',
    'report': 'report RUN --data-root DATA',
    'report_bad_data': 'report RUN --data-root BAD_DATA',
    'compare': 'compare CONFIG --data-root BAD_DATA --out OUT/c',
    'export': 'export MODEL --to safetensors --data-root DATA --out OUT/e',
    'export_bad_classes': 'export BAD_MODEL --to safetensors',
    'share_bad_data': 'share RUN OUT/s --data-root BAD_DATA',
    'serve_bad_classes': 'serve BAD_MODEL --port 0',
    'serve_no_model': 'serve OUT/none.pth --port 0',
    'prepare_stops': 'prepare_dataset PHOTOS --out PREPARED',
    'prepare_skips': 'prepare_dataset PHOTOS --out PREPARED --on-bad skip',
    'prepare_checks': 'prepare_dataset --check --out BAD_DATA',
    'look': 'look DATA --out OUT/l.html --run MODEL',
    'look_photos': 'look PHOTOS --out OUT/l.html --no-map',
    'look_bad_data': 'look BAD_DATA --out OUT/l.html --no-map',
    'similar': 'similar PHOTOS --data DATA --run MODEL',
    'similar_json': 'similar PHOTOS --data DATA --run MODEL --json OUT/s.json',
    'similar_bad_data': 'similar PHOTOS --data BAD_DATA --run BAD_MODEL',
    'get_weights': f'get_weights {NASTY}',
    'make_demo': f'make_demo --classes {NASTY}',
}


# The others are slow together; one kind of text is in each of these.
OFTEN = (
    'doctor_bad_classes', 'get_weights', 'predict', 'prepare_stops', 'report',
    'test_bad_classes', 'train_no_config',
)  # fmt: skip


@pytest.mark.parametrize(
    'command',
    [
        pytest.param(c, marks=[] if c in OFTEN else pytest.mark.nightly)
        for c in COMMANDS
    ],
)
def test_no_tool_lets_it_through(command, nasty, tmp_path):
    tool, *words = COMMANDS[command].split(' ')
    args = []
    for word in words:
        key = word.partition('/')[0].partition(NASTY)[0]
        place = str(nasty[key]) if key in nasty else key
        args.append(place + word[len(key) :])
    # Without the folder of this test no relative path is of the project.
    run = forked.start(tmp_path / 'log', tool, *args)
    code = run.wait()
    text = run.log.read_bytes().decode(errors='surrogateescape')
    assert not STEERS.search(text), STEERS.search(text)
    assert text.strip()
    assert code == 0 or 'Traceback' not in text
    assert code in (0, 2), text
    assert os.path.lexists(nasty['RUN'])

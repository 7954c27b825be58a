"""corrections.csv: nothing is lost, nothing is overwritten."""

import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest

from flower_mm.errors import UserError
from flower_mm.prepare import corrections
from flower_mm.prepare.corrections import (
    COLUMNS,
    ConflictError,
    Correction,
    Corrections,
)

FIRST = Correction(
    '2026-01-02T03:04:05Z', 'ann', 'train', 'daisy/a.jpg', 64 * 'f', 'daisy',
    'relabel', 'rose',
)  # fmt: skip
OTHER = replace(FIRST, photo='daisy/b.jpg', action='keep', new_label='')
KEY = FIRST.key


def test_a_decision_is_a_line(tmp_path):
    mine = Corrections(tmp_path)
    mine.add([FIRST])
    mine.add([OTHER])
    text = (tmp_path / 'corrections.csv').read_text('utf-8')
    assert text.splitlines() == [
        ','.join(COLUMNS),
        f'2026-01-02T03:04:05Z,ann,train,daisy/a.jpg,{64 * "f"},daisy,'
        'relabel,rose',
        f'2026-01-02T03:04:05Z,ann,train,daisy/b.jpg,{64 * "f"},daisy,keep,',
    ]
    again = Corrections(tmp_path)
    assert again.decisions() == [FIRST, OTHER]
    assert again.sha256 == mine.sha256
    assert (again.version(KEY), again.version(OTHER.key)) == (1, 2)
    assert again.version(('val', 'daisy/a.jpg')) == 0


def test_an_undo_withdraws_the_last_decision(tmp_path):
    mine = Corrections(tmp_path)
    undo = replace(FIRST, action='undo', new_label='')
    keep = replace(FIRST, action='keep', new_label='')
    mine.add([FIRST])
    mine.add([keep])
    assert mine.decision(KEY) == keep
    mine.add([undo])
    assert mine.decision(KEY) == FIRST
    mine.add([undo])
    mine.add([undo])
    assert mine.decision(KEY) is None
    assert mine.decisions() == []
    assert len(mine.lines) == 5
    mine.add([keep])
    assert Corrections(tmp_path).decision(KEY) == keep


@pytest.mark.parametrize(
    'torn', [b'2', b'2026-01-02T03:04:05Z,bob,train,"dai', b'x' * 3000]
)
def test_a_torn_last_line_is_ignored_and_removed(tmp_path, torn):
    Corrections(tmp_path).add([FIRST])
    path = tmp_path / 'corrections.csv'
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    mine = Corrections(tmp_path)
    assert mine.decisions() == [FIRST]
    mine.add([OTHER])
    assert path.read_bytes().startswith(whole)
    assert path.read_bytes().count(b'\n') == 3
    assert Corrections(tmp_path).decisions() == [FIRST, OTHER]


def test_a_line_without_its_end_never_counts(tmp_path):
    """`rose` may be the start of `rosemary`."""
    Corrections(tmp_path).add([FIRST])
    path = tmp_path / 'corrections.csv'
    path.write_bytes(path.read_bytes()[:-1])
    assert Corrections(tmp_path).decisions() == []


def test_each_beginning_of_the_file_is_valid(tmp_path):
    Corrections(tmp_path).add([FIRST, OTHER])
    path = tmp_path / 'corrections.csv'
    whole = path.read_bytes()
    counts = []
    for size in range(len(whole) + 1):
        path.write_bytes(whole[:size])
        counts.append(len(Corrections(tmp_path).decisions()))
    assert counts == sorted(counts)
    assert counts[-1] == 2


def test_another_decision_is_not_overwritten(tmp_path):
    mine, theirs = Corrections(tmp_path), Corrections(tmp_path)
    theirs.add([FIRST])
    keep = replace(FIRST, who='bob', action='keep', new_label='')
    with pytest.raises(ConflictError) as error:
        mine.add([OTHER, keep], lambda key, version: version == 0)
    assert error.value.keys == [KEY]
    assert mine.decision(KEY) == FIRST  # which it has read
    assert Corrections(tmp_path).lines == [FIRST]
    mine.add([keep], lambda key, version: version == 1)
    theirs.refresh()
    assert theirs.decision(KEY) == keep


def add_many(root: Path, who: str) -> None:
    mine = Corrections(root)
    for number in range(40):
        mine.add([replace(FIRST, who=who, photo=f'daisy/{number}.jpg')])


def test_processes_take_turns(tmp_path):
    context = multiprocessing.get_context('fork')
    names = ['ann', 'bob', 'cem']
    running = [
        context.Process(target=add_many, args=(tmp_path, who)) for who in names
    ]
    for process in running:
        process.start()
    for process in running:
        process.join()
    lines = Corrections(tmp_path).lines
    assert sorted((line.who, line.photo) for line in lines) == sorted(
        (who, f'daisy/{number}.jpg') for who in names for number in range(40)
    )


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    mine = Corrections(tmp_path)
    mine.add([FIRST])
    before = mine.path.read_bytes()

    def write(handle: int, data: bytes) -> int:
        if len(data) < 50:
            raise OSError(28, 'No space left on device')
        return real(handle, data[:50])

    real = os.write
    monkeypatch.setattr(corrections.os, 'write', write)
    with pytest.raises(UserError, match='no disk space'):
        mine.add([OTHER])
    monkeypatch.undo()
    assert mine.path.read_bytes() == before
    mine.add([OTHER])
    assert Corrections(tmp_path).decisions() == [FIRST, OTHER]


@pytest.mark.parametrize(
    'change',
    [
        {'action': 'delete'},
        {'split': '../x'},
        {'sha256': 'f'},
        {'new_label': ''},
        {'action': 'keep'},
        {'photo': ''},
    ],
)
def test_an_invalid_line_is_named(tmp_path, change):
    Corrections(tmp_path).add([OTHER])
    path = tmp_path / 'corrections.csv'
    line = ','.join(vars(replace(FIRST, **change)).values())
    path.write_text(path.read_text() + line + '\n')
    with pytest.raises(UserError, match=r'line 3: invalid correction'):
        Corrections(tmp_path)


def test_no_line_counts_twice_after_an_invalid_one(tmp_path):
    mine = Corrections(tmp_path)
    mine.add([OTHER])
    other = Corrections(tmp_path)
    other.add([FIRST])
    path = tmp_path / 'corrections.csv'
    valid = path.read_bytes()
    path.write_bytes(valid + b'spoilt\n')
    for _ in range(2):
        with pytest.raises(UserError, match='line 4:'):
            mine.refresh()
    path.write_bytes(valid)
    mine.add([replace(FIRST, action='undo', new_label='')])
    assert mine.decisions() == [OTHER]
    assert len(mine.lines) == 3


def test_a_file_that_an_editor_has_written(tmp_path):
    mine = Corrections(tmp_path)
    mine.add([FIRST, OTHER])
    text = mine.path.read_text('utf-8').replace('\n', '\r\n')
    mine.path.unlink()
    mine.path.write_bytes(b'\xef\xbb\xbf' + text.encode() + b'\r\n')
    mine.refresh()
    assert mine.decisions() == [FIRST, OTHER]


def test_names_stay_text_in_a_spreadsheet(tmp_path):
    odd = replace(FIRST, photo='=x/+a "1", é.jpg', old_label='=x', who='@me')
    Corrections(tmp_path).add([odd])
    assert Corrections(tmp_path).lines == [odd]
    assert "'=x/+a" in (tmp_path / 'corrections.csv').read_text('utf-8')


@pytest.mark.skipif(os.name == 'nt', reason='links take a privilege there')
def test_a_link_or_a_pipe_is_refused(tmp_path):
    private = tmp_path / 'private.txt'
    private.write_text('secret')
    dataset = tmp_path / 'data'
    dataset.mkdir()
    path = dataset / 'corrections.csv'
    path.symlink_to(private)
    with pytest.raises(UserError, match='not a file'):
        Corrections(dataset)
    path.unlink()
    mine = Corrections(dataset)
    path.symlink_to(private)
    with pytest.raises(UserError):
        mine.add([FIRST])
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(UserError, match='not a file'):
        mine.add([FIRST])
    assert private.read_text() == 'secret'

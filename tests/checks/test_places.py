"""Paths that only their author's machine has."""

import pytest
from bases import OURS
from examining import NOTE, WARN


def test_paths_of_somebody_elses_machine(check):
    text = (
        OURS
        + """
# As in /home/li/notes.txt.
work_dir = r'C:\\Users\\li\\work_dirs'
train_dataloader = dict(
    dataset=dict(data_root='/home/li/mmpretrain/data/flower'))
load_from = 'checkpoints/mine.pth'
"""
    )
    (found,) = check(text).found
    assert found.level == WARN
    assert 'C:\\Users\\li\\work_dirs and 1 more are not on' in found.what
    assert found.where.endswith('mine.py:4')
    root = '/home/li/mmpretrain/data/flower'
    (found,) = check(text, '--work-dir', 'x').found
    assert f'The path {root} is not on this machine' in found.what
    assert found.where.endswith('mine.py:6')
    assert check(text, '--work-dir', 'x', '--data-root', 'y').found == []


def test_a_personal_path_that_is_here_is_worth_a_note(check, tmp_path):
    text = OURS + "load_from = '~/../../tmp'"
    (found,) = check(text).found
    assert found.level == NOTE
    assert 'nobody else' in found.what


def test_a_personal_path_is_shown_without_detours(check):
    text = OURS + "load_from = '/home/li/work/../../li/x.pth'"
    assert 'The path /home/li/x.pth is not' in check(text).found[0].what


@pytest.mark.parametrize(
    'line',
    [
        "load_from = '../checkpoints/x.pth'",
        "load_from = 'https://host/home/x.pth'",
        "load_from = '/data/shared/x.pth'",  # of a lab's server
        "load_from = '{{fileDirname}}/home/x.pth'",
        "experiment_name = 'C: warm-up'",
    ],
)
def test_other_paths_are_left_alone(line, check):
    assert check(OURS + line).found == []

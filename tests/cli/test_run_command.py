"""Every command ends with a readable error and its exit code."""

import argparse
import gc
import os
import subprocess
import sys

import pytest

from flower_mm.cli.run_command import run
from flower_mm.errors import UserError
from flower_mm.exit_codes import FAULT, USER_ERROR
from flower_mm.torch_import import importing_torch

CODES = {
    'success': (None, 0),
    'its own': (3, 3),
    'user': (UserError('wrong'), USER_ERROR),
    'machine': (PermissionError(13, 'denied'), USER_ERROR),
    'system library': (ImportError('no libGL', name='cv2'), USER_ERROR),
    'ours': (ValueError('wrong'), FAULT),
    'Ctrl-C': (KeyboardInterrupt(), 130),
}


@pytest.mark.parametrize(('outcome', 'code'), CODES.values(), ids=CODES.keys())
def test_exit_codes(outcome, code, capsys):
    def command(args: argparse.Namespace) -> int | None:
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    with pytest.raises(SystemExit) as ended:
        run(command, argparse.ArgumentParser(), [])
    assert ended.value.code == code
    shown = capsys.readouterr().err
    assert 'Traceback' not in shown
    assert ('--debug' in shown) == (code == FAULT)


def test_threads_sleep_before_torch_is_imported():
    env = {k: v for k, v in os.environ.items() if k != 'OMP_WAIT_POLICY'}
    code = (
        'import argparse, os\n'
        'from flower_mm.cli.run_command import run\n'
        'say = lambda args: print(os.environ["OMP_WAIT_POLICY"])\n'
        'run(say, argparse.ArgumentParser())'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], env=env, capture_output=True, text=True
    )
    assert done.stdout == 'PASSIVE\n'


def test_garbage_collection_resumes_after_the_import():
    with importing_torch():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ImportError), importing_torch():
        import there_is_no_such_module  # noqa: F401
    assert gc.isenabled()


def test_exit_collects_what_the_import_of_torch_created():
    code = (
        'import atexit, gc\n'
        'from flower_mm.torch_import import importing_torch\n'
        'atexit.register(lambda: print(gc.get_freeze_count()))\n'
        'with importing_torch():\n'
        '    import json\n'
        'assert gc.get_freeze_count() > 0\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert done.stdout == '0\n'

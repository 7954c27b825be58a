"""What surrounds every command: readable errors and exit codes."""

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence

from flower_mm.commands import python
from flower_mm.console import hide_library_warnings, plain_streams
from flower_mm.errors import UserError, is_out_of_memory, message_of
from flower_mm.exit_codes import (
    FAULT,
    OK,
    USER_ERROR,
    Terminated,
    interrupted,
    let_children_end,
)
from flower_mm.torch_import import importing_torch, let_threads_sleep
from flower_mm.user_modules import import_modules

Command = Callable[[argparse.Namespace], int | None]
# Two distributions of the module cv2; the first needs libGL.
OPENCV = ('opencv-python', 'opencv-python-headless')


def run(
    command: Command,
    parser: argparse.ArgumentParser,
    words: Sequence[str] | None = None,
) -> None:
    """Parse the command line, call `command`, exit with its exit code.

    The exit code is 2 for a mistake that the user can fix, 1 for ours.
    """
    begin = time.monotonic()
    parser.add_argument(
        '--debug', action='store_true', help='show the traceback of an error'
    )
    let_threads_sleep()
    hide_library_warnings()
    # PlainStream would show the colour codes of MMEngine's log as text.
    os.environ.setdefault('ANSI_COLORS_DISABLED', '1')
    with plain_streams():
        args = parser.parse_args(words)
        args.begin = begin
        signal.signal(signal.SIGTERM, Terminated.on_signal)
        code = _run(command, args)
        let_children_end()
    sys.exit(code)


def _run(command: Command, args: argparse.Namespace) -> int:
    """Call `command`, explain what it raises, return the exit code."""
    try:
        if names := getattr(args, 'imports', None):
            with importing_torch():
                import_modules(names, here=True)
        if '://' in (getattr(args, 'data_root', None) or ''):
            # The one place that takes an address: the command line.
            from flower_mm.dataset_mirror import fetch

            args.data_root = str(fetch(args.data_root))
        code = command(args) or OK
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # `command | head`: Python would complain about the pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAULT
    except KeyboardInterrupt as stop:
        print('\nstopped', file=sys.stderr)
        return interrupted(stop)
    except Exception as error:
        if args.debug and not isinstance(error, UnicodeEncodeError):
            traceback.print_exc()
        message, code = _explain(error)
        print(f'error: {message}', file=sys.stderr)
        return code


def _explain(error: Exception) -> tuple[str, int]:
    """Return what to print for an error, and the exit code."""
    if isinstance(error, UserError):
        return message_of(error), USER_ERROR
    if is_out_of_memory(error):
        return (
            f'out of memory ({type(error).__name__}).\n'
            'Close other programs, or raise the limit of this shell: '
            'ulimit -v',
            USER_ERROR,
        )
    if isinstance(error, ImportError) and error.name == 'cv2':
        pip = f'{python()} -m pip'
        return (
            f'cannot import OpenCV: {error}\n'
            'Install the build that needs no window system:\n'
            f'{pip} uninstall --yes {" ".join(OPENCV)} && '
            f'{pip} install {OPENCV[1]}',
            USER_ERROR,
        )
    if isinstance(error, OSError):
        # Permissions, disk space, a name too long: the machine, not ours.
        return str(error), USER_ERROR
    if isinstance(error, UnicodeEncodeError):
        return (
            f'invalid name: expected text that UTF-8 can encode, got '
            f'{error.object!r}',
            USER_ERROR,
        )
    return (
        f'{type(error).__name__}: {error}\n'
        'This is a fault of flower_mm or of a library that it uses; the same '
        'command with --debug shows where.',
        FAULT,
    )

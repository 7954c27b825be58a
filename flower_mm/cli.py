"""What every tool does around its work: exit codes and readable errors."""

import argparse
import gc
import os
import shlex
import shutil
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from flower_mm.console import hide_library_warnings, plain_streams
from flower_mm.errors import UserError, is_out_of_memory
from flower_mm.user_modules import import_modules

OK, OURS, YOURS = 0, 1, 2
INTERRUPTED, TERMINATED = 130, 143  # as a shell tells SIGINT and SIGTERM


class Terminated(KeyboardInterrupt):
    """SIGTERM, from a scheduler or `kill`: leave as after Ctrl-C.

    `came` stays true: where all processes of a group are told to end, what
    one of them misses of another may hide the signal.
    """

    came = False

    @classmethod
    def on_signal(cls, *_: object) -> None:
        cls.came = True
        let_children_end()
        raise cls


@contextmanager
def loading() -> Iterator[None]:
    """Import torch and what is built on it without looking for garbage.

    Half a million objects come, and most stay. Python would go through them
    again and again, a sixth of the time, and in every full pass later on.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def wait_asleep() -> None:
    """Let torch's threads sleep while they wait for each other.

    They would spin, and take the core from the thread they wait for as soon
    as anything else runs: the workers that load photos, or a second run.
    OpenMP reads this when torch is imported.
    """
    os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')


def let_children_end() -> None:
    """Keep torch from raising at the end of each worker while we end too."""
    if hasattr(signal, 'SIGCHLD'):
        # Python would complain of SIG_DFL for one that is on its way.
        signal.signal(signal.SIGCHLD, lambda *_: None)


def interrupted(stop: KeyboardInterrupt) -> int:
    """The exit code of a tool that was told to stop."""
    return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED


def run(
    main: Callable[[argparse.Namespace], int | None],
    parser: argparse.ArgumentParser,
) -> None:
    """Parse the command line, call `main`, leave with its exit code.

    2 stands for a mistake that the user can mend, 1 for one of ours.
    """
    parser.add_argument(
        '--debug', action='store_true', help='show the traceback of an error'
    )
    wait_asleep()
    # MMEngine's log would come in colours, which PlainStream shows as text.
    os.environ.setdefault('ANSI_COLORS_DISABLED', '1')
    hide_library_warnings()
    with plain_streams():
        args = parser.parse_args()
        signal.signal(signal.SIGTERM, Terminated.on_signal)
        code = _run(main, args)
        let_children_end()
    sys.exit(code)


def _run(
    main: Callable[[argparse.Namespace], int | None], args: argparse.Namespace
) -> int:
    """Call `main`, explain what it raises and return the exit code."""
    try:
        if names := getattr(args, 'imports', None):
            with loading():
                import_modules(names, here=True)
        code = main(args) or OK
        sys.stdout.flush()
    except UserError as error:
        if args.debug:
            traceback.print_exc()
        print(f'error: {message_of(error)}', file=sys.stderr)
        code = YOURS
    except BrokenPipeError:
        # `tool | head`: nobody reads on, and Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OURS
    except OSError as error:
        # No permission, no room, a name too long: the machine's, not ours.
        if args.debug:
            traceback.print_exc()
        print(f'error: {_memory_hint(error) or error}', file=sys.stderr)
        code = YOURS
    except UnicodeEncodeError as error:
        print(
            f'error: {error.object!r} cannot be written as UTF-8: another '
            'name, please',
            file=sys.stderr,
        )
        code = YOURS
    except KeyboardInterrupt as stop:
        print('\nstopped', file=sys.stderr)
        code = interrupted(stop)
    except Exception as error:
        if args.debug:
            traceback.print_exc()
        hint = _memory_hint(error)
        print(
            f'error: {hint}'
            if hint
            else f'error: {type(error).__name__}: {error}\n'
            'This is a fault of flower_mm or of a library below it; the same '
            'command with --debug shows where.',
            file=sys.stderr,
        )
        code = YOURS if hint else OURS
    return code


def _memory_hint(error: Exception) -> str:
    """What to do where the memory was full; '' where it was not."""
    if not is_out_of_memory(error):
        return ''
    return (
        f'the memory was not enough ({type(error).__name__}).\n'
        'Close other programs, or raise the limit of this shell: ulimit -v'
    )


def message_of(error: BaseException) -> str:
    """The message alone; torch wraps a worker's in the worker's traceback."""
    return str(error).rpartition(f'{UserError.__name__}: ')[2].strip()


def command(tool: str, *args: str | Path) -> str:
    """A command as the user can paste it, for one of the tools.

    With the Python that runs now, which need not be the shell's, and the
    tools beside the one that was called, in a clone or installed.
    """
    path = Path(sys.argv[0]).with_name(f'{tool}.py')
    return shlex.join([python(), *map(str, (path, *args))])


def python() -> str:
    """The running Python, as short as the shell understands it."""
    found = shutil.which('python')
    if found and Path(found) == Path(sys.executable):
        return 'python'
    here = Path(sys.executable)
    return str(
        here.relative_to(Path.cwd())
        if here.is_relative_to(Path.cwd())
        else here
    )


def count(text: str) -> int:
    """What a flag takes that says how often."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError('1 or more')
    return number


def seed(text: str) -> int:
    """What `--seed` takes: numpy's generators know no larger ones."""
    number = int(text)
    if not 0 <= number < 2**32:
        raise argparse.ArgumentTypeError('a seed is from 0 to 4294967295')
    return number

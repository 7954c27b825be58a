"""Commands as this user types them, for messages that name the next step."""

import shlex
import shutil
import sys
from pathlib import Path

PROGRAM = 'flower-mm'
# The scripts in tools/ that are named differently from their command.
TOOLS = {
    'prepare': 'prepare_dataset',
    'weights': 'get_weights',
    'check': 'doctor',
    'demo': 'make_demo',
}


def command(name: str, *args: str | Path) -> str:
    """Return a command line that the user can paste into a shell.

    It has the form of the command that is running: the installed `flower-mm`,
    `python -m flower_mm`, or a script in tools/. Scripts get the running
    Python, which may differ from the shell's.
    """
    return shlex.join([*_program(name), *map(str, args)])


def typed_command() -> str:
    """Return the command line that is running."""
    if _is_program():
        return command(sys.argv[1], *sys.argv[2:])
    return shlex.join([python(), *sys.argv])


def typed_arguments() -> list[str]:
    """Return the words that follow the command's name."""
    return sys.argv[2:] if _is_program() else sys.argv[1:]


def is_tool() -> bool:
    """Return whether a script in tools/ is running."""
    return Path(sys.argv[0]).with_name('prepare_dataset.py').is_file()


def python() -> str:
    """Return the running Python, as briefly as the shell understands it."""
    in_path = shutil.which('python')
    if in_path and Path(in_path) == Path(sys.executable):
        return 'python'
    return _relative(Path(sys.executable))


def install_command(extra: str) -> str:
    """Return the command that installs the packages of an extra."""
    return f"{python()} -m pip install 'flower_mm[{extra}]'"


def _program(name: str) -> list[str]:
    if is_tool():
        script = Path(sys.argv[0]).with_name(f'{TOOLS.get(name, name)}.py')
        return [python(), str(script)]
    script = Path(sys.argv[0]).absolute()
    if script.stem != PROGRAM:
        script = Path(sys.executable).with_name(PROGRAM)
    in_path = shutil.which(PROGRAM)
    if in_path and Path(in_path).absolute() == script:
        return [PROGRAM, name]
    if script.is_file():
        return [_relative(script), name]
    return [python(), '-m', 'flower_mm', name]


def _is_program() -> bool:
    path = Path(sys.argv[0])
    return path.stem == PROGRAM or (
        path.name == '__main__.py' and path.parent.name == 'flower_mm'
    )


def _relative(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)

"""Shell completion, by a script that shtab writes for bash, zsh or tcsh."""

import argparse
from collections.abc import Iterator
from typing import Any

from flower_mm.commands import install_command
from flower_mm.errors import UserError
from flower_mm.packaged_configs import short_names

SHELLS = ('bash', 'zsh', 'tcsh')
FILES = ('CHECKPOINT', 'FILE', 'HTML', 'NAME', 'PHOTOS', 'PNG', 'RUN')
FOLDERS = ('DATASET', 'FOLDER', 'OUT', 'WORK_DIR')


def completion_script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the script that completes the commands of a parser."""
    try:
        import shtab
    except ImportError as error:
        raise UserError(
            f'shell completion needs shtab:\n  {install_command("completion")}'
        ) from error

    completions: dict[Any, dict] = {
        **dict.fromkeys(FILES, shtab.FILE),
        **dict.fromkeys(FOLDERS, shtab.DIRECTORY),
        'CONFIG': _configs(),
    }
    for action in _actions(parser):
        if action.metavar in completions:
            completion = completions[action.metavar]
            action.complete = completion  # type: ignore[attr-defined]  # shtab's
    return shtab.complete(parser, shell)


def _configs() -> dict[str, object]:
    """Return how short names and files are completed, by shell."""
    names = ' '.join(short_names())
    name = '_flower_mm_configs'
    return {
        'bash': name,
        'zsh': name,
        'tcsh': 'f',
        'preamble': {
            'bash': f'{name}() {{\n'
            f'  compgen -W "{names}" -- "$1"\n'
            '  compgen -f -- "$1"\n'
            '}',
            'zsh': f'{name}() {{\n'
            f"  _alternative 'names:config:({names})' 'files:file:_files'\n"
            '}',
        },
    }


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for part in action.choices.values():
                yield from _actions(part)

"""Paths in a config that only its author's machine has."""

import os.path
import re
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

from mmengine.config import Config

from flower_mm.checks.finding import Finding, note, warn
from flower_mm.checks.keys.source import Source
from flower_mm.config import datasets

PERSONAL = re.compile(r'/(home|Users|root)/\S|~[^/\s]*/|[A-Za-z]:[\\/]')
MEND = (
    'a path relative to where you start from; for the photos: '
    '--data-root FOLDER'
)


def check_places(
    cfg: Config, args: Namespace, sources: list[Source]
) -> Iterator[Finding]:
    """Find personal paths in the user's files, not in what they build on."""
    decided = set()
    if args.data_root:
        decided = {str(part.data_root) for part in datasets(cfg)}
    if args.work_dir:
        decided.add(cfg.get('work_dir'))
    here, nowhere = {}, {}
    for source in sources:
        if source.packaged:
            continue
        for text, line in source.strings():
            if PERSONAL.match(text) and text not in decided:
                found = here if _is_here(text, cfg) else nowhere
                found.setdefault(text, f'{source.path}:{line}')
    if nowhere:
        yield warn(_say(nowhere, 'not on this machine'), *_first(nowhere))
    if here:
        yield note(
            _say(here, 'on this machine only, so nobody else can run this'),
            *_first(here),
        )


def _is_here(text: str, cfg: Config) -> bool:
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # ~somebody
        return False
    if not path.is_absolute():
        return False  # of Windows, and this is another system
    # The work dir is made where it is not.
    return path.exists() or (
        text == cfg.get('work_dir') and path.parent.exists()
    )


def _say(found: dict[str, str], where: str) -> str:
    text = next(iter(found))
    if '/../' in text:
        text = os.path.normpath(text)
    kind = 'Windows path' if PureWindowsPath(text).drive else 'path'
    more = f' and {len(found) - 1} more' if len(found) > 1 else ''
    are = 'are' if more else 'is'
    return f'The {kind} {text}{more} {are} {where}.'


def _first(found: dict[str, str]) -> tuple[str, str]:
    return next(iter(found.values())), MEND

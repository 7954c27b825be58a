"""What the pages of the documentation say: links, commands, code."""

import re
import shlex
from pathlib import Path

from helpers import ROOT

PAGES = [
    *sorted(ROOT.glob('*.md')),
    *sorted((ROOT / 'docs').glob('*.md')),
    *sorted((ROOT / 'docs' / 'hooks' / 'checks').glob('*.md')),
    ROOT / 'configs' / 'flower' / 'README.md',
    ROOT / 'benchmarks' / 'README.md',
]
# Commands and their scripts, as the page for beginners lists them.
SCRIPTS = dict(
    re.findall(
        r'\| `flower-mm (\w+)` \| `tools/(\w+)\.py` \|',
        (ROOT / 'docs' / 'get_started.md').read_text(encoding='utf-8'),
    )
)
BLOCK = re.compile(r'^( *)```(\w*)\n(.*?)^\1```$', re.MULTILINE | re.DOTALL)
COMMAND = re.compile(
    r'(?:flower-mm (?P<name>\w+)|\S*python tools/(?P<script>\w+)\.py)'
)


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of a page in a language, without their indent."""
    text = page.read_text(encoding='utf-8')
    return [
        re.sub(f'^{indent}', '', code, flags=re.MULTILINE)
        for indent, of, code in BLOCK.findall(text)
        if of == language
    ]


def commands(code: str) -> list[tuple[str, list[str]]]:
    """The commands of flower_mm in shell code: name and arguments."""
    found = []
    for line in code.replace('\\\n', ' ').splitlines():
        match = COMMAND.search(line)
        if match and line[: match.start()].count("'") % 2 == 0:
            name = match['name'] or _name_of(match['script'])
            words = shlex.split(line[match.end() :], comments=True)
            found.append((name, words))
    return found


def _name_of(script: str) -> str:
    return next(name for name, of in SCRIPTS.items() if of == script)

"""Put generated parts into the pages of the documentation site.

MkDocs calls the functions `on_...` while it builds. A page asks for a part by
a comment on a line of its own:

    <!-- include SECURITY.md -->   the text of a file of the repository
    <!-- packages -->              the packages of flower_mm
    <!-- versions -->              allowed and locked versions
    <!-- weights -->               the table of pretrained weights

    <!-- checks -->                the codes of the checks
    <!-- report.json -->           the keys of report.json
    <!-- comparison.json -->       the keys of comparison.json

`imports.svg` and a page for each check are made here, too.
"""

import ast
import configparser
import json
import os
import re
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
import check_pages
from import_graph import draw, packages_of
from schema_tables import tables

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
PACKAGE = ROOT / 'flower_mm'
CODES = PACKAGE / 'checks' / 'codes.py'
INCLUDE = re.compile(r'^<!-- include (\S+) -->$', re.MULTILINE)
LINK = re.compile(r'\[([^\]]+)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)]*)?\)')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    picture = draw(packages_of(PACKAGE))
    files.append(File.generated(config, 'imports.svg', content=picture))
    for name, text in check_pages.pages(CODES):
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(
    markdown: str, page: Page, config: MkDocsConfig, files: Files
) -> str:
    text = _with_site_links(markdown, DOCS)
    text = INCLUDE.sub(lambda match: _included(ROOT / match[1]), text)
    for name, part in PARTS.items():
        if (comment := f'<!-- {name} -->') in text:
            text = text.replace(comment, part())
    return text


def _included(path: Path) -> str:
    """The text of a file without its title."""
    text = re.sub(r'\A# .*\n', '', path.read_text(encoding='utf-8'))
    return _with_site_links(text, path.parent)


def _with_site_links(text: str, base: Path) -> str:
    """Point links to pages; name the other files of the repository.

    The site has no source files, and the repository has no fixed address.
    """
    pages = {
        (ROOT / match[1]).resolve(): page
        for page in DOCS.glob('*.md')
        for match in INCLUDE.finditer(page.read_text(encoding='utf-8'))
    }

    def replace(match: re.Match) -> str:
        title, target, anchor = match.groups()
        path = (base / target).resolve()
        path = pages.get(path, path)
        if path.is_relative_to(DOCS) or not path.exists():
            link = Path(os.path.relpath(path, DOCS)).as_posix()
            return f'[{title}]({link}{anchor or ""})'
        name = f'`{path.relative_to(ROOT).as_posix()}`'
        return name if title.strip('`') in name else f'{title} ({name})'

    return LINK.sub(replace, text)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    every = [heads, ['---'] * len(heads), *rows]
    return '\n'.join(f'| {" | ".join(row)} |' for row in every)


def _packages() -> str:
    rows = []
    for path in sorted(PACKAGE.glob('*/__init__.py')):
        text = ast.get_docstring(ast.parse(path.read_text('utf-8'))) or ''
        name = f'`flower_mm/{path.parent.name}/`'
        rows.append([name, text.partition('\n')[0]])
    return _table(['package', 'content'], rows)


def _versions() -> str:
    """Each requirement of setup.cfg, and what requirements.lock has of it."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg', encoding='utf-8')
    lock = (ROOT / 'requirements.lock').read_text(encoding='utf-8')
    rows = []
    for line in setup['options']['install_requires'].split('\n'):
        match = re.match(r'([\w.-]+)(.*)', line)
        if not match:
            continue  # an empty line or a comment
        name, allowed = match.groups()
        locked = re.findall(
            rf'^{name}==([^\s;]+)', lock, re.IGNORECASE | re.MULTILINE
        )
        rows.append([name, allowed or 'any', ' or '.join(locked)])
    return _table(['package', 'allowed', 'locked'], rows)


def _weights() -> str:
    """The first source of each name, and its preprocessing."""
    table = json.loads((PACKAGE / 'weights' / 'table.json').read_text('utf-8'))
    rows = []
    for name, entry in table.items():
        home = entry['homes'][0]
        size, given = home.get('megabytes'), entry['preprocessing']
        rows.append(
            [
                f'`{name}`',
                entry['architecture'],
                f'{entry["parameters"] / 1e6:.1f}',
                f'{size:.0f}' if size else '',
                home['source'],
                home['licence'],
                ', '.join(f'{value:g}' for value in given['mean']),
                ', '.join(f'{value:g}' for value in given['std']),
                given['interpolation'],
                f'{given["size"]} px, {given["crop"]}',
            ]
        )
    heads = ['name', 'architecture', 'million parameters', 'MB']
    heads += ['source', 'licence', 'mean', 'std', 'interpolation']
    return _table([*heads, 'size and crop'], rows)


def _schema(name: str = '') -> str:
    path = PACKAGE / 'report' / 'report.schema.json'
    root = json.loads(path.read_text(encoding='utf-8'))
    return tables(root['$defs'][name] if name else root, root)


PARTS = {
    'packages': _packages,
    'versions': _versions,
    'weights': _weights,
    'report.json': _schema,
    'comparison.json': lambda: _schema('comparison'),
    'checks': lambda: check_pages.overview(CODES),
}

"""The rules that keep the code easy to take over, from its own sources."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import ROOT

from flower_mm.layout import DatasetDir, RunDir

PACKAGE = ROOT / 'flower_mm'
MODULES = sorted(
    path for path in PACKAGE.rglob('*.py') if '.mim' not in path.parts
)
# A package imports from its own row and from the rows above.
ORDER = [
    ['core'],  # the modules directly in flower_mm
    ['prepare', 'datasets', 'models', 'weights', 'demo', 'tracking'],
    ['inference'],
    ['report'],
    ['engine'],
    [
        'checks',
        'export',
        'look',
        'pick',
        'review',
        'share',
        'serve',
        'sweep',
    ],
    ['cli'],
]
# The public names of `flower_mm` and `python -m flower_mm`.
ENTRY_POINTS = ('__init__.py', '__main__.py')
LONGEST = 400  # lines


def package_of(parts: list[str]) -> str:
    return parts[1] if (PACKAGE / parts[1]).is_dir() else 'core'


def imports() -> Iterator[tuple[Path, str, str]]:
    """Each import: the module, its package, and the imported package."""
    for path in MODULES:
        if path.parent == PACKAGE and path.name in ENTRY_POINTS:
            continue
        parts = path.relative_to(ROOT).with_suffix('').parts
        for node in ast.walk(ast.parse(path.read_text('utf-8'))):
            names = []
            if isinstance(node, ast.ImportFrom) and node.module == 'flower_mm':
                names = [f'flower_mm.{alias.name}' for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                if name.startswith('flower_mm.'):
                    target = package_of(name.split('.'))
                    yield path, package_of(parts), target


def test_every_package_has_a_place_in_the_order():
    places = sorted(package for row in ORDER for package in row)
    assert len(set(places)) == len(places)
    assert {package for _, package, _ in imports()} == set(places)


def test_imports_go_one_way():
    rank = {name: i for i, row in enumerate(ORDER) for name in row}
    upwards = {
        f'{path.relative_to(ROOT)} imports {target}'
        for path, package, target in imports()
        if rank[target] > rank[package]
    }
    assert upwards == set()


def test_packages_have_no_import_cycle():
    targets: dict[str, set[str]] = {}
    for _, package, target in imports():
        if target != package:
            targets.setdefault(package, set()).add(target)

    def reachable(start: str) -> set[str]:
        found, left = set(), [start]
        while left:
            for target in targets.get(left.pop(), ()):
                if target not in found:
                    found.add(target)
                    left.append(target)
        return found

    assert [name for name in targets if name in reachable(name)] == []


def test_at_most_two_levels_of_packages():
    depths = {len(path.relative_to(PACKAGE).parts) for path in MODULES}
    assert max(depths) <= 3


@pytest.mark.parametrize(
    'path', MODULES, ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_module_is_long(path):
    assert path.read_text('utf-8').count('\n') <= LONGEST


def test_file_names_are_spelled_in_one_module():
    names = {
        value
        for folder in (DatasetDir, RunDir)
        for key, value in vars(folder).items()
        if key.isupper() and isinstance(value, str) and '.' in value
    }
    names |= set(map(DatasetDir.list_of, DatasetDir.SPLITS))
    assert 'best.pth' in names
    spelled = [
        f'{path.relative_to(ROOT)}:{node.lineno} {node.value}'
        for path in MODULES
        if path != PACKAGE / 'layout.py'
        for node in ast.walk(ast.parse(path.read_text('utf-8')))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert spelled == []

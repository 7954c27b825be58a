"""The picture of the packages follows the imports."""

import sys

from helpers import ROOT

sys.path.insert(0, str(ROOT / 'docs' / 'hooks'))
from import_graph import direct, draw, layers, packages_of


def test_packages_are_drawn_above_those_that_they_import(tmp_path):
    root = tmp_path / 'flower_mm'
    for path, code in (
        ('errors.py', ''),
        ('weights/__init__.py', ''),
        ('weights/read.py', 'import flower_mm.errors\n'),
        ('report/html.py', 'from flower_mm.errors import UserError\n'),
        (
            'engine/train.py',
            'from flower_mm import weights\n'
            'from flower_mm.errors import UserError\n'
            'def f():\n    import flower_mm.report.html\n',
        ),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(code)
    graph = packages_of(root)
    assert graph == {
        'core': set(),
        'weights': {'core'},
        'report': {'core'},
        'engine': {'report', 'weights', 'core'},
    }
    assert layers(graph) == [['engine'], ['report', 'weights'], ['core']]
    assert ('engine', 'core') not in direct(graph)
    assert 'class="back"' not in draw(graph)
    graph['core'] = {'weights'}
    assert draw(graph).count('class="back"') == 1

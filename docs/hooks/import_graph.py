"""Which package of flower_mm imports which, as a picture."""

import ast
from collections.abc import Iterator
from pathlib import Path

CORE = 'core'  # the modules directly in flower_mm
WIDTH, HEIGHT = 104, 34  # pixels of a box
STEP_X, STEP_Y = 124, 84  # from one box to the next
STYLE = (
    'text{font:14px sans-serif;text-anchor:middle;fill:#1a1a1a}'
    'rect{fill:#fff;stroke:#5c6bc0;stroke-width:1.5}'
    'path{fill:none;stroke:#7986cb;stroke-width:1.5;marker-end:url(#tip)}'
    '.back{stroke-dasharray:5 4;stroke:#c62828}'
)
TIP = (
    '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
    'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" '
    'style="fill:#7986cb;stroke:none;marker-end:none"/></marker>'
)


def packages_of(root: Path) -> dict[str, set[str]]:
    """The packages below `root`, each with those that it imports."""
    found: dict[str, set[str]] = {}
    for path in sorted(root.rglob('*.py')):
        parts = path.relative_to(root).parts
        # Links to configs and tools; the public names and `python -m`.
        entry_points = ('__init__.py', '__main__.py')
        if parts[0].startswith('.') or parts[0] in entry_points:
            continue
        package = parts[0] if len(parts) > 1 else CORE
        targets = found.setdefault(package, set())
        tree = ast.parse(path.read_text(encoding='utf-8'))
        targets.update(_imported(tree, root) - {package})
    return found


def _imported(tree: ast.Module, root: Path) -> set[str]:
    """Packages that a module imports, at once or in a function."""
    return {
        parts[1] if (root / parts[1]).is_dir() else CORE
        for name in _names(tree)
        if len(parts := name.split('.')) > 1 and parts[0] == root.name
    }


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f'{node.module}.{a.name}' for a in node.names)


def layers(graph: dict[str, set[str]]) -> list[list[str]]:
    """The packages in layers: each imports from those behind it only.

    Where imports form a cycle, one of them leads back to an earlier layer.
    """
    depths: dict[str, int] = {}

    def depth(name: str, above: tuple[str, ...]) -> int:
        if name not in depths:
            below = [
                depth(other, (*above, name))
                for other in sorted(graph.get(name, ()))
                if other not in above
            ]
            depths[name] = 1 + max(below, default=-1)
        return depths[name]

    for name in sorted(graph):
        depth(name, (name,))
    return [
        [name for name in sorted(graph) if depths[name] == level]
        for level in range(max(depths.values()), -1, -1)
    ]


def direct(graph: dict[str, set[str]]) -> Iterator[tuple[str, str]]:
    """The imports that do not follow from others; `graph` has no cycle."""
    for name, targets in sorted(graph.items()):
        for target in sorted(targets):
            others = targets - {target}
            if not any(_reaches(graph, other, target) for other in others):
                yield name, target


def _reaches(graph: dict[str, set[str]], start: str, end: str) -> bool:
    seen, waiting = {start}, [start]
    while waiting:
        for other in graph.get(waiting.pop(), ()):
            if other == end:
                return True
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return False


def draw(graph: dict[str, set[str]]) -> str:
    """The graph as SVG; an arrow leads from a package to what it imports.

    A dashed arrow leads back to an earlier layer, which closes a cycle.
    """
    rows = layers(graph)
    width = max(map(len, rows)) * STEP_X
    places = {
        name: (
            (width - len(row) * STEP_X) / 2 + (column + 0.5) * STEP_X,
            level * STEP_Y + HEIGHT / 2 + 4,
        )
        for level, row in enumerate(rows)
        for column, name in enumerate(row)
    }
    down = {
        name: {o for o in targets if places[o][1] > places[name][1]}
        for name, targets in graph.items()
    }
    back = [
        (name, target)
        for name, targets in sorted(graph.items())
        for target in sorted(targets - down[name])
    ]
    lines = [
        *(_arrow(places[name], places[end]) for name, end in direct(down)),
        *(
            _arrow(places[name], places[end], ' class="back"')
            for name, end in back
        ),
        *(_box(name, *place) for name, place in places.items()),
    ]
    height = (len(rows) - 1) * STEP_Y + HEIGHT + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
        f'height="{height}"><style>{STYLE}</style><defs>{TIP}</defs>'
        f'{"".join(lines)}</svg>'
    )


def _arrow(
    start: tuple[float, float], end: tuple[float, float], kind: str = ''
) -> str:
    (x, y), (end_x, end_y) = start, end
    side = HEIGHT / 2 if end_y > y else -HEIGHT / 2
    y, end_y = y + side, end_y - side
    middle = (y + end_y) / 2
    return (
        f'<path{kind} d="M{x:g} {y:g}C{x:g} {middle:g} {end_x:g} '
        f'{middle:g} {end_x:g} {end_y:g}"/>'
    )


def _box(name: str, x: float, y: float) -> str:
    return (
        f'<rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" rx="5" '
        f'width="{WIDTH}" height="{HEIGHT}"/>'
        f'<text x="{x:g}" y="{y + 5:g}">{name}</text>'
    )

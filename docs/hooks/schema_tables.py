"""Tables of a JSON Schema: each key with its type and description."""

from collections.abc import Iterator

HEAD = '| key | type | content |\n| --- | --- | --- |'


def tables(schema: dict, root: dict, heading: str = '###') -> str:
    """The plain keys of a schema, then a table for each object in it.

    Args:
        root: The whole schema, to which references point.
    """
    plain, parts = [HEAD], []
    for key, part in schema['properties'].items():
        part = _resolved(part, root)
        rows = list(_rows(part, root, ''))
        if not rows:
            plain.append(_row(key, part, root))
            continue
        text = part.get('description', '')
        parts.append(
            f'{heading} `{key}`\n\n{text}\n\n' + '\n'.join([HEAD, *rows])
        )
    return '\n\n'.join(['\n'.join(plain), *parts])


def _rows(part: dict, root: dict, path: str) -> Iterator[str]:
    """The keys below a part; `[]` stands for each item of a list."""
    part = _resolved(part, root)
    for choice in part.get('anyOf', []):
        yield from _rows(choice, root, path)
    if 'items' in part:
        yield from _rows(part['items'], root, f'{path}[]')
    for key, below in part.get('properties', {}).items():
        name = f'{path}.{key}' if path else key
        yield _row(name, _resolved(below, root), root)
        yield from _rows(below, root, name)


def _row(name: str, part: dict, root: dict) -> str:
    text = part.get('description', '').replace('|', '\\|')
    return f'| `{name}` | {_type(part, root)} | {text} |'


def _type(part: dict, root: dict) -> str:
    part = _resolved(part, root)
    if 'const' in part:
        return f'`{part["const"]!r}`'
    if 'anyOf' in part:
        names = [_type(choice, root) for choice in part['anyOf']]
        return ' or '.join(dict.fromkeys(names))
    kind = part.get('type', '')
    return ' or '.join(kind) if isinstance(kind, list) else kind


def _resolved(part: dict, root: dict) -> dict:
    """Follow a reference; a description beside it stays."""
    if '$ref' not in part:
        return part
    target = root
    for name in part['$ref'].removeprefix('#/').split('/'):
        target = target[name]
    return target | {k: v for k, v in part.items() if k != '$ref'}

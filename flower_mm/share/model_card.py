"""Write the model card: README.md of a shared folder."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import flower_mm
from flower_mm.report.formatting import (
    NBSP,
    best_metric,
    duration,
    one_decimal,
)
from flower_mm.report.html import clean
from flower_mm.report.result_warnings import warnings_of
from flower_mm.report.templating import environment
from flower_mm.user_modules import FLAG
from flower_mm.weights.file_hash import sha256_of
from flower_mm.weights.pretrained_table import read_table

TEMPLATE = 'card.md.j2'
# The characters with a meaning in Markdown or HTML; an underscore within a
# word has none.
MARKUP = re.compile(r'([\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)|^[#+-])')


@dataclass(frozen=True)
class Model:
    """What best.pth records about the network."""

    network: str
    parameters: int
    pretrained: dict | None  # file and sha256
    records_pretrained: bool = True  # older files lack the record
    modules: list[str] = field(default_factory=list)  # the user's own
    finds_unknown: bool = False


@dataclass(frozen=True)
class Example:
    """A photo that is shared as an example."""

    file: str  # below the folder
    label: str
    confidence: float


def model_card(
    facts: dict,
    model: Model,
    files: Iterable[tuple[Path, str]],
    examples: list[Example],
) -> str:
    """Return README.md, without paths of this machine.

    Args:
        facts: The content of report.json.
        model: The network.
        files: The other files of the folder, with descriptions.
        examples: The photos in the folder.
    """
    facts = clean(facts)
    run = facts['run']
    data = facts['dataset'] or {}
    same = data.get('sha256') == run['dataset_sha256']
    pretrained = model.pretrained or {}
    files = list(files)
    view = {
        'name': facts['name'],
        'classes': facts['classes'],
        'network': model.network,
        'millions': f'{model.parameters / 1e6:.1f}',
        'version': flower_mm.__version__,
        'metrics': facts['metrics'],
        'facts': facts,
        'warnings': warnings_of(facts),
        'counts': data.get('counts') if same else None,
        'trained_on': run['photos']['train'],
        'dataset_sha256': run['dataset_sha256'],
        'data': data if same else None,
        'training': _training(run),
        'files': [
            {
                'name': path.name,
                'description': description,
                'megabytes': f'{path.stat().st_size / 1e6:.1f}',
                'sha256': sha256_of(path),
            }
            for path, description in files
        ],
        'onnx': any(path.name == 'best.onnx' for path, _ in files),
        'examples': examples,
        'pretrained': pretrained,
        'records_pretrained': model.records_pretrained,
        'modules': model.modules,
        'finds_unknown': model.finds_unknown,
        'call': _call(model.modules),
        'flags': ' '.join(f'{FLAG} {name}' for name in model.modules),
        'licence': licence_of(pretrained.get('sha256', '')),
    }
    return _render(view)


def licence_of(sha256: str) -> tuple[str, str] | None:
    """Return the licence and the source of pretrained weights, if known."""
    for entry in read_table().values():
        if home := entry.home_of(sha256):
            return home.licence, f'{entry.architecture} of {home.source}'
    return None


def _call(modules: list[str]) -> str:
    imports = f', imports={modules!r}' if modules else ''
    return f"Classifier('path/to/this/folder'{imports})"


def _training(run: dict) -> list[tuple[str, str]]:
    result = run['result']
    seconds = (run['seconds']['train'] or 0) + (
        run['seconds']['validate'] or 0
    )
    versions = run['versions'] or {}
    rows = [
        # Without its folder, which is on the machine of the training.
        ('Config', Path(run['config'] or '').name),
        ('Seed', run['seed']),
        ('Epochs', result['epochs']),
        ('Best epoch (this model)', result['best_epoch']),
        ('Selected by', best_metric(run)),
        ('Training photos', run['photos']['train']),
        ('Device', run['device']),
        ('Duration', duration(seconds) if seconds else None),
        ('Started', run['started']),
        (
            'Versions',
            ', '.join(f'{name} {text}' for name, text in versions.items()),
        ),
        ('Commit of flower_mm', run['git_commit']),
    ]
    return [
        (name, str(value)) for name, value in rows if value not in (None, '')
    ]


def _render(view: dict) -> str:
    template = (resources.files(__package__) / TEMPLATE).read_text('utf-8')
    templates = environment(autoescape=False, **{TEMPLATE: template})
    templates.filters |= {
        'md': escaped,
        'number': lambda value: '' if value is None else one_decimal(value),
        'range': lambda pair: (
            f'{one_decimal(pair[0])} to {one_decimal(pair[1])}' if pair else ''
        ),
    }
    text = templates.get_template(TEMPLATE).render(view).replace(NBSP, ' ')
    return re.sub(r'\n{3,}', '\n\n', text).rstrip() + '\n'


def escaped(text: object) -> str:
    """Return text on one line with the markup of Markdown escaped."""
    return MARKUP.sub(r'\\\1', ' '.join(str(text).split()))

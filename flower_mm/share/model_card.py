"""The model card: README.md of a shared folder."""

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
from flower_mm.share.weights_licence import licence_of
from flower_mm.user_modules import FLAG
from flower_mm.weights.file_hash import sha256_of

TEMPLATE = 'card.md.j2'
# What Markdown and the HTML in it take for signs of their own; it leaves
# an underscore within a word alone.
SIGNS = re.compile(r'([\\`*\[\]<>|~$&]|(?<!\w)_|_(?!\w)|^[#+-])')


@dataclass(frozen=True)
class Model:
    """What the weights and their config say of themselves."""

    network: str
    parameters: int
    pretrained: dict | None  # file and sha256
    noted: bool = True  # whether it says if there were any
    modules: list[str] = field(default_factory=list)  # the user's own


@dataclass(frozen=True)
class Example:
    file: str  # below the folder
    label: str
    confidence: float


def card(
    facts: dict,
    model: Model,
    files: Iterable[tuple[Path, str]],
    examples: list[Example],
) -> str:
    """README.md from report.json's facts; no path of this machine in it.

    Args:
        facts: What report.json holds.
        model: About the network.
        files: What else is in the folder, and what each is, in words.
        examples: Photos that go with it.
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
        'made': _made(run),
        'files': [
            {
                'name': path.name,
                'what': what,
                'megabytes': f'{path.stat().st_size / 1e6:.1f}',
                'sha256': sha256_of(path),
            }
            for path, what in files
        ],
        'onnx': any(path.name == 'best.onnx' for path, _ in files),
        'examples': [
            {
                'file': example.file,
                'class': example.label,
                'confidence': example.confidence,
            }
            for example in examples
        ],
        'pretrained': pretrained,
        'noted': model.noted,
        'modules': model.modules,
        'call': _call(model.modules),
        'flags': ' '.join(f'{FLAG} {name}' for name in model.modules),
        'licence': licence_of(pretrained.get('sha256', '')),
    }
    return _render(view)


def _call(modules: list[str]) -> str:
    imports = f', imports={modules!r}' if modules else ''
    return f"Classifier('path/to/this/folder'{imports})"


def _made(run: dict) -> list[tuple[str, str]]:
    done = run['result']
    seconds = (run['seconds']['train'] or 0) + (
        run['seconds']['validate'] or 0
    )
    versions = run['versions'] or {}
    rows = [
        # Its folder is of the machine it was trained on.
        ('Config', Path(run['config'] or '').name),
        ('Seed', run['seed']),
        ('Epochs', done['epochs']),
        ('Best epoch, which this is', done['best_epoch']),
        ('Chosen by', best_metric(run)),
        ('Photos trained on', run['photos']['train']),
        ('Device', run['device']),
        ('Time', duration(seconds) if seconds else None),
        ('Begun', run['started']),
        (
            'Versions',
            ', '.join(f'{name} {found}' for name, found in versions.items()),
        ),
        ('Commit of flower_mm', run['git_commit']),
    ]
    return [
        (name, str(value)) for name, value in rows if value not in (None, '')
    ]


def _render(view: dict) -> str:
    template = (resources.files(__package__) / TEMPLATE).read_text('utf-8')
    made = environment(autoescape=False, **{TEMPLATE: template})
    made.filters |= {
        'md': escaped,
        'number': lambda value: '' if value is None else one_decimal(value),
        'range': lambda pair: (
            f'{one_decimal(pair[0])} to {one_decimal(pair[1])}' if pair else ''
        ),
    }
    text = made.get_template(TEMPLATE).render(view).replace(NBSP, ' ')
    return re.sub(r'\n{3,}', '\n\n', text).rstrip() + '\n'


def escaped(text: object) -> str:
    """Text that stays text in Markdown, on one line."""
    return SIGNS.sub(r'\\\1', ' '.join(str(text).split()))

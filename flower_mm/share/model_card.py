"""The model card: README.md of a shared folder."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

import flower_mm
from flower_mm.report import words
from flower_mm.report.html import clean
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
    run, result = facts['run'], facts['result']
    data = facts['data'] or {}
    same = data.get('sha256') == run['dataset_sha256']
    pretrained = model.pretrained or {}
    files = list(files)
    view = {
        'name': run['name'],
        'classes': facts['classes'],
        'network': model.network,
        'millions': f'{model.parameters / 1e6:.1f}',
        'version': flower_mm.__version__,
        'result': result,
        'measured_on': words.measured_on(facts['measured']),
        # What follows the first line may name files of this machine.
        'alarms': [lines[0] for lines in words.alarms(facts)],
        'sentences': words.result_sentences(facts),
        'per_class': facts['per_class'],
        'confidence': words.calibration(facts['calibration'], result['top1'])[
            :1
        ],
        'doubtful': words.handed_over(facts['handed_over'], result),
        'pairs': words.pairs(facts['confused_pairs']),
        'counts': data.get('counts') if same else None,
        'trained_on': run['photos']['train'],
        'dataset_sha256': run['dataset_sha256'],
        'data': words.data(data, None)['sentences'] if same else [],
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
        ('Chosen by', words.best_metric(run)),
        ('Photos trained on', run['photos']['train']),
        ('Device', run['device']),
        ('Time', words.duration(seconds) if seconds else None),
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
    import jinja2

    folder = resources.files(__package__)
    environment = jinja2.Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        'md': escaped,
        'one': words.one,
        'number': lambda value: '' if value is None else words.one(value),
        'range': lambda pair: (
            f'{words.one(pair[0])} to {words.one(pair[1])}' if pair else ''
        ),
    }
    template = (folder / TEMPLATE).read_text('utf-8')
    text = environment.from_string(template).render(view)
    text = text.replace(words.NBSP, ' ')
    return re.sub(r'\n{3,}', '\n\n', text).rstrip() + '\n'


def escaped(text: object) -> str:
    """Text that stays text in Markdown, on one line."""
    return SIGNS.sub(r'\\\1', ' '.join(str(text).split()))

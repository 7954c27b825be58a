"""report.html and comparison.html: single files that load nothing.

Text from a run, a dataset or a file name is made printable and then escaped
by Jinja2. The page's content security policy allows no script but page.js and
no request.
"""

import base64
import hashlib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flower_mm.errors import printable
from flower_mm.report import charts
from flower_mm.report.confusion_table import MANY_CLASSES, confusion_table
from flower_mm.report.formatting import best_metric, command_lines
from flower_mm.report.nearest_photos import NearestPhotos, Neighbour
from flower_mm.report.result_warnings import warnings_of
from flower_mm.report.run_folder import Run
from flower_mm.report.settings_diff import changed_settings, differing_settings
from flower_mm.report.templating import TEMPLATES, environment

MAX_LINE = 2000  # characters of a line of text
MAX_ERRORS = 24  # misclassified photos on the page
MAX_LABEL_ERRORS = 24
MAX_CHANGED = 18  # photos per direction of a comparison
CHANGED = ('only_second_photos', 'only_first_photos')
MIN_ACCURACY = 60  # percent; below, a model does not judge labels
MAX_DOUBTED = 0.2  # of all labels


@dataclass(frozen=True)
class Photo:
    """JPEGs of a photo as the model got it, and its heat map."""

    large: bytes | None = None
    heat: bytes | None = None
    small: bytes | None = None


def render_report(
    report: dict,
    run: Run,
    photos: Mapping[str, Photo],
    cells: Mapping[tuple[int, int], list[dict]] | None = None,
    train_batch: bytes | None = None,
    nearest: NearestPhotos | None = None,
    training_pictures: Mapping[str, bytes] | None = None,
) -> str:
    """Render report.html.

    Args:
        report: The content of report.json.
        run: The run, for its curves.
        photos: Pictures by the path of a photo in `report` and `cells`.
        cells: Photos of each (label, predicted class).
        train_batch: A JPEG of augmented training photos.
        nearest: Training photos that are similar to errors.
        training_pictures: JPEGs of these by path.
    """
    # By path, before the paths are made printable.
    rows = report['errors'][:MAX_ERRORS]
    errors = _cards(rows, photos)
    nearest = nearest or NearestPhotos()
    for card, row in zip(errors, rows, strict=True):
        card['nearest'] = _neighbours(
            nearest.of_photo.get(row['photo'], []), training_pictures or {}
        )
    label_errors = report['possible_label_errors'][:MAX_LABEL_ERRORS]
    label_errors = _cards(label_errors, photos)
    cell_cards = {
        f'cell-{label}-{predicted}': shown
        for (label, predicted), rows in (cells or {}).items()
        if (shown := [c for c in _cards(rows, photos) if c['small']])
    }
    report = clean(report)
    settings = report['run']['changes']['settings']
    folds = [(fold.name, fold.scalars) for fold in run.folds]
    view: dict[str, Any] = {
        'report': report,
        'warnings': warnings_of(report),
        'best_metric': best_metric(report['run']),
        'curves': charts.compared_curves(folds)
        if folds
        else charts.curves(run.scalars),
        'legend': [
            (name, charts.line_style(i)) for i, (name, _) in enumerate(folds)
        ],
        'train_batch': _uri(train_batch),
        'errors': errors,
        'nearest': nearest,
        'label_errors': label_errors,
        'cells': cell_cards,
        'changes': None if settings is None else changed_settings(settings),
        'command': command_lines(report['run']['command'] or ''),
        'review_command': _review_command(run),
    }
    if report['metrics']:
        view |= {
            'matrix': confusion_table(
                report['confusion_matrix'], report['classes']
            ),
            'per_class': _worst_first(report['per_class']),
            'reliability': charts.reliability(report['calibration']),
            'selective': charts.selective_prediction(
                report['selective_prediction']
            ),
            'distrust': _why_labels_are_not_judged(report),
        }
    return render('report.html.j2', view)


def _review_command(run: Run) -> str:
    """Return the command as anybody types it: the page may be sent away."""
    dataset = run.record['data_root'] or 'DATASET'
    words = ['flower-mm', 'review', dataset, '--run', str(run.folder)]
    return clean(shlex.join(words))


def _why_labels_are_not_judged(report: dict) -> str | None:
    """A code if the possible label errors should not be shown."""
    if report['metrics']['top1'] < MIN_ACCURACY:
        return 'low-accuracy'
    doubted = len(report['possible_label_errors'])
    if doubted > MAX_DOUBTED * report['metrics']['photos']:
        return 'many-labels'
    return None


def _worst_first(rows: list[dict]) -> list[dict]:
    """Of many classes the ones with the lowest F1 first."""
    if len(rows) <= MANY_CLASSES:
        return rows
    return sorted(
        rows, key=lambda row: 101.0 if row['f1'] is None else row['f1']
    )


def render_comparison(
    comparison: dict,
    runs: list[Run],
    photos: Mapping[str, Photo],
    configs: list[dict | None],
) -> str:
    """Render comparison.html.

    Args:
        comparison: The content of comparison.json.
        runs: The runs, for their curves.
        photos: Pictures by the path of a photo in `comparison`.
        configs: The resolved config of each run, None where it is unknown.
    """
    changed = [
        {
            key: _cards(pair.get(key, [])[:MAX_CHANGED], photos)
            for key in CHANGED
        }
        for pair in comparison['pairs']
    ]
    comparison = clean(comparison)
    names = [run['name'] for run in comparison['runs']]
    styles = [charts.line_style(i) for i in range(len(names))]
    settings = None
    if None not in configs:
        settings = differing_settings([clean(config) for config in configs])
    lows = [
        run['metrics']['top1_interval'][0]
        for run in comparison['runs']
        if run['metrics']
    ]
    scalars = [run.scalars for run in runs]
    view = {
        'comparison': comparison,
        'names': names,
        'styles': styles,
        'legend': list(zip(names, styles, strict=True)),
        # The lower end of a scale to 100 % that separates the intervals.
        'scale': min(90, int(min(lows, default=0)) // 10 * 10),
        'warnings': [warnings_of(run) for run in comparison['runs']],
        'changed': changed,
        'curves': charts.compared_curves(
            list(zip(names, scalars, strict=True))
        ),
        'settings': settings,
        'without_config': [
            name
            for name, config in zip(names, configs, strict=True)
            if config is None
        ],
    }
    return render('comparison.html.j2', view)


def _cards(rows: list[dict], photos: Mapping[str, Photo]) -> list[dict]:
    """The rows, printable, with their pictures as data URIs."""
    cards = []
    for row in rows:
        photo = photos.get(row['photo'], Photo())
        cards.append(
            clean(row)
            | {
                'large': _uri(photo.large),
                'heat': _uri(photo.heat),
                'small': _uri(photo.small),
            }
        )
    return cards


def _neighbours(
    neighbours: list[Neighbour], pictures: Mapping[str, bytes]
) -> list[dict]:
    return [
        clean(each._asdict()) | {'image': _uri(pictures.get(each.photo))}
        for each in neighbours
    ]


def _uri(jpeg: bytes | None) -> str | None:
    if jpeg is None:
        return None
    return f'data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}'


def clean(value: Any) -> Any:
    """The value with all text in it printable, line by line."""
    if isinstance(value, str):
        return '\n'.join(printable(x, MAX_LINE) for x in value.split('\n'))
    if isinstance(value, dict):
        return {clean(k): clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    return value


def render(
    name: str, view: dict, more_style: str = '', **templates: str
) -> str:
    """Render a page with our style, script and content security policy.

    Args:
        name: Of the template.
        view: What it shows, printable.
        more_style: CSS in addition to page.css.
        templates: Further templates, by name.
    """
    import markupsafe

    style, script = (
        (TEMPLATES / file).read_text(encoding='utf-8')
        for file in ('page.css', 'page.js')
    )
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest())
    policy = (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest.decode()}'; "
        "base-uri 'none'; form-action 'none'"
    )
    # Besides charts, our own style and script are the only unescaped text.
    return (
        environment(autoescape=True, **templates)
        .get_template(name)
        .render(
            **view,
            policy=policy,
            style=markupsafe.Markup(style + more_style),
            script=markupsafe.Markup(script),
        )
    )

"""Write the page of `flower-mm look`."""

import argparse
import os
import time
from contextlib import ExitStack
from datetime import datetime
from importlib import resources
from pathlib import Path

from flower_mm.commands import command, typed_command
from flower_mm.console import announce
from flower_mm.errors import UserError
from flower_mm.files import write_whole
from flower_mm.inference.features import FeatureModel, features_of
from flower_mm.look import page_content
from flower_mm.look.augmented_batch import augmented_batch
from flower_mm.look.feature_map import draw_map, find_outliers
from flower_mm.look.measure_photos import measure_photos
from flower_mm.look.page_content import OUTLIERS, Measured
from flower_mm.look.photo_set import PhotoSet, grouped, read_photo_set
from flower_mm.look.stored_model import NoWeightsError, model_of
from flower_mm.packaged_configs import config_path
from flower_mm.prepare.near_duplicates import group
from flower_mm.report import charts
from flower_mm.report.html import clean, render

TEMPLATE, STYLE = 'look.html.j2', 'look.css'
MARK = b'content="flower-mm look"'  # of our own pages, in their first bytes
MAP_PHOTOS = 2000
MAP_SECONDS = 60.0  # to compute features
FEWEST = 3  # photos on a map
MEGABYTE = 1_000_000


def look(args: argparse.Namespace) -> None:
    """Look at the photos and write the page."""
    _check_out(args.out)
    config_path(args.config)  # refuses an unknown one before photos are read
    with ExitStack() as stack:
        photos = read_photo_set(args.data, args.out, stack)
        page = render_page(photos, args)
    content = page.encode('utf-8', 'backslashreplace')
    write_whole(args.out, content)
    print(
        f'{len(photos.photos)} photos of {len(photos.classes)} classes\n'
        f'  page     {args.out} ({len(content) / MEGABYTE:.1f} MB)'
    )


def _check_out(out: Path) -> None:
    """Refuse to replace a file that is not a page of this command."""
    if out.suffix.lower() not in ('.html', '.htm') or out.is_dir():
        raise UserError(f'invalid --out {out}: expected a .html file')
    folder = next(each for each in out.absolute().parents if each.exists())
    if not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise UserError(
            f'--out {out}: {folder} is not a writable folder.\n'
            'Name a file in another folder'
        )
    if out.exists():
        with out.open('rb') as file:
            if MARK not in file.read(2000):
                raise UserError(
                    f'--out {out} would replace another page.\nName a new file'
                )


def render_page(photos: PhotoSet, args: argparse.Namespace) -> str:
    """Return the page."""
    # Before the photos are read, which can take minutes.
    model = None if args.no_map else _model(args)
    measured = _measure(photos, photos.sample(args.photos))
    groups, searched = photos.groups, len(photos.photos)
    if groups is None:
        announce('searching near-duplicates')
        groups, searched = _group(photos, measured), len(measured.indices)
    counts = page_content.count_rows(photos)
    view = {
        'name': photos.name,
        'kind': photos.kind,
        'created': datetime.now().astimezone().isoformat(' ', 'minutes'),
        'command': typed_command(),
        'photos': len(photos.photos),
        'classes': len(photos.classes),
        'measured': measured.total,
        'searched': searched,
        'counts': counts,
        'imbalance': page_content.imbalance(counts),
        'sheets': page_content.contact_sheets(photos),
        'extremes': page_content.extremes(photos, measured),
        'duplicates': page_content.near_duplicates(photos, groups),
        'faults': page_content.fault_lines(measured.faults),
        'left_out': page_content.fault_lines(photos.left_out.items()),
        'sizes': None,
        'charts': [],
        'augmented': None,
        'config': args.config,
        'map': _map(photos, measured, model) if model else None,
        'prepare': command('prepare', args.data, '--out', 'DATASET'),
    }
    if measured.measures:
        sizes = [(m.width, m.height) for m in measured.measures]
        view['sizes'] = page_content.size_facts(measured.measures)
        view['charts'] = [
            charts.size_histogram([min(size) for size in sizes]),
            charts.ratio_histogram([w / h for w, h in sizes]),
        ]
    train = [
        photos.photos[i]
        for i in measured.indices
        if photos.photos[i].split in ('train', '')
    ]
    if jpeg := augmented_batch(args.config, train):
        view['augmented'] = page_content.uri(jpeg)
    folder = resources.files('flower_mm.look')
    template, style = (
        (folder / name).read_text(encoding='utf-8')
        for name in (TEMPLATE, STYLE)
    )
    return render(TEMPLATE, clean(view), style, **{TEMPLATE: template})


def _measure(photos: PhotoSet, sample: list[int]) -> Measured:
    measured = Measured([], [], [])
    files = [photos.photos[i].file for i in sample]
    for i, measures in zip(sample, measure_photos(files), strict=True):
        if measures.error:
            name = page_content.name_of(photos.photos[i])
            measured.faults.append((name, measures.error))
        else:
            measured.indices.append(i)
            measured.measures.append(measures)
    return measured


def _group(photos: PhotoSet, measured: Measured) -> list[list[int]]:
    """Search near-duplicates as `prepare` does, among the measured photos."""
    members = [photos.photos[i] for i in measured.indices]
    for photo, measures in zip(members, measured.measures, strict=True):
        photo.sha256, photo.thumb = measures.sha256, measures.thumb
    return grouped(group(members).tolist(), measured.indices)


def _model(args: argparse.Namespace) -> FeatureModel | NoWeightsError:
    """Return the model for the map, or why it is missing."""
    try:
        return model_of(args.run, args.weights, args.device, args.imports)
    except NoWeightsError as error:
        if args.weights:
            raise
        return error


def _map(
    photos: PhotoSet, measured: Measured, model: FeatureModel | NoWeightsError
) -> dict:
    """Return the map, or why it is missing."""
    if isinstance(model, NoWeightsError):
        return {'missing': str(model)}
    deadline = time.monotonic() + MAP_SECONDS
    chosen = measured.indices[:MAP_PHOTOS]
    computed = features_of(
        model,
        [photos.photos[i].file for i in chosen],
        'computing features',
        lambda: time.monotonic() > deadline,
    )
    indices = [chosen[i] for i in computed.indices]
    if len(indices) < FEWEST:
        return {'missing': f'A map needs at least {FEWEST} photos.'}
    import numpy as np

    labels = np.array([photos.photos[i].label for i in indices])
    drawn = draw_map(computed.vectors)
    closer, unlike = find_outliers(
        computed.vectors, labels, len(photos.classes)
    )
    shown = [*closer[:OUTLIERS], *unlike[:OUTLIERS]]
    first = 1 + len(closer[:OUTLIERS])
    return {
        'missing': '',
        'model': str(model.network.file),
        'photos': len(indices),
        'explained': drawn.explained,
        'points': page_content.map_points(drawn, labels, photos.classes),
        'marks': page_content.map_marks(drawn, shown),
        'closer': page_content.outlier_cards(photos, indices, closer, 1),
        'closer_total': len(closer),
        'unlike': page_content.outlier_cards(photos, indices, unlike, first),
        'unlike_total': len(unlike),
    }

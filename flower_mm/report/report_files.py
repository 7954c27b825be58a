"""From the folders of runs to their pages and figures."""

import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from flower_mm.errors import UserError
from flower_mm.files import write_whole
from flower_mm.report import html
from flower_mm.report.evaluate import Measured, measure
from flower_mm.report.html import Shown
from flower_mm.report.report_data import comparison_of, facts_of
from flower_mm.report.run_folder import Run, read_json, read_run

if TYPE_CHECKING:
    from mmengine.config import Config

PAGE = 'report.html'
SIDE = 176  # pixels of a photo on the page


def write_report(
    folder: str | Path,
    data_root: str | Path | None = None,
    split: str = 'val',
    device: str = 'auto',
    config: 'Config | None' = None,
) -> Path:
    """Write the report into the folder of a run; return the page's path.

    What the run has not left is said on the page. Where the photos cannot
    be asked, nothing there is touched. `config` is that of the user's own
    run, in place of the one in best.pth.
    """
    run = read_run(Path(folder))
    measured = measure(run, data_root, split, device, config=config)
    return _write_report(run, measured, data_root)


def _write_report(
    run: Run, measured: Measured, data_root: str | Path | None
) -> Path:
    out = run.folder / PAGE
    _keep_pictures(out, measured)
    facts = facts_of(run, measured, data_root)
    photos = photograph(
        measured,
        {row['photo'] for row in facts['wrong'][: html.MOST_WRONG]},
        {row['photo'] for row in facts['suspects'][: html.MOST_SUSPECTS]},
    )
    if measured.why:
        print(f'not in the report: {measured.why}', file=sys.stderr)
    _write(out, html.report_page(facts, run, photos), facts)
    return out


def write_comparison(
    folders: list[str | Path],
    out: str | Path | None = None,
    data_root: str | Path | None = None,
    split: str = 'val',
    device: str = 'auto',
) -> Path:
    """Put runs side by side; return the page's path.

    The figures go into a JSON file of the same name; runs that have no
    predictions yet get a report of their own, those that have one of another
    split keep it.
    """
    paths = [Path(folder) for folder in folders]
    places = [path.resolve() for path in paths]
    twice = [p for p in paths if places.count(p.resolve()) > 1]
    if twice:
        raise UserError(f'{twice[0]} is named twice: nothing to compare')
    runs = [read_run(path) for path in paths]
    out = Path(out or paths[0].resolve().parent / 'comparison.html')
    if out.suffix != '.html':
        raise UserError(f'--out {out}: the page is a .html')
    _refuse_to_replace(out)
    measured = []
    for run in runs:
        measured.append(measure(run, data_root, split, device, keep=True))
        if measured[-1].new:
            _write_report(run, measured[-1], data_root)
    _keep_pictures(out, measured[0])
    facts = comparison_of(runs, measured)
    changed = {
        row['photo']
        for pair in facts['pairs']
        for kind in ('right_then_wrong_photos', 'wrong_then_right_photos')
        for row in pair.get(kind, [])[: html.MOST_CHANGED]
    }
    photos = photograph(measured[0], set(), changed)
    _write(out, html.comparison_page(facts, runs, photos), facts)
    return out


def _refuse_to_replace(out: Path) -> None:
    """Stop where the page or its figures would go over something else."""
    beside = out.with_suffix('.json')
    of_a_run = out.name == PAGE and (out.parent / 'run.json').exists()
    found = read_json(beside)
    is_comparison = isinstance(found, dict) and 'pairs' in found
    if of_a_run or (beside.exists() and not is_comparison):
        raise UserError(
            f'--out {out}: {out if of_a_run else beside} is no comparison '
            'and would be lost; name another page'
        )


def _keep_pictures(out: Path, measured: Measured) -> None:
    """Stop where a page with photos would give way to one without."""
    if measured.predictions is None or not measured.why or not out.is_file():
        return
    if b'data:image/jpeg' in out.read_bytes():
        raise UserError(
            f'{measured.why.splitlines()[0]}\n{out} has its photos and '
            'stays. Put that back, name the dataset (--data-root FOLDER), or '
            'delete the page for one without photos'
        )


def _write(out: Path, text: str, facts: dict) -> None:
    """The page, and its figures as JSON beside it."""
    figures = json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False)
    figures += '\n'
    for path, content in ((out.with_suffix('.json'), figures), (out, text)):
        # The name of a photo may be no text.
        write_whole(path, content.encode('utf-8', 'backslashreplace'))


def photograph(
    measured: Measured, with_heat: set[str], without: set[str]
) -> Mapping[str, Shown]:
    """Photos as the model saw them, and where it looked for what it said."""
    found = {}
    for load, mine in measured.by:
        photos = measured.predictions.photos
        wanted = [i for i in mine if photos[i] in with_heat | without]
        if not wanted:
            continue
        from flower_mm.inference.heat_map import heat_maps, overlay, thumbnail

        predictor = load()
        prepared = {}
        for i in wanted:
            # One that is gone since it was predicted is not shown.
            with suppress(UserError, OSError):
                prepared[i] = predictor.packed(photos[i])
        hot = [i for i in prepared if photos[i] in with_heat]
        said = measured.predictions.predicted[hot].tolist()
        heats = {}
        # A backbone may have no map of the photo to be asked.
        with suppress(ValueError):
            maps = heat_maps(predictor.model, [prepared[i] for i in hot], said)
            heats = dict(zip(hot, maps, strict=True))
        for i, photo in prepared.items():
            pixels = predictor.seen(photo)
            found[photos[i]] = Shown(
                thumbnail(pixels, SIDE),
                overlay(pixels, heats[i], SIDE) if i in heats else None,
            )
    return found

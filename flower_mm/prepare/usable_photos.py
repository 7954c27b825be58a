"""Choose the photos of a dataset from those that were read."""

import numpy as np

from flower_mm.errors import UserError
from flower_mm.photo_faults import reason_lines
from flower_mm.prepare.groups import members_of
from flower_mm.prepare.near_duplicates import group, identical
from flower_mm.prepare.stored_photos import StoredPhotos
from flower_mm.prepare.summary import Report, first_lines

# A run that stops at unusable files writes no report.txt, so that the screen
# has to list them, up to this number.
MAX_LISTED = 1000


def usable_photos(
    photos: StoredPhotos, report: Report, in_place: bool, on_bad: str
) -> StoredPhotos:
    """Leave out unusable photos, or raise UserError if `on_bad` is 'stop'."""
    is_usable = np.ones(len(photos), bool)
    for i, photo in enumerate(photos):
        if in_place and photo.rewrite_reason and not photo.error:
            photo.error = (
                f'{photo.rewrite_reason}: has to be rewritten; use --how copy'
            )
        is_usable[i] = not photo.error
        if photo.error:
            report.bad[photo.path] = photo.error
        elif photo.rewrite_reason:
            report.rewritten[photo.path] = photo.rewrite_reason
        elif photo.note:
            report.notes[photo.path] = photo.note
    if report.bad and on_bad == 'stop':
        _print_unusable(report, MAX_LISTED)
        raise UserError(
            f'{len(report.bad)} unusable files (listed above).\n'
            'Fix or remove them, or leave them out with --on-bad skip'
        )
    return photos.where(is_usable)


def refuse_empty_classes(
    classes: list[str], photos: StoredPhotos, report: Report
) -> None:
    """Raise UserError if a class has no usable photo."""
    used = set(photos.labels().tolist())
    empty = [name for i, name in enumerate(classes) if i not in used]
    if empty:
        if report.bad:
            _print_unusable(report)
        raise UserError(
            f'{len(empty)} classes without a usable photo: '
            f'{", ".join(empty[:10])}.\nAdd photos there, or remove the folder'
        )


def _print_unusable(report: Report, *most: int) -> None:
    print('Unusable files:')
    lines = reason_lines(sorted(report.bad.items()))
    print('\n'.join(first_lines(lines, *most)))


def leave_out_conflicts(
    photos: StoredPhotos, report: Report
) -> tuple[StoredPhotos, np.ndarray]:
    """Group near-duplicates; leave out identical photos under two classes.

    With `--on-conflict keep` these stay. Near-duplicates under two classes
    stay in any case, and the report lists them as possible label errors.
    """
    groups = group(photos)
    labels = photos.labels()
    is_kept = np.ones(len(photos), bool)
    for same in members_of(groups):
        if _have_several_classes(labels, same):
            for places in identical([photos[i] for i in same]):
                equal = [same[k] for k in places]
                if _have_several_classes(labels, equal):
                    report.conflicts.append([photos[i].path for i in equal])
                    if report.drops_conflicts:
                        is_kept[equal] = False
        kept = [i for i in same if is_kept[i]]
        paths = [photos[i].path for i in kept]
        if _have_several_classes(labels, kept):
            if paths not in report.conflicts:
                report.label_errors.append(paths)
        elif len(kept) > 1:
            report.duplicates.append(paths)
    return photos.where(is_kept), groups[is_kept]


def _have_several_classes(labels: np.ndarray, members: list[int]) -> bool:
    return len(set(labels[members].tolist())) > 1

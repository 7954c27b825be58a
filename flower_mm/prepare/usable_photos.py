"""Choose the photos of a dataset from those that were read."""

from collections import defaultdict

from flower_mm.errors import UserError
from flower_mm.photo_faults import reason_lines
from flower_mm.prepare.near_duplicates import group, identical
from flower_mm.prepare.photo import Photo
from flower_mm.prepare.summary import Report, first_lines

# A run that stops at unusable files writes no report.txt, so that the screen
# has to list them, up to this number.
MAX_LISTED = 1000


def usable_photos(
    photos: list[Photo], report: Report, in_place: bool, on_bad: str
) -> list[Photo]:
    """Leave out unusable photos, or raise UserError if `on_bad` is 'stop'."""
    for photo in photos:
        if in_place and photo.rewrite_reason and not photo.error:
            photo.error = (
                f'{photo.rewrite_reason}: has to be rewritten; use --how copy'
            )
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
    return [photo for photo in photos if not photo.error]


def refuse_empty_classes(
    classes: list[str], photos: list[Photo], report: Report
) -> None:
    """Raise UserError if a class has no usable photo."""
    used = {photo.label for photo in photos}
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
    photos: list[Photo], report: Report
) -> tuple[list[Photo], list[int]]:
    """Group near-duplicates; leave out identical photos under two classes.

    With `--on-conflict keep` these stay. Near-duplicates under two classes
    stay in any case, and the report lists them as possible label errors.
    """
    groups = group(photos)
    for photo in photos:
        photo.thumb = b''  # most of the memory that a photo takes
    members = defaultdict(list)
    for i, number in enumerate(groups):
        members[number].append(i)
    left_out = set()
    for same in members.values():
        if _have_several_classes(photos, same):
            for places in identical([photos[i] for i in same]):
                equal = [same[k] for k in places]
                if _have_several_classes(photos, equal):
                    report.conflicts.append([photos[i].path for i in equal])
                    if report.drops_conflicts:
                        left_out.update(equal)
        kept = [i for i in same if i not in left_out]
        paths = [photos[i].path for i in kept]
        if _have_several_classes(photos, kept):
            if paths not in report.conflicts:
                report.label_errors.append(paths)
        elif len(kept) > 1:
            report.duplicates.append(paths)
    kept = [i for i in range(len(photos)) if i not in left_out]
    return [photos[i] for i in kept], [groups[i] for i in kept]


def _have_several_classes(photos: list[Photo], members: list[int]) -> bool:
    return len({photos[i].label for i in members}) > 1

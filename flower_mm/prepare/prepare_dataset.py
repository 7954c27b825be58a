"""From photos to a dataset, step by step."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path

import flower_mm
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.prepare import dataset_json, write_dataset
from flower_mm.prepare.archive import unpack
from flower_mm.prepare.class_folders import (
    Found,
    Photo,
    Tree,
    find,
    list_folder,
    name_photos,
    shown,
)
from flower_mm.prepare.near_duplicates import group, identical
from flower_mm.prepare.scan_photos import scan
from flower_mm.prepare.split import split
from flower_mm.prepare.summary import Report, first
from flower_mm.prepare.verify_dataset import damages
from flower_mm.trust import trust

# When the run stops because of bad photos, no report is written: the screen
# has to show them all, within reason.
MOST_ON_SCREEN = 1000


@dataclass(frozen=True)
class Options:
    val: float = 0.2
    test: float = 0.0
    seed: int = 0
    how: str = 'copy'  # copy, link or none
    on_bad: str = 'stop'  # stop or skip
    on_conflict: str = 'drop'  # drop or keep

    def __post_init__(self):
        if not (0 < self.val < 1 and 0 <= self.test < 1):
            raise UserError(
                f'--val {self.val} and --test {self.test}: they are shares '
                'between 0 and 1, and training needs validation photos.\n'
                'Try: --val 0.2 --test 0.1'
            )
        if self.val + self.test >= 1:
            raise UserError(
                f'--val {self.val} and --test {self.test} leave no photo to '
                'train on; try: --val 0.2 --test 0.1'
            )

    @property
    def split(self) -> tuple[float, float, int]:
        return self.val, self.test, self.seed


def prepare(
    source: Path,
    out: Path,
    options: Options,
    overwrite: bool = False,
    sides_from: Path | None = None,
) -> bool:
    """Make the dataset `out` from the photos in `source`, or raise.

    Returns whether it can be trained on.
    """
    _check_places(source, out, options)
    # Where `out` is a link to another disk, build there.
    goal = out.resolve()
    write_dataset.recover(goal)
    write_dataset.refuse_if_not_ours(goal, overwrite)
    old = (
        dataset_json.load(goal)
        if (goal / DatasetDir.RECORD).is_file()
        else None
    )
    # Before any photo is read: a wrong folder shows at once.
    given = dataset_json.load(sides_from) if sides_from else None
    with write_dataset.workspace(goal) as work:
        if source.is_dir():
            tree = list_folder(source)
        else:
            (work / 'unpacked').mkdir()
            tree = unpack(source, work / 'unpacked')
        made = _plan(tree, source, options, given or _same_split(old, options))
        if old and _is_same(old, made.record):
            _say_same(out)
            if options.how == 'none':
                trust(goal)
            return True
        if old and not overwrite:
            raise UserError(
                f'{out} is a dataset of other photos or options; it is left '
                'alone.\nReplace it with --overwrite (old photos keep their '
                'sides), or choose another --out'
            )
        if options.how != 'none':
            _place(made, work, options, source.is_file())
        write_dataset.write_texts(
            made.record, made.report.text(), work / 'dataset'
        )
        write_dataset.swap(work / 'dataset', goal)
    if options.how == 'none':
        trust(goal)
    print(made.report.screen(out / DatasetDir.SUMMARY))
    held = made.report.counts.get('val', {})
    if options.val and not any(held.values()):
        print(
            f'{out} has no photos for validation: each class has one photo, '
            'or near-duplicates of one (listed in '
            f'{out / DatasetDir.SUMMARY}).\n'
            'Add other photos, and run this again.'
        )
        return False
    print(f'{out} is ready')
    return True


@dataclass
class _Plan:
    photos: list[Photo]
    sides: list[str]
    record: dict
    report: Report


def _check_places(source: Path, out: Path, options: Options) -> None:
    if not (source.is_dir() or source.is_file()):
        # Reading a pipe would wait for ever.
        what = 'is a device' if source.exists() else 'does not exist'
        raise UserError(
            f'{source} {what}.\nGive a folder with one folder per '
            'class, or a zip or tar of one.'
        )
    if source.is_file() and options.how == 'none':
        raise UserError(
            f'{source} is an archive, and --how none needs photos that lie '
            'in a folder.\nLeave --how away, or unpack it first.'
        )
    inner, outer = source.resolve(), out.resolve()
    if source.is_dir() and (
        inner.is_relative_to(outer) or outer.is_relative_to(inner)
    ):
        raise UserError(
            f'{out} and {source} lie in each other, so photos and dataset '
            'would mix; choose another --out'
        )


def _same_split(old: dict | None, options: Options) -> dict | None:
    """The old dataset, if it was split as is asked for now."""
    if not old:
        return None
    split = tuple(old['options'][key] for key in ('val', 'test', 'seed'))
    return old if split == options.split else None


def _plan(
    tree: Tree, source: Path, options: Options, earlier: dict | None
) -> _Plan:
    found = find(tree, source)
    if len(found.classes) < 2:
        raise UserError(
            f'{source} has one class only ({found.classes[0]}); telling '
            'classes apart takes two.\nExpected: one folder per class, e.g. '
            f'{source / "daisy"} and {source / "rose"}'
        )
    in_place = options.how == 'none'
    whole = source.resolve().as_posix()
    if in_place:
        _refuse_other_spelling(found, whole)
    scan(found.photos)
    report = Report(bad=dict(found.bad), dropped=options.on_conflict == 'drop')
    photos = _usable(found.photos, report, in_place)
    if report.bad and options.on_bad == 'stop':
        _stop(report.bad)
    _refuse_empty(found.classes, photos, report)
    photos, groups = _without_conflicts(photos, report)
    sides = split(
        groups,
        [photo.label for photo in photos],
        [photo.sha256 for photo in photos],
        *options.split,
        dataset_json.sides(earlier) if earlier else None,
    )
    report.torn = [p.path for p, s in zip(photos, sides, strict=True) if not s]
    groups = [g for g, s in zip(groups, sides, strict=True) if s]
    photos = [p for p, s in zip(photos, sides, strict=True) if s]
    sides = [side for side in sides if side]
    _refuse_empty(found.classes, photos, report)
    name_photos(photos, in_place)
    root = (Path(whole) / found.base).as_posix() if in_place else None
    record = record_of(photos, sides, found.classes, options)
    record |= {'source': shown(whole), 'photos': root}
    record['equal'] = _equal(photos, groups, found.classes)
    record['left_out'] = _left_out(report)
    report.counts = record['counts']
    _remark(report)
    return _Plan(photos, sides, record, report)


def _refuse_other_spelling(found: Found, source: str) -> None:
    root = f'{source}/{found.base}'
    if shown(root) != root:
        raise UserError(
            f'{shown(root)} cannot stand in a dataset: it holds a line '
            'break, a control character or bytes that are no text.\n'
            'Rename the folder, or use --how copy'
        )
    for folder, name in zip(found.folders, found.classes, strict=True):
        if folder != name:
            raise UserError(
                f'the folder of class {name!r} spells it with outer blanks '
                'or split accents, which a dataset cannot point into.\n'
                'Rename the folder, or use --how copy'
            )


def _usable(
    photos: list[Photo], report: Report, in_place: bool
) -> list[Photo]:
    for photo in photos:
        if in_place and photo.fix and not photo.bad:
            photo.bad = f'{photo.fix}: has to be rewritten; use --how copy'
        if photo.bad:
            report.bad[photo.path] = photo.bad
        elif photo.fix:
            report.rewritten[photo.path] = photo.fix
        elif photo.note:
            report.notes[photo.path] = photo.note
    return [photo for photo in photos if not photo.bad]


def _stop(bad: dict[str, str]) -> None:
    print('Cannot be used:')
    lines = [f'{path}: {why}' for path, why in sorted(bad.items())]
    print('\n'.join(first(lines, MOST_ON_SCREEN)))
    raise UserError(
        f'{len(bad)} of the files cannot be used (listed above); nothing was '
        'written.\nFix or remove them, or leave them out with --on-bad skip'
    )


def _refuse_empty(
    classes: list[str], photos: list[Photo], report: Report
) -> None:
    used = {photo.label for photo in photos}
    empty = [name for i, name in enumerate(classes) if i not in used]
    if not empty:
        return
    if report.bad:
        print('Cannot be used:')
        lines = [f'{path}: {why}' for path, why in sorted(report.bad.items())]
        print('\n'.join(first(lines)))
    raise UserError(
        f'no usable photo in {len(empty)} of the classes: '
        f'{", ".join(empty[:10])}; nothing was written.\n'
        'Add photos there, or remove the folder.'
    )


def _without_conflicts(
    photos: list[Photo], report: Report
) -> tuple[list[Photo], list[int]]:
    """Group near-duplicates; leave out identical photos of two classes.

    These are kept if the user asks for it. All others are kept anyway.
    """
    groups = group(photos)
    for photo in photos:
        photo.thumb = b''  # most of what is held per photo
    members = defaultdict(list)
    for i, number in enumerate(groups):
        members[number].append(i)
    left_out = set()
    for same in members.values():
        if _are_of_several_classes(photos, same):
            for places in identical([photos[i] for i in same]):
                equal = [same[k] for k in places]
                if _are_of_several_classes(photos, equal):
                    report.conflicts.append([photos[i].path for i in equal])
                    if report.dropped:
                        left_out.update(equal)
        kept = [i for i in same if i not in left_out]
        paths = [photos[i].path for i in kept]
        if _are_of_several_classes(photos, kept):
            if paths not in report.conflicts:
                report.label_errors.append(paths)
        elif len(kept) > 1:
            report.duplicates.append(paths)
    kept = [i for i in range(len(photos)) if i not in left_out]
    return [photos[i] for i in kept], [groups[i] for i in kept]


def _are_of_several_classes(photos: list[Photo], members: list[int]) -> bool:
    return len({photos[i].label for i in members}) > 1


def record_of(
    photos: list[Photo], sides: list[str], classes: list[str], options: Options
) -> dict:
    """What dataset.json says, before anything is written."""
    wanted = [
        s
        for s in DatasetDir.SPLITS
        if s != 'test' or options.test or s in sides
    ]
    files = {side: {} for side in wanted}
    for photo, side in zip(photos, sides, strict=True):
        path = f'{classes[photo.label]}/{photo.name}'
        files[side][path] = photo.sha256.hex()
    files = {side: dict(sorted(files[side].items())) for side in wanted}
    return {
        'format': dataset_json.FORMAT,
        'tool': f'flower_mm {flower_mm.__version__}',
        'source': '',
        # The folder that the lines of train.txt and its like start from; null
        # for the folder of their side beside this file.
        'photos': None,
        'options': asdict(options),
        'classes': classes,
        'counts': dataset_json.counts(files, classes),
        'left_out': {},
        'equal': [],
        'rewritten': {},
        'sha256': dataset_json.digest(files),
        'files': files,
    }


def _equal(
    photos: list[Photo], groups: list[int], classes: list[str]
) -> list[list[str]]:
    """Groups of near-duplicates, as the dataset names them."""
    members = defaultdict(list)
    for photo, number in zip(photos, groups, strict=True):
        path = f'{classes[photo.label]}/{photo.name}'
        members[number].append(path)
    return sorted(sorted(same) for same in members.values() if len(same) > 1)


def _left_out(report: Report) -> dict[str, str]:
    left_out = dict(report.bad)
    if report.dropped:
        for paths in report.conflicts:
            for path in paths:
                others = ', '.join(p for p in paths if p != path)
                left_out[path] = f'conflict: identical to {others}'
    for path in report.torn:
        left_out[path] = 'near-duplicate of earlier photos on two sides'
    return dict(sorted(left_out.items()))


def _remark(report: Report) -> None:
    for side, counts in report.counts.items():
        none = [name for name, count in counts.items() if not count]
        if none:
            report.remarks.append(
                f'Too few different photos to have any in {side}: '
                f'{", ".join(none[:10])}'
                + (f' and {len(none) - 10} more' if len(none) > 10 else '')
            )


def _is_same(old: dict, new: dict) -> bool:
    same = ('photos', 'classes')
    of_options = ('val', 'test', 'seed', 'how')
    return (
        all(old[key] == new[key] for key in same)
        and all(old['options'][k] == new['options'][k] for k in of_options)
        and dataset_json.origins(old) == new['files']
    )


def _say_same(out: Path) -> None:
    wrong = damages(out)
    if wrong:
        print('\n'.join(first(wrong)))
        raise UserError(
            f'{out} was made of these photos, but it is not whole any more.'
            '\nMove it away and run this again.'
        )
    print(f'{out} is already there, made of the same photos; nothing to do')


def _place(
    made: _Plan, work: Path, options: Options, from_archive: bool
) -> None:
    record, folder = made.record, work / 'dataset'
    # What was unpacked lies on the same disk and is ours: no need to copy it.
    link = from_archive or options.how == 'link'
    if not link:
        write_dataset.check_space(made.photos, work)
    linked = write_dataset.place_photos(
        made.photos, made.sides, record['classes'], folder, link
    )
    if not linked and options.how == 'link':
        made.report.remarks.append(
            'Copied, not linked: photos and dataset lie on two disks, or on '
            'one without hard links'
        )
    for photo, side in zip(made.photos, made.sides, strict=True):
        if photo.fix:
            path = f'{record["classes"][photo.label]}/{photo.name}'
            record['files'][side][path] = photo.made.hex()
            record['rewritten'][path] = {
                'from': photo.sha256.hex(),
                'path': shown(photo.path),
                'why': photo.fix,
            }
    record['sha256'] = dataset_json.digest(record['files'])

"""Turn photos into a dataset, step by step."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.plain_text import escape_controls
from flower_mm.prepare import dataset_json, write_dataset
from flower_mm.prepare.apply_corrections import (
    CORRECTIONS,
    PARENT,
    read_corrected,
)
from flower_mm.prepare.photo import Photo
from flower_mm.prepare.published_split import keep_published_split
from flower_mm.prepare.scan_store import (
    KeyOf,
    ScanStore,
    by_file,
    scan_store,
)
from flower_mm.prepare.sources.listing import CLASS_FOLDERS, Listing, refusal
from flower_mm.prepare.sources.read_source import (
    UNPACKED,
    read_source,
    require_source,
)
from flower_mm.prepare.split import assign_splits
from flower_mm.prepare.stored_photos import StoredPhotos
from flower_mm.prepare.summary import Report, first_lines
from flower_mm.prepare.usable_photos import (
    leave_out_conflicts,
    refuse_empty_classes,
    usable_photos,
)
from flower_mm.prepare.verify_dataset import find_damage
from flower_mm.prepare.write_shards import (
    OVERHEAD,
    write_manifest,
    write_shards,
)
from flower_mm.trust import trust


@dataclass(frozen=True)
class Options:
    """The options of `flower-mm prepare` that decide what it writes."""

    val: float = 0.2
    test: float = 0.0
    seed: int = 0
    how: str = 'copy'  # copy, link or none
    shards: int = 0  # bytes of a shard; 0 for a file per photo
    on_bad: str = 'stop'  # stop or skip
    on_conflict: str = 'drop'  # drop or keep
    fix_leaks: bool = False
    # Of a table of photos.
    path_column: str = ''
    label_column: str = ''
    images: str = ''  # the folder of the photos

    def __post_init__(self) -> None:
        is_valid = 0 < self.val < 1 and 0 <= self.test < 1
        if not (is_valid and self.val + self.test < 1):
            raise UserError(
                f'invalid shares: expected --val above 0 and --val plus '
                f'--test below 1, got --val {self.val} --test {self.test}.\n'
                'Try: --val 0.2 --test 0.1'
            )
        if self.shards and self.how != 'copy':
            raise UserError(
                f'--shards copies the photos: leave out --how {self.how}'
            )

    @property
    def split(self) -> tuple[float, float, int]:
        return self.val, self.test, self.seed


def prepare(
    source: Path,
    out: Path,
    options: Options,
    overwrite: bool = False,
    splits_from: Path | None = None,
    corrects: bool = False,
) -> bool:
    """Write the dataset `out` from the photos in `source`.

    If it `corrects`, `source` is a dataset with corrections.csv. Returns
    whether `out` has photos for validation.
    """
    _check_paths(source, out, options)
    target = out.resolve()  # `out` may be a link to another disk
    write_dataset.recover(target)
    write_dataset.refuse_foreign_folder(target, overwrite)
    has_old = (target / DatasetDir.RECORD).is_file()
    old = dataset_json.load(target) if has_old else None
    # Before any photo is read, so that a wrong folder is reported at once.
    earlier = dataset_json.load(splits_from) if splits_from else None
    if not earlier and old and _split_options(old) == options.split:
        earlier = old
    with (
        write_dataset.workspace(target) as work,
        scan_store(target) as store,
    ):
        if corrects:
            listing, earlier, options = read_corrected(source, options)
        else:
            listing = read_source(source, work, target, options)
        key_of = _key_of(source, work / UNPACKED)
        contents = _choose_contents(
            store, key_of, listing, source, options, earlier
        )
        if old and _is_same(old, contents.record):
            _report_unchanged(out)
            if options.how == 'none':
                trust(target)
            return True
        if old and not overwrite:
            raise UserError(
                f'{out} is a dataset of other photos or options.\n'
                'Replace it with --overwrite (old photos keep their split), '
                'or choose another --out'
            )
        if options.how != 'none':
            _write_photos(contents, work, options)
        write_dataset.write_texts(
            contents.record, contents.report.text(), work / 'dataset'
        )
        if options.shards:
            write_manifest(work / 'dataset')
        write_dataset.swap(work / 'dataset', target)
    if options.how == 'none':
        trust(target)
    print(contents.report.screen(out / DatasetDir.SUMMARY))
    if not any(contents.report.counts['val'].values()):
        print(
            f'{out} has no validation photos: each class consists of one '
            'photo and its near-duplicates (listed in '
            f'{out / DatasetDir.SUMMARY}).\n'
            'Add other photos, and run this command again.'
        )
        return False
    print(f'{out} is ready')
    return True


@dataclass
class _Contents:
    """What a dataset will hold; `splits` has the split of each photo."""

    photos: StoredPhotos
    splits: list[str]
    record: dict
    report: Report


def _key_of(source: Path, unpacked: Path) -> KeyOf:
    """Return how to know a photo again that an earlier run has read.

    Photos of an archive are unpacked again; the archive tells their state.
    """
    archive = os.path.realpath(source)
    start = f'{unpacked}{os.sep}'

    def key_of(photo: Photo) -> tuple[str, str]:
        if source.is_file() and photo.file.startswith(start):
            return f'{archive}{os.sep}{photo.path}', archive
        return by_file(photo)

    return key_of


def _check_paths(source: Path, out: Path, options: Options) -> None:
    require_source(source, options)
    inner, outer = source.resolve(), out.resolve()
    if source.is_dir() and (
        inner.is_relative_to(outer) or outer.is_relative_to(inner)
    ):
        raise UserError(
            f'{out} and {source} contain each other: photos and dataset '
            'would mix.\nChoose another --out'
        )


def _split_options(record: dict) -> tuple[float, float, int]:
    options = record['options']
    return options['val'], options['test'], options['seed']


def _choose_contents(
    store: ScanStore,
    key_of: KeyOf,
    listing: Listing,
    source: Path,
    options: Options,
    earlier: dict | None,
) -> _Contents:
    in_place = options.how == 'none'
    root = Path(source.resolve().as_posix(), listing.base).as_posix()
    if in_place:
        _refuse_other_spelling(listing, root)
    photos = store.scan(listing.photos, key_of)
    published = sorted({photo.split for photo in photos} - {''})
    report = Report(
        bad=dict(listing.bad),
        no_class=listing.left_out,
        rows_without_file=listing.rows_without_file,
        other_files=listing.other_files,
        remarks=listing.remarks,
        drops_conflicts=options.on_conflict == 'drop',
    )
    photos = usable_photos(photos, report, in_place, options.on_bad)
    refuse_empty_classes(listing.classes, photos, report)
    photos, groups = leave_out_conflicts(photos, report)
    recorded = dataset_json.splits(earlier) if earlier else None
    if published:
        if options.test:
            report.remarks.append('--test is ignored: the split is published')
        splits = keep_published_split(
            photos,
            groups,
            options.val,
            options.seed,
            recorded,
            options.fix_leaks,
            report,
        )
    else:
        splits = assign_splits(
            groups,
            photos.labels(),
            photos.shas(),
            *options.split,
            recorded,
        )
    has_split = np.array([split != '' for split in splits], bool)
    report.in_two_splits = [p.path for p in photos.where(~has_split)]
    photos, groups = photos.where(has_split), groups[has_split]
    splits = [split for split in splits if split]
    refuse_empty_classes(listing.classes, photos, report)
    if published:
        _refuse_classes_without_training(listing, photos, splits)
    store.place(photos, splits, listing.classes, in_place)
    files = store.files(dataset_json.names_of_splits(splits, options))
    record = dataset_json.make(files, listing.classes, options)
    record['source'] = escape_controls(source.resolve().as_posix())
    record['source_format'] = listing.format
    record['published_splits'] = published
    record['photos'] = root if in_place else None
    record['equal'] = dataset_json.groups(photos, groups, listing.classes)
    record['left_out'] = report.left_out()
    record |= listing.record
    report.counts = record['counts']
    return _Contents(photos, splits, record, report)


def _refuse_classes_without_training(
    listing: Listing, photos: StoredPhotos, splits: list[str]
) -> None:
    is_trained = np.array([split == 'train' for split in splits], bool)
    trained = set(photos.labels()[is_trained].tolist())
    lacking = [
        name for i, name in enumerate(listing.classes) if i not in trained
    ]
    if lacking:
        raise refusal(
            f'the published split has no training photo of {len(lacking)} '
            f'classes: {", ".join(lacking[:10])}.\nAdd some, or put the '
            'photos of each class together',
            CLASS_FOLDERS,
        )


def _refuse_other_spelling(listing: Listing, root: str) -> None:
    """Refuse folders whose paths cannot stand in the lists of a dataset."""
    if listing.format != CLASS_FOLDERS:
        raise refusal(
            f'--how none needs class folders, got {listing.format}.\n'
            'Omit --how, or use --how link, which takes no space either',
            CLASS_FOLDERS,
        )
    if escape_controls(root) != root:
        raise UserError(
            f'invalid path for --how none: {escape_controls(root)} contains '
            'control characters, line breaks or bytes that are not UTF-8.\n'
            'Rename the folder, or use --how copy'
        )
    for folder, name in zip(listing.folders, listing.classes, strict=True):
        if folder != name:
            raise UserError(
                f'invalid folder name for --how none: expected {name!r}, got '
                f'{folder!r} (outer blanks or decomposed accents).\n'
                'Rename the folder, or use --how copy'
            )


def _is_same(old: dict, new: dict) -> bool:
    return (
        all(old[key] == new[key] for key in ('photos', 'classes'))
        and _split_options(old) == _split_options(new)
        and old['options']['how'] == new['options']['how']
        and old['options'].get('shards', 0) == new['options']['shards']
        and all(old.get(key) == new.get(key) for key in (PARENT, CORRECTIONS))
        and dataset_json.origins(old) == new['files']
    )


def _report_unchanged(out: Path) -> None:
    damage = find_damage(out)
    if damage:
        print('\n'.join(first_lines(damage)))
        raise UserError(
            f'{out} was made from these photos, but {len(damage)} files '
            'changed (listed above).\nMove it away and run this command again.'
        )
    print(f'{out} is up to date: made from the same photos; nothing to do')


def _write_photos(contents: _Contents, work: Path, options: Options) -> None:
    record, folder = contents.record, work / 'dataset'
    photos, splits = contents.photos, contents.splits
    if options.shards:
        write_dataset.check_space(photos, work, OVERHEAD)
        write_shards(photos, splits, record, options.shards, folder)
        return
    # Unpacked photos are on the same disk and ours: a link is enough.
    unpacked = str(work / UNPACKED)
    copied = (p for p in photos if not p.file.startswith(unpacked))
    if options.how != 'link':
        write_dataset.check_space(copied, work)
    linked = write_dataset.place_photos(
        photos,
        splits,
        record,
        folder,
        lambda photo: options.how == 'link' or photo.file.startswith(unpacked),
    )
    if not linked and options.how == 'link':
        contents.report.remarks.append(
            'Copied instead of linked: photos and dataset are on different '
            'disks, or the disk does not support links'
        )

"""The next version of a dataset: the photos with their corrected labels.

The corrected photos go through the same steps as new ones. Photos keep their
split, and the search for near-duplicates and conflicts covers all of them.
"""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from flower_mm.commands import command
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.prepare import dataset_json
from flower_mm.prepare.corrections import (
    EXCLUDE,
    KEEP,
    RELABEL,
    Correction,
    Corrections,
)
from flower_mm.prepare.photo import Photo
from flower_mm.prepare.sources.listing import Listing
from flower_mm.prepare.summary import first_lines
from flower_mm.prepare.verify_dataset import (
    listed_photos,
    refuse_private_photos,
    sha256_of_photo,
)

if TYPE_CHECKING:
    from flower_mm.prepare.prepare_dataset import Options

FORMAT = 'corrected dataset'
# The keys of dataset.json that tell what was corrected.
PARENT, CORRECTIONS, REVIEWED = 'parent', 'corrections', 'reviewed'
LISTED = 10  # photos in a remark


class Corrected(NamedTuple):
    """A dataset with its corrections."""

    listing: Listing
    earlier: dict  # the splits of unchanged photos, as of dataset.json
    options: 'Options'


def read_corrected(root: Path, options: 'Options') -> Corrected:
    """Return the photos of a dataset as its corrections.csv wants them."""
    record = dataset_json.load(root)
    corrections = Corrections(root)
    decisions = {each.key: each for each in corrections.decisions()}
    if not decisions:
        raise UserError(
            f'{root} has no corrections: {DatasetDir.CORRECTIONS} is missing '
            f'or without decisions.\nReview the labels: '
            f'{command("review", root)}'
        )
    _require_classes(corrections, record['classes'])
    photos, splits = listed_photos(root, record)
    refuse_private_photos(root, photos)
    counts: dict[str, Counter[str]] = {
        split: Counter() for split in record['files']
    }
    kept, moved, changed, edited = [], [], [], []
    earlier: dict[str, dict[str, str]] = {
        split: {} for split in record['files']
    }
    reviewed = set(reviewed_before(record))
    for photo, split in zip(photos, splits, strict=True):
        path = photo.path.partition('/')[2]
        photo.inside = path.partition('/')[2]
        if record.get('published_splits'):
            photo.split = split
        decision = decisions.pop((split, path), None)
        sha256 = sha256_of_photo(photo)
        if sha256 == photo.sha256:
            earlier[split][path] = sha256.hex()
        if decision and (not sha256 or sha256.hex() != decision.sha256):
            changed.append(photo.path)
            decision = None
        if decision:
            counts[split][decision.action] += 1
        if decision and decision.action in (KEEP, RELABEL):
            reviewed.add(decision.sha256)
        if decision and decision.action == RELABEL:
            photo.label = record['classes'].index(decision.new_label)
            moved.append(photo)
        elif decision and decision.action == EXCLUDE:
            continue
        else:
            kept.append(photo)
        if sha256 != photo.sha256:
            edited.append(photo.path)
    _refuse_empty_classes(corrections, record['classes'], kept + moved)
    listing = Listing(
        FORMAT,
        record['classes'],
        # Untouched photos first, so that they keep their names.
        kept + moved,
        remarks=[
            *_summary(counts),
            *_named(changed, 'changed since the decision: not corrected'),
            *_named(
                [path for path in edited if path not in set(changed)],
                f'changed since {DatasetDir.RECORD} was written: as new ones',
            ),
            *_named(
                ['/'.join(key) for key in sorted(decisions)],
                'not in the dataset: decisions without effect',
            ),
        ],
        record={
            PARENT: {
                'name': root.resolve().name,
                'sha256': record['sha256'],
                'earlier': ancestors(record),
            },
            CORRECTIONS: {
                'sha256': corrections.sha256,
                'counts': {split: dict(c) for split, c in counts.items()},
                'not_corrected': changed,
            },
            REVIEWED: sorted(reviewed),
        },
    )
    given = record['options']
    options = replace(
        options,
        **{key: given[key] for key in ('val', 'test', 'seed', 'on_conflict')},
    )
    return Corrected(listing, {'files': earlier, 'rewritten': {}}, options)


def ancestors(record: dict) -> list[str]:
    """Return the hashes of the datasets that a dataset corrects."""
    parent = record.get(PARENT)
    if not isinstance(parent, dict):
        return []
    earlier = parent.get('earlier')
    hashes = [
        parent.get('sha256'),
        *(earlier if isinstance(earlier, list) else []),
    ]
    return [h for h in hashes if isinstance(h, str)]


def reviewed_before(record: dict) -> list[str]:
    """Return the hashes of photos that were reviewed in earlier versions."""
    hashes = record.get(REVIEWED)
    return [h for h in hashes or [] if isinstance(h, str)]


def _require_classes(corrections: Corrections, classes: list[str]) -> None:
    def is_unknown(correction: Correction) -> bool:
        return correction.action == RELABEL and (
            correction.new_label not in classes
        )

    for correction in filter(is_unknown, corrections.decisions()):
        raise UserError(
            f'{corrections.path}: {correction.photo} has the new label '
            f'{correction.new_label!r}, which is not a class of the dataset.\n'
            f'Expected one of {", ".join(classes[:LISTED])}'
        )


def _refuse_empty_classes(
    corrections: Corrections, classes: list[str], photos: list[Photo]
) -> None:
    used = {photo.label for photo in photos}
    empty = [name for i, name in enumerate(classes) if i not in used]
    if empty:
        root = corrections.path.parent
        raise UserError(
            f'{corrections.path} relabels or excludes all photos of '
            f'{", ".join(empty[:LISTED])}: each class needs a photo.\n'
            f'Undo some decisions: {command("review", root)}\n'
            'To remove the class, prepare the original photos again without '
            'its folder'
        )


def _summary(counts: dict[str, Counter[str]]) -> list[str]:
    total: Counter[str] = Counter()
    for count in counts.values():
        total.update(count)
    return [
        f'Corrections: {total[RELABEL]} photos relabelled, '
        f'{total[EXCLUDE]} excluded, {total[KEEP]} confirmed'
    ]


def _named(paths: list[str], what: str) -> list[str]:
    if not paths:
        return []
    lines = first_lines(paths, LISTED)
    return ['\n'.join([f'{len(paths)} photos {what}:', *lines])]

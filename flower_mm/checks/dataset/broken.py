"""Can the photos be loaded by what will load them?

A photo that cannot ends a training: one of val after the whole first epoch.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

from mmengine.registry import TRANSFORMS

from flower_mm.checks.case import Case, Split
from flower_mm.checks.finding import Finding, note, stop, warn
from flower_mm.config import walk
from flower_mm.datasets.flower_dataset import FEW, read_photo
from flower_mm.datasets.load_photo import as_load_photo
from flower_mm.errors import UserError
from flower_mm.prepare.scan_photos import look

# For the photos of a split, at the start of a training and for the doctor.
# The end of a file takes 0.05 ms, a photo of 320 x 240 pixels 0.5 ms.
SECONDS = {False: 0.3, True: 10}
# How a whole file ends that starts so; it is the end that gets lost.
ENDS = {b'\xff\xd8': b'\xff\xd9', b'\x89P': b'IEND'}
TAIL = 64  # bytes; some programs write a little behind the end
SHOWN = 100  # characters of a message


def check(case: Case) -> Iterator[Finding]:
    seen: set[str] = set()
    for loader in ('val_dataloader', 'test_dataloader', 'train_dataloader'):
        # A training does not ask for a test.
        if loader == 'test_dataloader' and not case.thorough:
            continue
        if loader in case.splits:
            yield from _look(case, case.splits[loader], seen)


def loading(case: Case, loader: str) -> Callable[[str], str] | None:
    """What tells why a loader cannot load a photo, '' if it can.

    None where that is not known without the rest of its pipeline.
    """
    step = next(
        (
            part.pipeline[0]
            for part in walk(case.settled[loader].dataset)
            if part.get('pipeline')
        ),
        {},
    )
    kind = str(step.get('type')).rpartition('.')[2]
    # MMPretrain's datasets take another photo for one that is let pass.
    if kind != 'LoadImageFromFile' or step.get('ignore_empty'):
        return None
    try:
        load = as_load_photo(TRANSFORMS.build(step))
    except Exception:
        return None  # told with the rest of the pipeline

    def why_not(photo: str) -> str:
        try:
            read_photo([load], {'img_path': photo})
        except UserError as error:
            return str(error).removeprefix(f'{photo} could not be loaded: ')
        return ''

    return why_not


def _look(case: Case, split: Split, seen: set[str]) -> Iterator[Finding]:
    why_not = loading(case, split.loader)
    if not why_not:
        return
    photos = [p for p in dict.fromkeys(split.photos) if p not in seen]
    # In any order: where time is short, each class has its chance.
    photos = Random(0).sample(photos, len(photos))
    if case.thorough:
        photos.sort(key=_has_its_end)
    count, broken = 0, {}
    end = time.monotonic() + SECONDS[case.thorough]
    for photo in photos:
        if time.monotonic() > end:
            break
        seen.add(photo)
        count += 1
        if case.thorough or not _has_its_end(photo):
            # One that is not there is told of elsewhere.
            reason = Path(photo).is_file() and why_not(photo)
            if reason:
                broken[photo] = reason
    if broken:
        yield _told(case, split, broken, count)


def _has_its_end(photo: str) -> bool:
    try:
        with Path(photo).open('rb') as file:
            start = file.read(2)
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            return start in ENDS and ENDS[start] in file.read()
    except OSError:
        return False


def _told(
    case: Case, split: Split, broken: dict[str, str], count: int
) -> Finding:
    photo = min(broken)
    reason = look(photo).bad or broken[photo]
    what = (
        f'{len(broken)} of {count} photos of {split.name} looked at cannot '
        f'be loaded, such as {photo} ({reason[:SHOWN]}).'
    )
    where = case.list_of(split.loader)
    listed = where != f'{split.loader}.dataset'
    mend = 'put whole copies in their place, or take ' + (
        'their lines out' if listed else 'them away'
    )
    if split.loader == 'val_dataloader':
        return stop(what, where, mend)
    if split.loader == 'test_dataloader':
        return warn(what, where, mend)
    flowers = [part for _, part in case.flowers(split.loader)]
    if not flowers or len(broken) > max(FEW, count // 10):
        return warn(what, where, mend)
    if all(part.get('broken') == 'skip' for part in flowers):
        return note(what, where, f'they are passed over; or {mend}')
    return warn(what, where, f'{mend}; or pass over them: --skip-broken')

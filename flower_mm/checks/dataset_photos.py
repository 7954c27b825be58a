"""Do the photos exist, can they be loaded, and are they large enough?"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

from mmengine.config import ConfigDict
from mmengine.registry import TRANSFORMS

from flower_mm import photo_bytes
from flower_mm.checks.codes import Severity
from flower_mm.checks.config_values import set_options
from flower_mm.checks.context import CheckContext, Split, sizes_of
from flower_mm.checks.finding import Finding
from flower_mm.checks.sample_batches import size_of
from flower_mm.config import LOADERS, bare_name, walk
from flower_mm.datasets.decoded_cache import require_side
from flower_mm.datasets.flower_dataset import FEW, read_photo
from flower_mm.datasets.load_photo import as_load_photo
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.prepare.scan_photos import inspect_photo

REPEATING = ('RepeatDataset', 'ClassBalancedDataset')
# Time for the photos of a split, before a training and in a thorough check.
# The end of a file takes 0.05 ms, a photo of 320 x 240 pixels 0.5 ms.
SECONDS = {False: 0.3, True: 10}
# The end of a whole file with this start; the end is what gets lost.
ENDS = {b'\xff\xd8': b'\xff\xd9', b'\x89P': b'IEND'}
TAIL = 64  # bytes; some programs write a little behind the end
SAMPLE = 200  # photos whose headers are read
MOST_PIXELS = 4000  # a side
MOST_MEGABYTES = 5
SIDE = 320  # pixels, the side that our configs keep


def check(ctx: CheckContext) -> Iterator[Finding]:
    for split in ctx.splits.values():
        # FlowerDataset checks its list; MMPretrain's datasets do not.
        if not ctx.is_flower(split.loader):
            yield from _listed(ctx, split)
    if not ctx.args.no_validate:
        yield from _held_out(ctx)
    yield from _unreadable(ctx)
    yield from _decoded_sizes(ctx)
    yield from _sizes(ctx)


def _listed(ctx: CheckContext, split: Split) -> Iterator[Finding]:
    where = ctx.list_of(split.loader)
    lost = [photo for photo in split.photos if not photo_bytes.is_file(photo)]
    if lost:
        yield Finding(
            'DATA004',
            where,
            f'{len(lost)} of {len(split.photos)} photos of {split.name} do '
            f'not exist, such as {lost[0]}',
            f'correct the list, or data_prefix of {split.loader}.dataset',
        )
    kinds = [p.get('type') for p in walk(ctx.cfg[split.loader].dataset)]
    repeated = [p for p, n in Counter(split.photos).items() if n > 1]
    if repeated and not any(kind in REPEATING for kind in kinds):
        # In train it may be meant, to give the photo more weight.
        in_train = split.loader == 'train_dataloader'
        yield Finding(
            'DATA005',
            where,
            f'{len(repeated)} photo(s) are listed more than once in '
            f'{split.name}, such as {repeated[0]}',
            'one line a photo',
            Severity.NOTE if in_train else None,
        )


def _held_out(ctx: CheckContext) -> Iterator[Finding]:
    names = [split.name for split in ctx.distinct_splits]
    if 'val' not in names:
        yield Finding(
            'DATA021',
            'val_dataloader',
            'no validation, so no best.pth is kept',
            'as in configs/_base_/flower.py, with val_cfg and val_evaluator',
        )
    elif 'test' not in names:
        message = (
            'no test split: the best epoch is chosen on the validation '
            'photos, so its accuracy is slightly too high'
        )
        unread = 'test_dataloader' not in ctx.splits
        if unread and ctx.cfg.get('test_dataloader'):
            try:
                ctx.read_split('test_dataloader')
            except UserError as error:
                message = f'the test split cannot be read: {error}'
        where = str(ctx.root / DatasetDir.list_of('test'))
        fix = f'with --test 0.1: {ctx.prepare}'
        yield Finding('DATA022', where, message, fix)


# --- photos that cannot be loaded --------------------------------------------


def _load_step(ctx: CheckContext, loader: str) -> Callable | None:
    """Return the step that loads photos.

    None where a photo that cannot be loaded depends on the other steps, or is
    replaced by MMPretrain's dataset.
    """
    _, name, step = next(ctx.steps(loader), ('', '', ConfigDict()))
    if name != 'LoadImageFromFile' or step.get('ignore_empty'):
        return None
    try:
        return as_load_photo(TRANSFORMS.build(step))
    except Exception:
        return None  # the rehearsal reports it


def _unreadable(ctx: CheckContext) -> Iterator[Finding]:
    seen: set[str] = set()
    for loader in ('val_dataloader', 'test_dataloader', 'train_dataloader'):
        # Training does not read the test photos.
        wanted = ctx.thorough or loader != 'test_dataloader'
        if not wanted or loader not in ctx.splits:
            continue
        load, split = _load_step(ctx, loader), ctx.splits[loader]
        if load is None:
            continue
        photos = [p for p in dict.fromkeys(split.photos) if p not in seen]
        # In any order: where time is short, each class has its chance.
        photos = Random(0).sample(photos, len(photos))
        if ctx.thorough:
            photos.sort(key=_has_end)
        count, broken = 0, {}
        end = time.monotonic() + SECONDS[ctx.thorough]
        for photo in photos:
            if time.monotonic() > end:
                break
            seen.add(photo)
            count += 1
            is_doubtful = ctx.thorough or not _has_end(photo)
            if is_doubtful and photo_bytes.is_file(photo):
                try:
                    read_photo([load], {'img_path': photo})
                except UserError as error:
                    prefix = f'{photo} could not be loaded: '
                    broken[photo] = str(error).removeprefix(prefix)
        if broken:
            yield _broken(ctx, split, broken, count)


def _has_end(photo: str) -> bool:
    try:
        with photo_bytes.opened(photo) as file:
            start = file.read(2)
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            return start in ENDS and ENDS[start] in file.read()
    except OSError:
        return False


def _broken(
    ctx: CheckContext, split: Split, broken: dict[str, str], count: int
) -> Finding:
    photo = min(broken)
    error = inspect_photo(photo).error or broken[photo]
    fix = 'replace them by whole copies, or remove their lines from the list'
    severity = Severity.WARNING
    if split.loader == 'val_dataloader':  # it ends the first epoch
        severity = Severity.ERROR
    flowers = [part for _, part in ctx.flowers(split.loader)]
    skippable = flowers and len(broken) <= max(FEW, count // 10)
    if split.loader == 'train_dataloader' and skippable:
        if all(part.get('broken') == 'skip' for part in flowers):
            severity = Severity.NOTE
        else:
            fix += '; or leave them out: --skip-broken'
    return Finding(
        'DATA015',
        ctx.list_of(split.loader),
        f'{len(broken)} of {count} photos of {split.name} cannot be loaded, '
        f'such as {photo} ({error:.100})',
        fix,
        severity,
    )


# --- sizes -------------------------------------------------------------------


def _decoded_sizes(ctx: CheckContext) -> Iterator[Finding]:
    """Decoded photos that are kept smaller than the pipeline needs them."""
    for loader in LOADERS:
        for place, dataset in ctx.flowers(loader):
            side = require_side(dataset.get('decode_once'))
            sides = [0]
            for step in dataset.get('pipeline') or []:
                kind = bare_name(step.get('type'))
                short = step.get('edge', 'short') == 'short'
                if short and ('Crop' in kind or 'Resize' in kind):
                    for size in sizes_of(step):  # -1 is left open
                        sides.append(min([s for s in size if s > 0] or [0]))
            if 0 < side < max(sides):
                key = f'{place}.decode_once'
                yield Finding(
                    'DATA018',
                    key,
                    f'photos are kept with a shorter side of {side} pixels, '
                    f'and the pipeline enlarges them to {max(sides)}',
                    set_options({key: max(SIDE, *sides)}),
                )


def _sizes(ctx: CheckContext) -> Iterator[Finding]:
    """Compare the sizes of the photos with that of the model's input."""
    listed = ctx.train.photos
    sample = listed[:: -(-len(listed) // SAMPLE)]
    seen = max(ctx.size)
    small, large = [], []
    for photo in sample:
        sides = size_of(photo)
        if sides is None:
            continue  # another check reports it
        if min(sides) < seen / 2:
            small.append((photo, sides))
        elif max(sides) > MOST_PIXELS or _megabytes(photo) > MOST_MEGABYTES:
            large.append((photo, sides))
    smaller = 'larger photos, or a smaller scale and crop_size'
    larger = 'prepare copies of at most 1024 pixels a side'
    for code, photos, usual, size, fix in (
        ('DATA016', small, 2, 'less than half as large as', smaller),
        ('DATA017', large, 10, 'much larger than', larger),
    ):
        if photos:
            photo, (width, height) = photos[0]
            many = usual * len(photos) > len(sample)
            yield Finding(
                code,
                ctx.list_of('train_dataloader'),
                f'{len(photos)} of {len(sample)} photos are {size} the '
                f'{seen} pixels of the input, such as {photo} ({width} x '
                f'{height}, {_megabytes(photo):.1f} MB)',
                fix,
                Severity.WARNING if many else Severity.NOTE,
            )


def _megabytes(photo: str) -> float:
    return photo_bytes.stat(photo).size / 1e6

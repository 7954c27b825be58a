"""Precision and recall of the near-duplicate search of prepare_dataset.py.

python -m benchmarks.near_duplicates PHOTOS [PHOTOS ...]

Each PHOTOS is a folder with one folder per class. `recall` rows change copies
of photos and of drawn products, and count the copies that land in the group of
their original. Each original has one copy with one change, and all lie among
all photos of the folder, so that other photos compete. The thresholds were
chosen on copies of 600 photos, drawn from trash_photos and flower_photos; name
the folders in this order, and no copy is of one of those.

`precision` rows count pairs that the search puts into one group. Drawn
products have one outline and differ in colour or label: every pair is wrong.
Real photos of different classes show different objects: a pair is wrong
unless its pixels are identical. Pairs of one class are listed, for a person
to look at, and written as a contact sheet with --sheet FILE.

A row for --photos N gives the seconds that the search takes for so many
photos after they are read, and the peak memory of the process. The rows go to
results/near_duplicates.csv.
"""

import argparse
import io
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from benchmarks.record import record
from flower_mm.prepare.near_duplicates import group, identical
from flower_mm.prepare.photo import Photo
from flower_mm.prepare.scan_photos import scan

Draw = np.random.Generator
COMMAND = 'python -m benchmarks.near_duplicates'
TUNED_ON = 600  # photos


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('folders', type=Path, nargs='*', metavar='PHOTOS')
    parser.add_argument('--photos', type=int, help='to measure time with')
    parser.add_argument('--sheet', type=Path, help='PNG of the pairs found')
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        products = _write_products(Path(temporary) / 'products')
        if args.photos:
            rows.append(_duration(args.photos, Path(temporary)))
        else:
            recall = _recall('drawn products', products, products, temporary)
            copies = sum(row['found'] for row in recall)
            rows += [_precision_of_products(products, copies), *recall]
        files = {f: sorted(f.glob('*/*.*')) for f in args.folders}
        tuned_on = _tuned_on(
            [file for some in files.values() for file in some]
        )
        for folder in args.folders:
            photos = _read(files[folder])
            rows.append(_precision(folder, photos, args.sheet))
            chosen = [photo for photo in photos if photo.file not in tuned_on]
            rows += _recall(folder.name, photos, chosen, temporary)
    for row in rows:
        row['command'] = COMMAND
    print(record('near_duplicates', rows, key=('what', 'of', 'machine')))


def _read(files: list[Path]) -> list[Photo]:
    photos = [Photo(f'{f.parent.name}/{f.name}', str(f), 0) for f in files]
    scan(photos)
    return [photo for photo in photos if not photo.bad]


def _tuned_on(files: list[Path]) -> set[str]:
    """The photos whose copies served to choose the thresholds."""
    count = min(TUNED_ON, len(files))
    drawn = np.random.default_rng(0).choice(len(files), count, replace=False)
    return {str(files[i]) for i in drawn}


# --- drawn products ---------------------------------------------------------


def _write_products(folder: Path, count: int = 330) -> list[Photo]:
    """Bottles, cans and lids in one place of a plain background."""
    folder.mkdir()
    files = []
    for i in range(count):
        files.append(folder / f'{i:04}.png')
        draw_product(np.random.default_rng(i)).save(files[-1])
    return _read(files)


def draw_product(rng: Draw) -> Image.Image:
    """One of three outlines, in a colour and with a label of its own."""
    image = Image.new('RGB', (384, 288), (236, 235, 231))
    draw = ImageDraw.Draw(image)
    draw.ellipse((140, 225, 285, 260), fill=(214, 213, 209))
    colour = tuple(rng.integers(20, 230, 3).tolist())
    kind = rng.integers(3)
    if kind == 0:
        draw.rounded_rectangle((146, 70, 238, 240), 14, fill=colour)
        draw.rectangle((146, 74, 238, 86), fill=(190, 190, 195))
    elif kind == 1:
        draw.rounded_rectangle((150, 115, 234, 245), 16, fill=colour)
        draw.rectangle((177, 40, 207, 120), fill=colour)
    else:
        draw.ellipse((137, 100, 247, 210), fill=colour)
        draw.ellipse((152, 115, 232, 195), outline='white', width=2)
    pattern = rng.integers(0, 256, (5, 6, 3)).astype(np.uint8)
    label = Image.fromarray(pattern).resize((64, 48), Image.Resampling.NEAREST)
    image.paste(label, (160, 135))
    return image


def _precision_of_products(products: list[Photo], copies: int) -> dict:
    """Of the found copies and the wrong pairs together."""
    pairs = _pairs(products)
    count = len(products)
    return {
        'what': 'precision',
        'of': 'drawn products',
        'photos': count,
        'pairs': count * (count - 1) // 2,
        'found': copies + len(pairs),
        'wrong': len(pairs),
        'share': f'{copies / (copies + len(pairs)):.3f}',
    }


# --- real photos ------------------------------------------------------------


def _pairs(photos: list[Photo]) -> list[tuple[Photo, Photo]]:
    groups = defaultdict(list)
    for photo, number in zip(photos, group(photos), strict=True):
        groups[number].append(photo)
    return [two for same in groups.values() for two in combinations(same, 2)]


def _precision(folder: Path, photos: list[Photo], sheet: Path | None) -> dict:
    pairs = _pairs(photos)
    wrong = 0
    for one, other in pairs:
        is_across = _class(one) != _class(other)
        is_identical = bool(identical([one, other]))
        wrong += is_across and not is_identical
        mark = 'identical' if is_identical else ''
        print(one.path, other.path, 'classes differ' * is_across, mark)
    if sheet and pairs:
        _write_sheet(pairs, sheet.with_stem(f'{sheet.stem}_{folder.name}'))
    return {
        'what': 'precision',
        'of': folder.name,
        'photos': len(photos),
        'pairs': len(photos) * (len(photos) - 1) // 2,
        'found': len(pairs),
        'wrong': wrong,
        'share': f'{1 - wrong / max(len(pairs), 1):.3f}',
    }


def _class(photo: Photo) -> str:
    return photo.path.partition('/')[0]


def _write_sheet(pairs: list[tuple[Photo, Photo]], path: Path) -> None:
    columns, width, height = 4, 320, 120
    rows = -(-len(pairs) // columns)
    sheet = Image.new('RGB', (columns * width, rows * height), 'white')
    for n, two in enumerate(pairs):
        for k, photo in enumerate(two):
            with Image.open(photo.file) as image:
                tile = image.convert('RGB').resize((155, 116))
            at = n % columns * width + k * 157, n // columns * height
            sheet.paste(tile, at)
    sheet.save(path)


# --- changed copies ---------------------------------------------------------


def _compress(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=quality)
    return Image.open(file).convert('RGB')


def _resize(image: Image.Image, scale: float) -> Image.Image:
    size = [max(40, round(side * scale)) for side in image.size]
    return image.resize(size, Image.Resampling.BICUBIC)


def _crop(image: Image.Image, rng: Draw, share: float) -> Image.Image:
    """Without this share of the width and of the height."""
    width, height = image.size
    left, top = rng.uniform(0, share, 2)
    right, bottom = left + 1 - share, top + 1 - share
    return image.crop(
        (
            round(left * width),
            round(top * height),
            round(right * width),
            round(bottom * height),
        )
    )


def _brighten(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


CHANGES: dict[str, Callable[[Image.Image, Draw], Image.Image]] = {
    'resized to 0.3 to 2': lambda i, rng: _resize(i, rng.uniform(0.3, 2)),
    'resized to 0.3': lambda i, _: _resize(i, 0.3),
    'JPEG quality 30 to 95': lambda i, rng: _compress(
        i, int(rng.integers(30, 96))
    ),
    'JPEG quality 30': lambda i, _: _compress(i, 30),
    'brightness 0.8 to 1.2': lambda i, rng: _brighten(
        i, rng.uniform(0.8, 1.2)
    ),
    'brightness 0.8': lambda i, _: _brighten(i, 0.8),
    'brightness 1.2': lambda i, _: _brighten(i, 1.2),
    'mirrored': lambda i, _: ImageOps.mirror(i),
    'cropped by 0 to 10 %': lambda i, rng: _crop(i, rng, rng.uniform(0, 0.1)),
    'cropped by 10 %': lambda i, rng: _crop(i, rng, 0.1),
    'all of these': lambda i, rng: _compress(
        _resize(
            _crop(
                _brighten(ImageOps.mirror(i), rng.uniform(0.8, 1.2)),
                rng,
                rng.uniform(0, 0.1),
            ),
            rng.uniform(0.3, 2),
        ),
        int(rng.integers(30, 96)),
    ),
}


def _recall(
    name: str, photos: list[Photo], chosen: list[Photo], temporary: str
) -> list[dict]:
    changes = [list(CHANGES)[n % len(CHANGES)] for n in range(len(chosen))]
    with tempfile.TemporaryDirectory(dir=temporary) as folder:
        files = []
        for n, (photo, change) in enumerate(zip(chosen, changes, strict=True)):
            with Image.open(photo.file) as image:
                original = ImageOps.exif_transpose(image.convert('RGB'))
            files.append(Path(folder) / f'{n:05}.jpg')
            copy = CHANGES[change](original, np.random.default_rng(n))
            copy.save(files[-1], quality=95)
        groups = group([*photos, *_read(files)])
    number_of = dict(zip((p.path for p in photos), groups, strict=False))
    results = defaultdict(list)
    for photo, change, number in zip(
        chosen, changes, groups[len(photos) :], strict=True
    ):
        results[change].append(number_of[photo.path] == number)
    return [
        {
            'what': f'recall, {change}',
            'of': name,
            'photos': len(photos),
            'pairs': len(found),
            'found': sum(found),
            'wrong': len(found) - sum(found),
            'share': f'{sum(found) / len(found):.3f}',
        }
        for change, found in results.items()
    ]


def _duration(count: int, folder: Path) -> dict:
    from benchmarks.generated import write_photos

    write_photos(folder / 'photos', count, (256, 192))
    photos = _read(sorted((folder / 'photos').rglob('*.jpg')))
    begin = time.monotonic()
    groups = group(photos)
    seconds = time.monotonic() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        'what': 'time',
        'of': 'generated photos',
        'photos': len(photos),
        'found': len(photos) - len(set(groups)),
        'seconds': f'{seconds:.1f}',
        'peak_mb': peak // 1024,
    }


if __name__ == '__main__':
    main()

"""Copies that were changed are found, and different objects are not."""

import io
import os
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import mostly_nightly
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from flower_mm.prepare import near_duplicates, neighbours
from flower_mm.prepare.near_duplicates import group, identical
from flower_mm.prepare.photo import Photo
from flower_mm.prepare.scan_photos import scan

from .conftest import picture

BIG = (320, 240)


@pytest.fixture
def scanned(tmp_path: Path) -> Callable[..., list[Photo]]:
    """Write pictures as PNG and read them as prepare does."""

    def write(**pictures: Image.Image) -> list[Photo]:
        photos = []
        for name, image in pictures.items():
            path = tmp_path / f'{name}.png'
            image.save(path)
            photos.append(Photo(name, str(path), 0))
        scan(photos)
        return photos

    return write


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=quality)
    return Image.open(file)


def signed(image: Image.Image) -> Image.Image:
    image = image.copy()
    ImageDraw.Draw(image).text((180, 220), '(c) somebody', fill='white')
    return image


def cropped(image: Image.Image) -> Image.Image:
    """10 % less in width and height, more at the left than at the right."""
    w, h = image.size
    return image.crop(
        (int(w * 0.08), int(h * 0.02), int(w * 0.98), int(h * 0.92))
    )


CHANGES = {
    'encoded again': lambda i: jpeg(i, 30),
    'smaller': lambda i: i.resize((160, 120)),
    'larger': lambda i: i.resize((800, 600)),
    'brighter': lambda i: ImageEnhance.Brightness(i).enhance(1.2),
    'darker': lambda i: ImageEnhance.Brightness(i).enhance(0.7),
    'contrast': lambda i: ImageEnhance.Contrast(i).enhance(1.2),
    'grey': lambda i: i.convert('L'),
    'signed': signed,
    'cropped': cropped,
    'mirrored': ImageOps.mirror,
    'mirrored and cropped': lambda i: cropped(ImageOps.mirror(i)),
}
EACH_TIME = ('larger', 'grey', 'mirrored and cropped')


@pytest.mark.parametrize('change', mostly_nightly(CHANGES, EACH_TIME))
def test_changed_copies_are_found(scanned, change):
    originals = [picture(i, BIG) for i in range(40)]
    copies = [CHANGES[change](image) for image in originals]
    photos = scanned(
        **{f'a{n}': image for n, image in enumerate(originals)},
        **{f'b{n}': image for n, image in enumerate(copies)},
    )
    groups = group(photos)
    count = sum(groups[i] == groups[i + 40] for i in range(40))
    assert count >= 38
    assert all(groups[i] == i for i in range(40))


def product(
    kind: str, colour: str, label: int | None = None, shift: int = 0
) -> Image.Image:
    """An object on a white background with a soft shadow, as in a shop."""
    image = Image.new('RGB', BIG, (236, 235, 231))
    draw = ImageDraw.Draw(image)
    x = 160 + shift
    draw.ellipse((x - 45, 185, x + 75, 215), fill=(214, 213, 209))
    if kind == 'can':
        draw.rounded_rectangle((x - 38, 60, x + 38, 200), 12, fill=colour)
        draw.rectangle((x - 38, 62, x + 38, 72), fill=(190, 190, 195))
    elif kind == 'bottle':
        draw.rounded_rectangle((x - 34, 95, x + 34, 203), 14, fill=colour)
        draw.rectangle((x - 12, 35, x + 12, 100), fill=colour)
    else:
        draw.ellipse((x - 45, 85, x + 45, 175), fill=colour)
        draw.ellipse((x - 33, 97, x + 33, 163), outline='white', width=2)
    if label is not None:
        pixels = np.random.default_rng(label).integers(0, 2, (5, 7))
        paper = Image.fromarray((pixels * 200 + 30).astype(np.uint8))
        paper = paper.resize((52, 40), Image.Resampling.NEAREST)
        image.paste(paper, (x - 26, 115))
    return image


PRODUCTS = {
    f'{kind}_{colour}_{label}': (kind, colour, label)
    for kind in ('can', 'bottle', 'lid')
    for colour in ('firebrick', 'seagreen', 'steelblue', 'saddlebrown')
    for label in (None, 1, 2, 3)
}


def test_products_of_one_shape_are_different(scanned):
    """Cans, bottles and lids that differ in colour or in the label only."""
    photos = scanned(**{n: product(*p) for n, p in PRODUCTS.items()})
    assert group(photos).tolist() == list(range(len(photos)))


def test_copies_of_products_are_found(scanned):
    photos = scanned(
        **{n: product(*p) for n, p in PRODUCTS.items()},
        **{
            f'copy_{n}': jpeg(product(*p).resize((240, 180)), 50)
            for n, p in PRODUCTS.items()
        },
    )
    count = len(PRODUCTS)
    assert group(photos).tolist() == [i % count for i in range(2 * count)]


def test_flat_photos_are_different(scanned):
    """Walls lit from one side that differ in brightness only."""
    light = np.linspace(0, 8, 64).repeat(64).reshape(64, 64)
    walls = [Image.fromarray((light + i).astype(np.uint8)) for i in range(30)]
    photos = scanned(**{str(i): wall for i, wall in enumerate(walls)})
    assert group(photos).tolist() == list(range(30))


def test_candidates_grow_with_the_photos_and_not_their_square():
    """Even when all photos look alike."""
    rng = np.random.default_rng(0)
    for count in (1000, 2000):
        same = np.full((count, 8, 8, 3), 120, np.uint8)
        near = same + rng.integers(0, 3, same.shape, np.uint8)
        for colours in (same, near):
            pairs = sum(map(len, neighbours.neighbours(colours)))
            assert pairs <= 2 * neighbours.NEIGHBOURS * count


def test_many_equal_photos_are_one_group(scanned):
    image = picture(0, BIG)
    photos = scanned(one=image, two=jpeg(image, 80))
    copies = [photos[i % 2] for i in range(2000)]
    assert set(group(copies)) == {0}


def test_order_is_irrelevant(scanned):
    photos = scanned(
        **{f'a{i}': picture(i, BIG) for i in range(30)},
        **{f'b{i}': jpeg(picture(i, BIG), 60) for i in range(30)},
    )
    expected = {frozenset((f'a{i}', f'b{i}')) for i in range(30)}
    random.Random(1).shuffle(photos)
    together = {}
    for p, number in zip(photos, group(photos), strict=True):
        together.setdefault(number, set()).add(p.path)
    assert set(map(frozenset, together.values())) == expected


def test_identical_means_equal_pixels(scanned, tmp_path):
    """In any lossless format; a JPEG of the same picture has others."""
    image = picture(0, BIG)
    photos = scanned(
        one=image, other=jpeg(image, 95), flat=Image.new('L', BIG)
    )
    image.save(tmp_path / 'three.bmp')
    image.save(tmp_path / 'four.png', compress_level=1)
    photos += [
        Photo(n, str(tmp_path / n), 0) for n in ('three.bmp', 'four.png')
    ]
    scan(photos)
    assert identical(photos) == [[0, 3, 4]]
    assert group(photos).tolist() == [0, 0, 2, 0, 0]


def test_identical_flat_photos_are_one_group(scanned, tmp_path):
    photos = scanned(a=Image.new('L', BIG, 120), b=Image.new('L', BIG, 121))
    Image.new('L', BIG, 120).save(tmp_path / 'c.bmp')
    photos.append(Photo('c', str(tmp_path / 'c.bmp'), 0))
    scan(photos)
    assert group(photos).tolist() == [0, 1, 0]


def test_deleted_photo(scanned):
    photos = scanned(a=picture(0, BIG), b=jpeg(picture(0, BIG), 80))
    Path(photos[1].file).unlink()
    near_duplicates._pixels.cache_clear()
    assert group(photos).tolist() == [0, 1]


def grouped(folder: str) -> set[tuple[str, ...]]:
    files = sorted(Path(folder).glob('*/*.jpg'))
    photos = [Photo(f'{f.parent.name}/{f.name}', str(f), 0) for f in files]
    scan(photos)
    together = {}
    for p, number in zip(photos, group(photos), strict=True):
        name = p.path.removesuffix('.jpg').partition('_')[0]
        together.setdefault(number, []).append(name)
    return {tuple(paths) for paths in together.values() if len(paths) > 1}


def test_real_photos():
    """Two files of one photo, or two shots of one object."""
    folder = os.environ.get('FLOWER_MM_PHOTOS')
    if not folder:
        pytest.skip('FLOWER_MM_PHOTOS does not name the flower photos')
    assert grouped(folder) == {
        ('daisy/10466290366', 'daisy/10994032453'),
        ('daisy/10993710036', 'daisy/10993818044'),
        ('daisy/11834945233', 'daisy/9467543719'),
        ('daisy/7630517248', 'daisy/9204730092'),
        ('dandelion/17161833794', 'dandelion/18304194360'),
        ('dandelion/17482158576', 'dandelion/23192507093'),
        ('dandelion/18243351371', 'dandelion/18999743619'),
        ('dandelion/8689302100', 'dandelion/8689302980'),
        ('dandelion/8978962053', 'dandelion/8980164828'),
        ('dandelion/8979087213', 'dandelion/8980273068'),
        ('rose/12406418663', 'rose/12407768513'),
        ('rose/1775233884', 'rose/2093263381'),
        ('rose/4608559939', 'rose/4609168052'),
        ('sunflower/2588234269', 'sunflower/2588453601'),
        ('sunflower/6606809995', 'sunflower/6606813305'),
        ('tulip/2333321040', 'tulip/2344751399'),
    }


@pytest.mark.nightly
def test_real_product_photos():
    """Different objects on one background; three photos have two files."""
    folder = os.environ.get('FLOWER_MM_PRODUCT_PHOTOS')
    if not folder:
        pytest.skip('FLOWER_MM_PRODUCT_PHOTOS does not name product photos')
    several = {
        names
        for names in grouped(folder)
        if len({name.partition('/')[0] for name in names}) > 1
    }
    assert several == {
        ('glass/glass115', 'metal/metal91'),
        ('glass/glass176', 'plastic/plastic152'),
        ('glass/glass389', 'plastic/plastic332'),
    }


def test_copies_do_not_hide_near_duplicates(scanned):
    photo = picture(1, BIG)
    numbers = range(neighbours.NEIGHBOURS + 2)
    photos = scanned(
        **{f'one{number}': photo for number in numbers},
        **{f'smaller{number}': photo.resize((160, 120)) for number in numbers},
    )
    # Other bytes of the same pixels.
    for number, copy in enumerate(photos):
        copy.sha256 = bytes([number]) * 32
    assert set(group(photos)) == {0}


def test_copies_are_found_in_clusters(scanned, monkeypatch):
    """Of many photos, only those of the nearest clusters are compared."""
    monkeypatch.setattr(neighbours, 'SAMPLE', 100)
    monkeypatch.setattr(neighbours, 'CLUSTER', 10)
    monkeypatch.setattr(neighbours, 'PROBED', 4)
    originals = [picture(i, (64, 64)) for i in range(120)]
    copies = [ImageOps.mirror(jpeg(image, 60)) for image in originals]
    photos = scanned(
        **{f'a{n:03}': image for n, image in enumerate(originals)},
        **{f'b{n:03}': image for n, image in enumerate(copies)},
    )
    groups = group(photos).tolist()
    assert groups[:120] == list(range(120))
    assert sum(groups[i] == groups[i + 120] for i in range(120)) >= 118

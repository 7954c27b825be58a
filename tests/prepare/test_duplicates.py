import io
import os
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from flower_mm.prepare import duplicates
from flower_mm.prepare.duplicates import group
from flower_mm.prepare.find import Photo
from flower_mm.prepare.scan import fingerprint, scan

from .conftest import picture

BIG = (320, 240)


def photo(image: Image.Image, name: str) -> Photo:
    bits, thumb = fingerprint(image.convert('L'))
    return Photo(name, '', 0, name.encode(), bits=bits, thumb=thumb)


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=quality)
    return Image.open(file)


def signed(image: Image.Image) -> Image.Image:
    image = image.copy()
    ImageDraw.Draw(image).text((180, 220), '(c) somebody', fill='white')
    return image


def cropped(image: Image.Image) -> Image.Image:
    w, h = image.size
    return image.crop((w // 100, h // 100, w - w // 100, h - h // 100))


CHANGES = {
    'encoded again': lambda i: jpeg(i, 30),
    'smaller': lambda i: i.resize((160, 120)),
    'larger': lambda i: i.resize((800, 600)),
    'brighter': lambda i: ImageEnhance.Brightness(i).enhance(1.15),
    'darker': lambda i: ImageEnhance.Brightness(i).enhance(0.7),
    'contrast': lambda i: ImageEnhance.Contrast(i).enhance(1.2),
    'grey': lambda i: i.convert('L'),
    'signed': signed,
    'cropped': cropped,
}


@pytest.mark.parametrize('change', CHANGES)
def test_changed_copies_are_found(change):
    originals = [picture(i, BIG) for i in range(40)]
    copies = [CHANGES[change](image) for image in originals]
    photos = [photo(i, f'a{n}') for n, i in enumerate(originals)]
    photos += [photo(i, f'b{n}') for n, i in enumerate(copies)]
    groups = group(photos)
    found = sum(groups[i] == groups[i + 40] for i in range(40))
    assert found >= 38
    # And strangers are not: every photo is alone or with its own copy.
    assert all(groups[i] == i for i in range(40))


def test_flat_photos_are_not_one():
    """Walls lit from one side: all alike but for their colour."""
    light = np.linspace(0, 8, 64).repeat(64).reshape(64, 64)
    walls = [Image.fromarray((light + i).astype(np.uint8)) for i in range(30)]
    photos = [photo(wall, str(i)) for i, wall in enumerate(walls)]
    assert group(photos) == list(range(30))


def test_many_equal_hashes_are_no_square(monkeypatch):
    seen = 0
    original = duplicates._alike

    def counted(i, j, bits, thumbs):
        nonlocal seen
        seen += len(i)
        return original(i, j, bits, thumbs)

    monkeypatch.setattr(duplicates, '_alike', counted)
    one = photo(picture(0), 'x')
    count = 2000
    photos = [
        Photo(str(i), '', 0, i.to_bytes(4, 'big'), 0, one.bits, one.thumb)
        for i in range(count)
    ]
    assert set(group(photos)) == {0}
    assert seen <= duplicates.NEIGHBOURS * count


def test_order_does_not_matter():
    photos = [photo(picture(i // 2), str(i)) for i in range(60)]
    names = [p.path for p in photos]
    expected = {frozenset(names[i : i + 2]) for i in range(0, 60, 2)}
    random.Random(1).shuffle(photos)
    together = {}
    for p, number in zip(photos, group(photos), strict=True):
        together.setdefault(number, set()).add(p.path)
    assert set(map(frozenset, together.values())) == expected


def test_same_bytes_are_one_even_when_flat():
    flat = Image.new('L', (64, 64), 120)
    photos = [photo(flat, 'same') for _ in range(3)] + [photo(flat, 'other')]
    assert group(photos) == [0, 0, 0, 3]


def test_real_photos():
    """The pairs that a person sees as one photo, and no strangers."""
    folder = os.environ.get('FLOWER_MM_PHOTOS')
    if not folder:
        pytest.skip('FLOWER_MM_PHOTOS does not name the flower photos')
    files = sorted(Path(folder).glob('*/*.jpg'))
    photos = [
        Photo(f'{f.parent.name}/{f.name}', str(f), 0, b'') for f in files
    ]
    scan(photos)
    together = {}
    for p, number in zip(photos, group(photos), strict=True):
        together.setdefault(number, []).append(p.path.partition('_')[0])
    found = {tuple(paths) for paths in together.values() if len(paths) > 1}
    assert found == {
        ('daisy/10466290366', 'daisy/10994032453'),
        ('daisy/10993710036', 'daisy/10993818044'),
        ('daisy/11834945233', 'daisy/9467543719'),
        ('daisy/19177263840', 'daisy/19178753159'),
        ('dandelion/17161833794', 'dandelion/18304194360'),
        ('dandelion/17482158576', 'dandelion/23192507093'),
        ('dandelion/8689302100', 'dandelion/8689302980'),
        ('rose/12406418663', 'rose/12407768513'),
        ('rose/1775233884', 'rose/2093263381'),
        ('rose/4608559939', 'rose/4609168052'),
        ('sunflower/14741813110', 'sunflower/14741907467'),
        ('sunflower/14925397351', 'sunflower/14925397651'),
        ('sunflower/14925398301', 'sunflower/14925398441'),
        ('sunflower/2588234269', 'sunflower/2588453601'),
        ('sunflower/6606809995', 'sunflower/6606813305'),
        ('sunflower/6606820461', 'sunflower/6606823367'),
        ('tulip/10163955604', 'tulip/10164073235'),
        ('tulip/2333321040', 'tulip/2344751399'),
        ('tulip/5635347336', 'tulip/5700394524'),
    }

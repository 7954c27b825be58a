"""`flower-mm look` as users call it."""

import os
import re
import shutil
from pathlib import Path

import browser
import numpy as np
import pytest
import timm
import torch
from browser import Browser
from helpers import CLASSES, draw_photo, tool
from PIL import Image
from report.made_up import NASTY, Page
from safetensors.torch import save_file

from flower_mm.look import page_content
from flower_mm.look.page_content import CARD, SHEET_BYTES, SHEETS
from flower_mm.look.photo_set import PhotoSet
from flower_mm.prepare.photo import Photo
from flower_mm.weights import file_hash

NAME = 'test_efficientnet.r160_in1k'
SECTIONS = [
    'counts', 'classes', 'sizes', 'extremes', 'duplicates', 'augmented',
    'map', 'unusable',
]  # fmt: skip


@pytest.fixture(scope='module')
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A folder of weights with those of a small network."""
    folder = tmp_path_factory.mktemp('weights')
    torch.manual_seed(0)
    path = folder / f'{NAME}.safetensors'
    save_file(timm.create_model(NAME).state_dict(), path)
    file_hash.record(path, file_hash.sha256_of(path))
    return {
        'FLOWER_MM_CHECKPOINTS': str(folder),
        'XDG_CACHE_HOME': str(tmp_path_factory.mktemp('cache')),
    }


def look(data: Path, out: Path, env: dict, *words: str | Path):
    return tool(
        *('look', data, '--out', out, '--device', 'cpu', *words),
        env=env, check=False,
    )  # fmt: skip


def page_of(data: Path, out: Path, env: dict, *words: str | Path) -> Page:
    done = look(data, out, env, *words)
    assert done.returncode == 0, done.stderr
    page = Page(out.read_text('utf-8'))
    ids = [attrs['id'] for tag, attrs in page.tags if tag == 'section']
    assert ids == SECTIONS
    (policy,) = [
        attrs['content']
        for tag, attrs in page.tags
        if attrs.get('http-equiv') == 'Content-Security-Policy'
    ]
    assert "default-src 'none'" in policy
    for tag, attrs in page.tags:
        assert 'onerror' not in attrs
        for key in ('src', 'href'):
            assert re.match('data:image/jpeg|#', attrs.get(key) or '#'), tag
    return page


@pytest.fixture(scope='module')
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of all kinds in classes with names that are more than names."""
    folder = tmp_path_factory.mktemp('awkward')
    names = [
        name.replace('/', '_') for name in (*NASTY[:3], 'żółw 花', 'a' * 90)
    ]
    for label, name in enumerate(names):
        for number in range(6):
            draw_photo(
                folder / name / f'{number}.jpg', label % 3, 10 * label + number
            )
    first, second = folder / names[0], folder / names[1]
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    image = Image.fromarray(noise)
    image.convert('L').save(first / 'grey.jpg')
    image.convert('CMYK').save(first / 'cmyk.jpg')
    image.convert('RGBA').save(first / 'alpha.png')
    Image.fromarray(noise[..., 0].astype(np.uint16) * 257).save(
        first / '16.png'
    )
    image.save(second / '"><b>bold.png')
    (second / 'broken.jpg').write_bytes(b'<script>')
    shutil.copy(first / '0.jpg', second / 'copy.jpg')
    return folder


def test_a_dataset(dataset, env, tmp_path):
    page = page_of(dataset, tmp_path / 'look.html', env)
    for name in CLASSES:
        assert page.text.count(name) > 4
    pictures = [attrs for tag, attrs in page.tags if tag == 'img']
    assert len(pictures) > 3 * 18 + 4 * 12
    paths = [attrs for tag, attrs in page.tags if tag == 'path']
    assert sum('M' in attrs['d'] for attrs in paths) >= 3
    assert NAME in page.text


def test_awkward_photos_that_are_not_prepared(awkward, env, tmp_path):
    page = page_of(awkward, tmp_path / 'look.html', env)
    assert '<script>alert(1)<_script>' in page.text
    assert 'żółw 花' in page.text
    assert 'broken.jpg' in page.text
    assert '16-bit grey' in page.text
    assert 'several classes' in page.text
    assert len(page.scripts) == 1


def test_prepared_ones_with_a_photo_that_broke(awkward, env, tmp_path):
    data = tmp_path / 'data'
    tool('prepare_dataset', awkward, '--out', data, '--on-bad', 'skip')
    (first, second, *_) = sorted((data / 'train').rglob('*.*'))
    first.unlink()
    second.write_bytes(b'x')
    page = page_of(data, tmp_path / 'look.html', env)
    assert first.name in page.text
    assert '2 of the ' in page.text


def test_the_weights_of_a_run(dataset, plain_run, env, tmp_path):
    page = page_of(dataset, tmp_path / 'a.html', env, '--run', plain_run)
    assert 'best.pth' in page.text


def test_without_weights(dataset, env, tmp_path):
    env = env | {'FLOWER_MM_CHECKPOINTS': str(tmp_path / 'none')}
    page = page_of(dataset, tmp_path / 'look.html', env)
    assert 'mobilenet_v2' in page.text
    without = page_of(dataset, tmp_path / 'look.html', env, '--no-map')
    assert not [tag for tag, _ in without.tags if tag == 'circle']


def test_a_part_of_the_photos(dataset, env, tmp_path):
    out = tmp_path / 'look.html'
    page = page_of(dataset, out, env, '--photos', '10', '--no-map')
    assert '10 of the 60 photos were measured' in page.text
    again = page_of(dataset, out, env, '--photos', '10', '--no-map')
    images = [
        [attrs['src'] for tag, attrs in each.tags if tag == 'img']
        for each in (page, again)
    ]
    assert images[0] == images[1]


@pytest.mark.parametrize(
    ('words', 'named'),
    [
        (['nowhere'], 'nowhere'),
        (['data', '--out', 'look.txt'], 'look.txt'),
        (['data', '--out', 'other.html'], 'other.html'),
        (['data', '--weights', 'resnet50'], 'resnet50'),
        (['data', '--config', 'resnet5'], 'resnet50'),
        (['https://example.com/a.zip'], 'URL'),
        (['empty'], 'prepare'),
    ],
)
def test_refusals(words, named, dataset, env, tmp_path):
    (tmp_path / 'data').symlink_to(dataset)
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'other.html').write_text('<html>my page</html>')
    done = tool(
        *('look', *words, '--device', 'cpu'),
        env=env, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert 'Traceback' not in done.stderr
    assert named in done.stderr or named == 'prepare'
    assert 'reading photos' not in done.stderr  # refused before
    assert (tmp_path / 'other.html').read_text() == '<html>my page</html>'
    assert not (tmp_path / 'look.html').exists()


@pytest.mark.parametrize('classes', [2, 43, 102, 346, 1000, 3000])
def test_thumbnails_have_a_limit_for_any_number_of_classes(
    classes, monkeypatch
):
    """All as large as they may be."""

    def largest(files, size):
        return (b'x' * size.most_bytes for _ in files)

    monkeypatch.setattr(page_content, 'thumbnails', largest)
    names = [f'class {i}' for i in range(classes)]
    photos = [
        Photo(f'{name}/{i}.jpg', '', label)
        for label, name in enumerate(names)
        for i in range(20)
    ]
    sheets = page_content.contact_sheets(PhotoSet('', names, photos))
    total = sum(
        len(card['image'].text)
        for sheet in sheets['classes']
        for card in sheet['cards']
    )
    assert total <= 1.4 * SHEET_BYTES
    assert len(sheets['classes']) + sheets['hidden'] == classes
    assert all(len(s['cards']) >= SHEETS[-1][0] for s in sheets['classes'])


def test_many_classes_have_a_part_of_the_table():
    names = [f'class {i}' for i in range(5000)]
    photos = [
        Photo('', '', label, 'train')
        for label in range(5000)
        for _ in range(1 + label % 7)
    ]
    rows = page_content.count_rows(PhotoSet('', names, photos))
    assert len(rows['rows']) == page_content.MAX_ROWS
    assert rows['hidden'] == 3000
    assert rows['rows'][0]['total'] == 7
    assert rows['rows'][-1]['total'] == 1
    assert rows['sums'] == [len(photos)]


def test_cards_of_findings_have_a_limit():
    findings = 4 * page_content.EXTREMES + 2 * page_content.OUTLIERS
    findings += page_content.MAX_GROUPS * page_content.MAX_MEMBERS
    assert 1.4 * (findings * CARD.most_bytes + SHEET_BYTES) < 9e6


@pytest.mark.skipif(
    not browser.find() or os.name == 'nt', reason='no Chromium here'
)
def test_it_fits_a_phone_and_loads_nothing(awkward, env, tmp_path):
    page_of(awkward, tmp_path / 'look.html', env)
    with Browser(browser.find(), tmp_path / 'profile') as tab:
        for width, mobile in ((1200, False), (390, True)):
            tab.size(width, 800, mobile)
            tab.open(tmp_path / 'look.html')
            assert tab.run('document.documentElement.scrollWidth') == width
            assert tab.run('document.images.length') > 50
            assert tab.run(
                '[...document.images].every(image => image.naturalWidth > 0)'
            )
            requests = [
                event['request']['url']
                for event in tab.seen('Network.requestWillBeSent')
            ]
            others = [url for url in requests if not url.startswith('data:')]
            assert len(others) == 1
            assert tab.seen('Log.entryAdded') == []

"""The page of `serve` in a real browser."""

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import browser
import numpy as np
import pytest
from browser import Browser
from helpers import CLASSES
from serving import SLOW, Served, serving, until

from flower_mm import Classifier
from flower_mm.inference.known_photos import KEY, remember
from flower_mm.weights.best_checkpoint import write_best
from flower_mm.weights.read_checkpoint import read_checkpoint

pytestmark = [
    pytest.mark.skipif(
        not browser.find(),
        reason='no Chromium here; FLOWER_MM_CHROMIUM=/path/to/it names one',
    ),
    pytest.mark.skipif(os.name == 'nt', reason='its pipes are POSIX ones'),
]
LONG = 'a_name_of_one_very_long_word_' * 5


@pytest.fixture(scope='module')
def tab(tmp_path_factory) -> Iterator[Browser]:
    with Browser(browser.find(), tmp_path_factory.mktemp('profile')) as found:
        found.size(1280, 900)
        yield found


@pytest.fixture(scope='module')
def served(plain_run: Path, tmp_path_factory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp('served')
    with serving(plain_run / 'best.pth', folder) as found:
        yield found


@pytest.fixture(scope='module')
def files(photos: Path, tmp_path_factory) -> list[Path]:
    """A photo of each class, and two invalid ones."""
    folder = tmp_path_factory.mktemp('files')
    found = []
    for number, name in enumerate(CLASSES):
        found.append(folder / f'{number}.jpg')
        shutil.copy(photos / name / '003.jpg', found[-1])
    (folder / 'notes.jpg').write_text('no photo')
    (folder / 'cut.jpg').write_bytes(found[0].read_bytes()[:-400])
    return [*found, folder / 'notes.jpg', folder / 'cut.jpg']


def visit(tab: Browser, served: Served) -> None:
    tab.open(served.address)
    until(lambda: 'classes' in text(tab, '#about'))


def choose(tab: Browser, *files: Path) -> None:
    """Choose files without the dialog."""
    page = tab.call('DOM.getDocument')['root']['nodeId']
    node = tab.call('DOM.querySelector', nodeId=page, selector='#choose')
    paths = [str(path) for path in files]
    tab.call('DOM.setFileInputFiles', files=paths, **node)


def answered(tab: Browser, count: int) -> list[dict]:
    """Wait until `count` cards are complete; return their contents."""
    waits = 'document.querySelectorAll(".card.waiting").length'
    cards = 'document.querySelectorAll(".card").length'
    until(lambda: tab.run(cards) == count and not tab.run(waits))
    return tab.run(
        '[...document.querySelectorAll(".card")].map(card => ({'
        'text: card.innerText, bad: card.classList.contains("bad"),'
        'title: card.querySelector("h2").innerText,'
        'bars: [...card.querySelectorAll(".bars li")].map(li => ['
        'li.children[0].textContent, li.children[1].textContent,'
        'li.querySelector("b").getBoundingClientRect().width /'
        'li.querySelector("i").getBoundingClientRect().width]),'
        'images: [...card.querySelectorAll("img:not([hidden])")].map('
        'i => [i.naturalWidth, i.alt, i.src.slice(0, 15)])}))'
    )


def text(tab: Browser, selector: str) -> str:
    return tab.run(f'document.querySelector({selector!r}).innerText')


def reported(tab: Browser) -> list:
    return [
        *tab.seen('Runtime.exceptionThrown'),
        *tab.seen('Runtime.consoleAPICalled'),
        *tab.seen('Log.entryAdded'),
        *tab.seen('Page.javascriptDialogOpening'),
    ]


def test_photos_are_shown_with_bars_and_heat(tab, served, files, plain_run):
    visit(tab, served)
    assert ', '.join(CLASSES) in text(tab, '#about')
    assert 'accuracy' in text(tab, '#about')
    choose(tab, *files)
    cards = answered(tab, 5)
    known = Classifier(plain_run / 'best.pth', 'cpu')(files[:3])
    for card, expected in zip(cards[:3], known, strict=True):
        ranked = expected.top(3)
        assert not card['bad']
        assert card['title'].split()[0] == expected.label.split()[0]
        assert [bar[0] for bar in card['bars']] == [name for name, _ in ranked]
        for (_, title, width), (_, share) in zip(
            card['bars'], ranked, strict=True
        ):
            assert float(title.split()[0]) == pytest.approx(
                100 * share, abs=0.06
            )
            assert width == pytest.approx(share, abs=0.01)
        seen, heat = card['images']
        for width, alt, source in (seen, heat):
            assert width == 32
            assert alt
            assert source == 'data:image/jpeg'
    notes, cut = cards[3:]
    assert notes['bad']
    assert 'Not a photo by its content.' in notes['text']
    assert 'notes.jpg' in notes['text']
    assert 'Truncated: its end is missing.' in cut['text']
    assert text(tab, '#state') == '3 photos classified, 2 not classified'
    # Further ones come before these.
    choose(tab, files[0])
    assert '0.jpg' in answered(tab, 6)[0]['text']
    assert reported(tab) == []
    asked = tab.seen('Network.requestWillBeSent')
    urls = [event['request']['url'] for event in asked]
    assert len(urls) > 6
    for url in urls:
        assert url.startswith((served.address, 'data:', 'blob:')), url


def test_unknown_photos_have_no_class(tab, files, plain_run, tmp_path):
    content = read_checkpoint(plain_run / 'best.pth')
    width = content['state_dict']['head.fc.weight'].shape[1]
    rng = np.random.default_rng(0)
    values = remember(*(rng.random((20, n)) for n in (width, width, 4)))
    content['meta'][KEY] = values | {'threshold': -1e6}
    write_best(tmp_path / 'best.pth', content['state_dict'], content['meta'])
    with serving(tmp_path / 'best.pth', tmp_path) as served:
        visit(tab, served)
        assert 'Every photo gets' not in text(tab, '#about')
        choose(tab, files[0])
        (card,) = answered(tab, 1)
        assert card['title'] == 'unknown'
        assert len(card['bars']) == 3


def test_photos_can_be_dropped_anywhere(tab, served, files):
    visit(tab, served)
    data = {
        'items': [],
        'files': [str(path) for path in (*files[:2], files[0].parent)],
        'dragOperationsMask': 1,
    }
    for kind in ('dragEnter', 'dragOver'):
        tab.call('Input.dispatchDragEvent', type=kind, x=40, y=700, data=data)
    assert tab.run('document.body.classList.contains("over")')
    tab.call('Input.dispatchDragEvent', type='drop', x=40, y=700, data=data)
    one, two, folder = answered(tab, 3)
    assert not one['bad']
    assert not two['bad']
    assert 'drop the photos in it' in folder['text']
    assert not tab.run('document.body.classList.contains("over")')
    assert reported(tab) == []


def test_a_photo_can_be_pasted(tab, served):
    visit(tab, served)
    tab.run(
        """(async () => {
        const canvas = new OffscreenCanvas(64, 48);
        canvas.getContext('2d').fillRect(0, 0, 64, 48);
        const data = new DataTransfer();
        data.items.add(new File([await canvas.convertToBlob()], 'image.png'));
        document.body.dispatchEvent(new ClipboardEvent('paste',
          { clipboardData: data, bubbles: true }));
        })()"""
    )
    (card,) = answered(tab, 1)
    assert not card['bad']
    assert 'image.png' in card['text']


def test_names_are_text_and_no_more(tab, served, files, tmp_path):
    visit(tab, served)
    name = '<img src=x onerror=alert(1)>é&amp;.jpg'
    shutil.copy(files[0], tmp_path / name)
    (tmp_path / f'bad {name}').write_text('no photo')
    choose(tab, tmp_path / name, tmp_path / f'bad {name}')
    for card in answered(tab, 2):
        assert name in card['text']
    assert reported(tab) == []


def test_large_and_empty_files(tab, served, files, tmp_path):
    visit(tab, served)
    large, empty = tmp_path / 'large.jpg', tmp_path / 'empty.jpg'
    empty.touch()
    with large.open('wb') as file:
        file.truncate(20 * 1024**2 + 1)
    choose(tab, large, empty, files[0])
    cards = answered(tab, 3)
    assert 'Larger than 20 MB.' in cards[0]['text']
    assert 'Empty file.' in cards[1]['text']
    assert not cards[2]['bad']


def focus(tab: Browser) -> str:
    return tab.run(
        'document.activeElement.id || document.activeElement.tagName'
    )


def test_too_many_files(tab, served, files, tmp_path):
    visit(tab, served)
    many = [tmp_path / f'{i}.jpg' for i in range(101)]
    for path in many:
        shutil.copy(files[0], path)
    choose(tab, *many)
    assert tab.run('document.querySelectorAll(".card").length') == 100
    assert 'the first 100 of 101' in text(tab, '#alarm')
    tab.click('#clear')


def test_the_keyboard_is_enough(tab, served, files):
    visit(tab, served)
    tab.press('Tab')
    assert focus(tab) == 'choose'
    line = 'getComputedStyle(document.querySelector(".drop")).outlineStyle'
    assert tab.run(line) == 'solid'
    tab.call('Page.setInterceptFileChooserDialog', enabled=True)
    tab.press(' ')
    until(lambda: tab.run('1') and tab.seen('Page.fileChooserOpened'))
    tab.call('Page.setInterceptFileChooserDialog', enabled=False)
    choose(tab, files[0], files[3])
    answered(tab, 2)
    tab.press('Tab')
    assert focus(tab) == 'clear'
    ring = 'getComputedStyle(document.activeElement).outlineStyle'
    assert tab.run(ring) == 'solid'
    tab.press('Enter')
    assert focus(tab) == 'choose'
    assert tab.run('document.querySelectorAll(".card").length') == 0
    assert text(tab, '#state') == ''


MORE = """
from flower_mm.serve import prediction_json
classify = prediction_json.classify
def more(*args):
    found = classify(*args)
    found['probabilities'] |= {f'other {i}': i * 1e-6 for i in range(10)}
    found['heat'] = None
    return found
prediction_json.classify = more
"""


def test_more_classes_open_by_keyboard_and_heat_may_be_missing(
    tab, plain_run, files, tmp_path
):
    with serving(plain_run / 'best.pth', tmp_path, first=MORE) as served:
        visit(tab, served)
        choose(tab, files[0])
        (card,) = answered(tab, 1)
        assert len(card['bars']) == 3
        assert '10 more classes' in card['text']
        assert 'no heat map' in card['text']
        assert len(card['images']) == 1
        tab.run('document.getElementById("clear").focus()')
        tab.press('Tab')
        assert focus(tab) == 'SUMMARY'
        tab.press('Enter')
        until(lambda: len(answered(tab, 1)[0]['bars']) == 13)
        tab.press('Enter')
        tab.press('Enter')
        rest = answered(tab, 1)[0]['bars'][3:]
        assert [name for name, _, _ in rest] == [
            f'other {i}' for i in reversed(range(10))
        ]
        assert rest[0][1] == '< 0.1\xa0%'
        assert rest[-1][1] == '0.0\xa0%'


@pytest.mark.parametrize('width', [320, 360, 1280])
def test_layout_fits_the_screen(tab, served, files, tmp_path, width):
    tab.size(width, 800, mobile=width < 600)
    try:
        visit(tab, served)
        for path in (files[0], files[3]):
            shutil.copy(path, tmp_path / f'{LONG}{path.name}')
        choose(tab, *tmp_path.iterdir())
        answered(tab, 2)
        out = tab.run(
            '[...document.querySelectorAll("body *")].filter(e => '
            f'e.getBoundingClientRect().right > {width} + 1)'
            '.map(e => e.outerHTML.slice(0, 80))'
        )
        assert out == []
        assert tab.run('document.documentElement.scrollWidth') == width
        sizes = tab.run(
            '[...document.querySelectorAll("p, li, figcaption, summary")]'
            '.map(e => parseFloat(getComputedStyle(e).fontSize))'
        )
        assert min(sizes) >= 14
        # For touch screens.
        tall = tab.run(
            '[...document.querySelectorAll("button:not([hidden]), .drop")]'
            '.map(e => e.getBoundingClientRect().height).filter(h => h)'
        )
        assert min(tall) >= 40
    finally:
        tab.size(1280, 900)


def contrast(one: list[float], two: list[float]) -> float:
    """The contrast ratio of the WCAG; their minimum for text is 4.5."""

    def light(colour: list[float]) -> float:
        parts = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in (value / 255 for value in colour[:3])
        ]
        return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))

    high, low = sorted((light(one), light(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def colour(tab: Browser, selector: str, name: str = 'color') -> list[float]:
    found = tab.run(
        f'getComputedStyle(document.querySelector({selector!r})).{name}'
    )
    return [float(v) for v in re.findall(r'[\d.]+', found)]


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_contrast(tab, served, files, scheme):
    tab.media('screen', scheme)
    visit(tab, served)
    choose(tab, files[0], files[3])
    answered(tab, 2)
    paper = colour(tab, 'body', 'backgroundColor')
    assert (paper[0] > 200) == (scheme == 'light')
    for selector in (
        'p',
        'h2',
        '.card .note',
        '.bad h2',
        'button',
        'footer p',
    ):
        assert contrast(colour(tab, selector), paper) >= 4.5, selector
    field = colour(tab, '.drop', 'backgroundColor')
    assert contrast(colour(tab, '#limits'), field) >= 4.5
    label = colour(tab, '.drop label', 'backgroundColor')
    assert contrast(colour(tab, '.drop label'), label) >= 4.5
    bar = colour(tab, '.bars b', 'backgroundColor')
    assert contrast(bar, colour(tab, '.bars i', 'backgroundColor')) >= 3


def test_server_that_is_away(tab, plain_run, files, tmp_path):
    best = plain_run / 'best.pth'
    with serving(best, tmp_path / 'one') as served:
        visit(tab, served)
        assert served.stop(signal.SIGTERM) == 143
    choose(tab, *files[:3])
    alarm = 'document.getElementById("alarm").hidden'
    until(lambda: not tab.run(alarm))
    assert 'does not answer' in text(tab, '#alarm')
    assert tab.run('document.querySelectorAll(".waiting").length') == 3
    with serving(best, tmp_path / 'two', port=served.port):
        tab.click('#alarm button')
        assert not any(card['bad'] for card in answered(tab, 3))
        assert tab.run(alarm)
        visit(tab, served)
    choose(tab, files[0])
    until(lambda: not tab.run(alarm))
    tab.click('#clear')
    with serving(best, tmp_path / 'three', port=served.port):
        choose(tab, files[1])
        assert not answered(tab, 1)[0]['bad']


def test_busy_server(tab, plain_run, files, tmp_path):
    first = f"""
from flower_mm.serve import limits
limits.WAITING = 1
limits.BUSY_SECONDS = 0.1
{SLOW}"""
    with serving(plain_run / 'best.pth', tmp_path, first=first) as served:
        visit(tab, served)
        choose(tab, *files[:3])
        assert not any(card['bad'] for card in answered(tab, 3))
        assert served.health()['served']['refused'] > 0


def test_clear_cancels_requests(tab, plain_run, files, tmp_path):
    with serving(plain_run / 'best.pth', tmp_path, first=SLOW) as served:
        visit(tab, served)
        choose(tab, *files[:3], *files[:3])
        until(lambda: served.waiting() == 2)
        assert re.match(r'\d of 6 photos', text(tab, '#state'))
        assert not tab.run('document.getElementById("progress").hidden')
        tab.click('#clear')
        until(lambda: not served.waiting())
        time.sleep(0.2)  # a late response would be shown by now
        assert tab.run('document.querySelectorAll(".card").length') == 0
        assert text(tab, '#state') == ''
        assert served.health()['served']['photos'] < 6
        choose(tab, files[0])
        assert not answered(tab, 1)[0]['bad']


def test_policy_is_enforced_and_reported(tab, served):
    """The other tests rely on it."""
    visit(tab, served)
    tab.run(
        'document.body.insertAdjacentHTML("beforeend",'
        '"<img src=x onerror=alert(1)><i style=color:red></i>'
        '<img src=http://127.0.0.1:1/x.png>")'
    )
    # A call to the page lets its events come in.
    until(lambda: tab.run('0') or len(reported(tab)) >= 4)
    assert not tab.seen('Page.javascriptDialogOpening')
    blocked = [
        e.get('blockedReason') for e in tab.seen('Network.loadingFailed')
    ]
    assert blocked == ['csp', 'csp']

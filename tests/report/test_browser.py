"""The page in a real browser, at the sizes that people have."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import browser
import numpy as np
import pytest
from browser import Browser
from made_up import EVALUATION, NASTY, page, predictions, run

from flower_mm.report.evaluate import Evaluation
from flower_mm.report.html import render_comparison
from flower_mm.report.predictions import Predictions
from flower_mm.report.report_data import comparison_of

pytestmark = [
    pytest.mark.skipif(
        not browser.find(),
        reason='no Chromium here; FLOWER_MM_CHROMIUM=/path/to/it names one',
    ),
    pytest.mark.skipif(os.name == 'nt', reason='its pipes are POSIX ones'),
]
LONG = 'a_class_with_a_name_of_one_very_long_word_' * 4


@pytest.fixture(scope='module')
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(browser.find(), tmp_path_factory.mktemp('profile')) as found:
        yield found


@pytest.fixture(scope='module')
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Reports of few, many and badly named classes, and a comparison."""
    folder = tmp_path_factory.mktemp('pages')
    scalars = [
        {'loss': 2 / n, 'lr': 0.1 / n, 'epoch': n, 'step': 10 * n}
        | {'accuracy_top-1': 50.0 + n}
        for n in range(1, 6)
    ] + [{'accuracy/top1': 60.0 + n, 'step': n} for n in range(1, 6)]
    two = predictions(60, ['yes', 'no'], surety=1)
    many = predictions(900, [f'flower number {i}' for i in range(40)])
    bad = predictions(150, [*NASTY, LONG], surety=2)
    six = predictions(400, [f'flower of kind {i}' for i in range(6)])
    found = {}
    reports = {'two': two, 'six': six, 'many': many, 'bad': bad}
    for count in (12, 30, 60):
        names = [
            f'{i} {LONG[: 20 + i]} {"of spring " * 3}' for i in range(count)
        ]
        reports[f'long {count}'] = predictions(20 * count, names)
    for name, one in reports.items():
        made = run(folder / 'runs' / name, command=f'python {LONG} --x 1')
        made.scalars.extend(scalars)
        text, _ = page(made, one)
        found[name] = folder / f'{name}.html'
        found[name].write_text(text, encoding='utf-8')
    other = Predictions(
        bad.photos,
        bad.labels,
        np.roll(bad.scores, 1, axis=0),
        bad.classes,
    )
    runs = [run(folder / 'runs' / name) for name in ('one', LONG)]
    facts = comparison_of(
        runs, [Evaluation(bad, EVALUATION), Evaluation(other, EVALUATION)]
    )
    found['compared'] = folder / 'compared.html'
    found['compared'].write_text(
        render_comparison(facts, runs, {}, [{'lr': LONG}, {'lr': 1}]),
        encoding='utf-8',
    )
    return found


def complaints(tab: Browser) -> list:
    return [
        *tab.seen('Runtime.exceptionThrown'),
        *tab.seen('Runtime.consoleAPICalled'),
        *tab.seen('Log.entryAdded'),
        *tab.seen('Page.javascriptDialogOpening'),
    ]


@pytest.mark.parametrize('name', ['two', 'many', 'bad', 'compared'])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_it_renders_quietly_and_asks_nobody(tab, pages, name, scheme):
    tab.size(1280, 900)
    tab.media('screen', scheme)
    tab.open(pages[name])
    assert tab.run('document.querySelectorAll("section").length') >= 5
    assert tab.run('document.body.innerText.length') > 500
    assert complaints(tab) == []
    asked = [
        e['request']['url'] for e in tab.seen('Network.requestWillBeSent')
    ]
    assert {url.partition(':')[0] for url in asked} <= {'file', 'data'}
    assert [url for url in asked if url.startswith('file')] == [
        pages[name].as_uri()
    ]
    broken = '[...document.images].filter(i => !i.naturalWidth).length'
    assert tab.run(broken) == 0


def test_a_complaint_would_be_heard(tab, tmp_path):
    """What the others rely on: the policy at work, and the ears open."""
    text = (
        '<meta http-equiv="Content-Security-Policy" content="default-src '
        "'none'\"><img src='x.png'><script>alert(1)</script>"
    )
    (tmp_path / 'bad.html').write_text(text)
    tab.open(tmp_path / 'bad.html')
    assert len(complaints(tab)) >= 2


@pytest.mark.parametrize('name', ['two', 'many', 'bad', 'compared'])
@pytest.mark.parametrize('width', [320, 360, 768, 1280])
def test_nothing_sticks_out(tab, pages, name, width):
    tab.size(width, 800, mobile=width < 600)
    tab.open(pages[name])
    wide = tab.run('document.documentElement.scrollWidth')
    out = tab.run(
        '[...document.querySelectorAll("body *")].filter(e => '
        f'e.getBoundingClientRect().right > {width} + 1 && '
        '!e.closest(".wide, svg")).map(e => e.outerHTML.slice(0, 80))'
    )
    assert out == []
    assert wide == width


@pytest.mark.parametrize('width', [360, 1280])
def test_long_names_of_classes_are_not_cut(tab, pages, width):
    tab.size(width, 800, mobile=width < 600)
    tab.open(pages['bad'])
    cut = tab.run(
        '[...document.querySelectorAll(".confusion th, .confusion th span")]'
        '.filter(e => e.scrollWidth > e.clientWidth + 2 && e.clientWidth'
        ' || e.scrollHeight > e.clientHeight + 2 && e.clientHeight)'
        '.map(e => e.outerHTML.slice(0, 80))'
    )
    assert cut == []


COLUMN = (
    '[...document.querySelectorAll("#classes tbody tr")]'
    '.map(r => r.cells[%d].dataset.key ?? r.cells[%d].textContent)'
)


def column(tab: Browser, number: int) -> list:
    return tab.run(COLUMN.replace('%d', str(number)))


def test_the_table_sorts_by_click(tab, pages):
    tab.size(1280, 900)
    tab.open(pages['many'])
    before = column(tab, 0)
    head = '#classes th:nth-child(4) [role=button]'
    tab.click(head)
    up = [float(v) for v in column(tab, 3)]
    assert up == sorted(up)
    assert column(tab, 0) != before
    assert sorted(column(tab, 0)) == sorted(before)
    tab.click(head)
    down = [float(v) for v in column(tab, 3)]
    assert down == sorted(down, reverse=True)
    state = 'document.querySelector("#classes th:nth-child(4)").ariaSort'
    assert tab.run(state) == 'descending'
    # Names with numbers in them as people count: 2 before 10.
    tab.click('#classes th:nth-child(1) [role=button]')
    assert column(tab, 0) == before
    assert tab.run(state) is None


@pytest.mark.parametrize('key', ['Enter', ' '])
def test_the_table_sorts_by_keyboard(tab, pages, key):
    tab.size(1280, 900)
    tab.open(pages['many'])
    tab.run('document.querySelector("#classes .wide").focus()')
    tab.press('Tab')
    tab.press('Tab')
    tab.press('Tab')
    focus = 'document.activeElement.textContent'
    assert tab.run(focus) == 'correct'
    tab.press(key)
    values = [float(v) for v in column(tab, 2)]
    assert values == sorted(values)
    assert tab.run(focus) == 'correct'


def test_without_scripts_all_is_there(tab, pages):
    tab.call('Emulation.setScriptExecutionDisabled', value=True)
    try:
        tab.open(pages['two'])
        root = tab.call('DOM.getDocument', depth=-1)['root']
        text = tab.call('DOM.getOuterHTML', nodeId=root['nodeId'])
    finally:
        tab.call('Emulation.setScriptExecutionDisabled', value=False)
    assert 'role="button"' not in text['outerHTML']
    assert text['outerHTML'].count('<section') == 12


@pytest.mark.parametrize('width', [360, 1280])
@pytest.mark.parametrize('name', ['two', 'long 60'])
def test_a_cell_shows_its_photos(tab, pages, name, width):
    tab.size(width, 800, mobile=width < 600)
    tab.open(pages[name])
    cell = 'td.wrong[data-photos]'
    title = tab.run(f'document.querySelector({cell!r}).title')
    tab.click(f'{cell} [role=button]')
    is_open = 'document.querySelector("dialog").open'
    assert tab.run(is_open)
    assert tab.run('document.querySelector("dialog h3").textContent') == title
    shown = '[...document.querySelectorAll("dialog img")]'
    assert tab.run(f'{shown}.every(i => i.naturalWidth)')
    count = int(tab.run(f'document.querySelector({cell!r}).textContent'))
    assert tab.run(f'{shown}.length') == min(count, 8)
    tab.click('dialog button')
    assert not tab.run(is_open)
    assert complaints(tab) == []


@pytest.mark.parametrize('key', ['', 'Enter'])
def test_a_photo_opens_larger(tab, pages, key):
    tab.size(1280, 900)
    tab.open(pages['two'])
    width = 'document.querySelector("%s img").clientWidth'
    before = tab.run(width.replace('%s', '#errors .zoom'))
    if key:
        tab.run('document.querySelector("#errors .zoom img").focus()')
        tab.press(key)
    else:
        tab.click('#errors .zoom img')
    assert tab.run(width.replace('%s', 'dialog')) > 2 * before
    assert complaints(tab) == []


def contrast(one: list[float], two: list[float]) -> float:
    """As the WCAG reckon it; 4.5 is their least for text."""

    def light(colour: list[float]) -> float:
        parts = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in (value / 255 for value in colour[:3])
        ]
        return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))

    high, low = sorted((light(one), light(two)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def colour(tab: Browser, selector: str, name: str) -> list[float]:
    text = tab.run(
        f'getComputedStyle(document.querySelector({selector!r})).{name}'
    )
    return [float(v) for v in re.findall(r'[\d.]+', text)]


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_text_stands_out_in_light_and_dark(tab, pages, scheme):
    tab.size(1280, 900)
    tab.media('screen', scheme)
    tab.open(pages['bad'])
    paper = colour(tab, 'body', 'backgroundColor')
    assert (paper[0] > 200) == (scheme == 'light')
    for selector in ('p', '.note', 'nav a', '.flag', '.missing'):
        text = colour(tab, selector, 'color')
        assert contrast(text, paper) >= 4.5, selector
    # Drawings take their colours from the page.
    label = colour(tab, '#calibration svg text', 'fill')
    assert contrast(label, paper) >= 4.5


@pytest.mark.parametrize(
    'name', ['two', 'six', 'bad', 'long 12', 'long 30', 'long 60', 'compared']
)
def test_paper_is_wide_enough(tab, pages, name):
    paper = 688  # pixels: an A4 page less its margins of 14 mm
    tab.size(paper, 900)
    tab.media('print')
    tab.open(pages[name])
    out = tab.run(
        '[...document.querySelectorAll("body *")].filter(e => '
        f'e.getBoundingClientRect().right > {paper} + 1 && '
        '!e.closest("svg")).map(e => e.outerHTML.slice(0, 80))'
    )
    assert out == []
    # Neither a number nor a name of the matrix runs into its neighbour.
    cut = tab.run(
        '[...document.querySelectorAll(".confusion td, .confusion th")]'
        '.filter(e => e.scrollWidth > e.clientWidth + 1)'
        '.map(e => e.outerHTML.slice(0, 80))'
    )
    assert cut == []
    wide = tab.run(
        '[...document.querySelectorAll(".confusion thead span")]'
        '.filter(e => e.getBoundingClientRect().width > '
        'e.parentElement.getBoundingClientRect().width + 1)'
        '.map(e => e.outerHTML.slice(0, 80))'
    )
    assert wide == []


@pytest.mark.parametrize('name', ['many', 'compared'])
def test_it_prints_light_and_whole(tab, pages, name):
    tab.size(1280, 900)
    tab.media('print', 'dark')
    tab.open(pages[name])
    assert colour(tab, 'h2', 'color')[:3] < [60, 60, 60]
    tab.media('', '')
    made = tab.pdf()
    assert made.startswith(b'%PDF')
    count = len(re.findall(rb'/Type\s*/Page\b', made))
    assert 1 <= count <= 20

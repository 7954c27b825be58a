"""The page of `review` in a real browser, by keyboard and by touch."""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import browser
import pytest
from browser import KEYS, Browser
from helpers import CLASSES
from review.reviewing import Reviewed, make_dataset, reviewing
from serve.serving import until

from flower_mm.prepare.corrections import Corrections

pytestmark = [
    pytest.mark.skipif(
        not browser.find(),
        reason='no Chromium here; FLOWER_MM_CHROMIUM=/path/to/it names one',
    ),
    pytest.mark.skipif(os.name == 'nt', reason='its pipes are POSIX ones'),
]
KEYS.update({key: (key, ord(key.upper())) for key in 'agkpruxz'})
KEYS.update(
    {'ArrowRight': ('', 39), 'ArrowLeft': ('', 37), 'ArrowDown': ('', 40)}
)
WRONG = 9


@pytest.fixture(scope='module')
def tab(tmp_path_factory) -> Iterator[Browser]:
    with Browser(browser.find(), tmp_path_factory.mktemp('profile')) as found:
        yield found


@pytest.fixture(scope='module')
def fresh(tmp_path_factory) -> Path:
    return make_dataset(tmp_path_factory.mktemp('fresh'), WRONG)


@pytest.fixture(scope='module')
def server(fresh: Path, env: dict, tmp_path_factory) -> Iterator[Reviewed]:
    folder = tmp_path_factory.mktemp('page')
    root = shutil.copytree(fresh, folder / 'mine')
    with reviewing(root, folder / 'served', env, '--who', 'ann') as found:
        yield found


@pytest.fixture
def page(server: Reviewed, tab: Browser) -> Reviewed:
    """A page without decisions."""
    (server.root / 'corrections.csv').unlink(missing_ok=True)
    tab.call('Emulation.setTouchEmulationEnabled', enabled=False)
    tab.size(1280, 900)
    visit(tab, server)
    return server


def visit(tab: Browser, page: Reviewed, hash: str = '') -> None:
    tab.open('about:blank')
    tab.open(f'{page.address}/{hash}')
    until(lambda: 'reviewed' in text(tab, '#count'))


def text(tab: Browser, selector: str) -> str:
    return tab.run(f'document.querySelector({selector!r}).innerText')


def photo(tab: Browser) -> str:
    return text(tab, '#file').split(' · ')[0]


def is_shown(tab: Browser, selector: str) -> bool:
    return tab.run(
        f'document.querySelector({selector!r}).getClientRects().length > 0'
    )


def count(tab: Browser) -> int:
    return int(text(tab, '#count').split()[0])


def actions(page: Reviewed) -> list[tuple[str, str]]:
    return [(row['action'], row['new_label']) for row in page.rows()]


def reported(tab: Browser) -> list:
    return [
        *tab.seen('Runtime.exceptionThrown'),
        *tab.seen('Runtime.consoleAPICalled'),
        *tab.seen('Log.entryAdded'),
    ]


def test_a_review_by_the_keyboard(page, tab):
    names = [
        f'{item["split"]}/{item["name"]}' for item in page.queue()['items']
    ]
    assert photo(tab) == names[0]
    assert text(tab, '#question') == f'{CLASSES[0]} or {CLASSES[2]}?'
    tab.press('k')
    until(lambda: count(tab) == 1)
    assert photo(tab) == names[1]
    tab.press('p')
    until(lambda: count(tab) == 2)
    tab.press('r')
    tab.call('Input.insertText', text='RE')
    tab.press('Enter')
    until(lambda: count(tab) == 3)
    tab.press('x')
    tab.press('u')
    until(lambda: count(tab) == 5)
    assert photo(tab) == names[5]
    assert actions(page) == [
        ('keep', ''),
        ('relabel', CLASSES[2]),
        ('relabel', 'red'),
        ('exclude', ''),
        ('unsure', ''),
    ]
    assert [f'{row["split"]}/{row["photo"]}' for row in page.rows()] == (
        names[:5]
    )
    tab.press('ArrowRight')
    assert photo(tab) == names[6]
    tab.press('ArrowLeft')
    assert photo(tab) == names[5]
    # Back through all decisions, also those from before a reload.
    tab.press('z')
    until(lambda: count(tab) == 4)
    assert photo(tab) == names[4]
    visit(tab, page)
    assert photo(tab) == names[4]
    tab.press('z')
    until(lambda: count(tab) == 3)
    assert photo(tab) == names[3]
    assert actions(page)[5:] == [('undo', '')] * 2
    assert reported(tab) == []


def test_undo_at_once_undoes_what_is_being_saved(page, tab):
    first = photo(tab)
    tab.press('k')
    tab.press('x')
    tab.press('z')
    tab.press('z')
    until(lambda: len(page.rows()) == 4)
    until(lambda: count(tab) == 0)
    assert photo(tab) == first
    assert [action for action, _ in actions(page)] == [
        'keep', 'exclude', 'undo', 'undo',
    ]  # fmt: skip


def test_undo_at_once_of_decisions_from_before_a_reload(page, tab):
    tab.press('k')
    tab.press('x')
    until(lambda: count(tab) == 2)
    visit(tab, page)
    tab.run("act('undo'); act('undo')")
    until(lambda: len(page.rows()) == 4)
    until(lambda: count(tab) == 0)
    photos = [row['photo'] for row in page.rows()]
    assert photos[2:] == [photos[1], photos[0]]


def test_undo_of_two_decisions_about_a_photo(page, tab):
    tab.press('k')
    tab.press('k')
    until(lambda: len(page.rows()) == 2)
    tab.run("current = queue.items[1]; act('exclude')")
    until(lambda: len(page.rows()) == 3)
    tab.press('z')
    tab.press('z')
    until(lambda: count(tab) == 1)
    first, second = [row['photo'] for row in page.rows()][:2]
    photos = [row['photo'] for row in page.rows()]
    assert photos == [first, second, second, second, second]


def test_one_undo_withdraws_predictions_of_several_classes(page, tab):
    items = page.queue()['items']
    tab.press('g')
    until(lambda: is_shown(tab, '#cards'))
    tab.run('queue.items[1].predicted = 1')  # in the page only
    tab.press('a')
    tab.press('p')
    until(lambda: count(tab) == len(items))
    assert len(set(actions(page))) > 1
    tab.press('z')
    until(lambda: count(tab) == 0)
    assert len(page.rows()) == 2 * len(items)


def test_a_reload_continues_at_the_same_photo(page, tab):
    tab.press('ArrowRight')
    tab.press('ArrowRight')
    third = photo(tab)
    tab.run('window.isOld = true')
    tab.call('Page.reload')
    shown = '!window.isOld && document.querySelector("#file")?.innerText'
    until(lambda: str(tab.run(shown)).startswith(f'{third} '))
    assert page.rows() == []


def test_the_list_of_classes_by_arrows(page, tab):
    tab.press('r')
    options = 'document.querySelectorAll("#names li").length'
    assert tab.run(options) == len(CLASSES)
    tab.press('ArrowDown')
    chosen = text(tab, '#names [aria-selected=true]')
    assert tab.run(
        'document.querySelector("#typed").getAttribute('
        '"aria-activedescendant")'
    ) == tab.run('document.querySelector("#names [aria-selected=true]").id')
    tab.press('Enter')
    until(lambda: count(tab) == 1)
    (decided,) = actions(page)
    assert decided in (('relabel', chosen), ('keep', ''))
    # Typing what is no class changes nothing.
    tab.press('r')
    tab.call('Input.insertText', text='zzz')
    assert tab.run(options) == 0
    tab.press('Enter')
    assert len(page.rows()) == 1
    assert tab.run('document.querySelector("#classes").open')
    tab.click('#cancel')
    assert not tab.run('document.querySelector("#classes").open')


def test_a_selection_in_the_grid(page, tab):
    tab.press('g')
    until(lambda: is_shown(tab, '#cards'))
    total = tab.run('document.querySelectorAll("#cards li").length')
    tab.click('#cards li:nth-child(2) input')
    tab.click('#cards li:nth-child(3) img')
    assert text(tab, '#chosen') == '2 selected'
    tab.press('p')
    until(lambda: count(tab) == 2)
    assert {label for _, label in actions(page)} == {CLASSES[2]}
    assert len({row['when'] for row in page.rows()}) == 1
    tab.press('a')
    assert text(tab, '#chosen') == f'{total - 2} selected'
    tab.press('x')
    until(lambda: count(tab) == total)
    assert not is_shown(tab, '#cards')
    assert 'All photos' in text(tab, '#none')
    tab.press('z')
    until(lambda: count(tab) == 2)
    assert len(page.rows()) == 2 * (total - 2) + 2
    assert reported(tab) == []


def test_filters(page, tab):
    def choose(selector: str, value: str) -> None:
        tab.run(
            f'{{ const s = document.querySelector({selector!r});'
            f's.value = {value!r}; s.dispatchEvent(new Event("change")); }}'
        )

    choose('#of-class', '1')
    assert not is_shown(tab, '#one') or photo(tab).split('/')[1] == CLASSES[1]
    choose('#of-class', '0')
    assert photo(tab).split('/')[1] == CLASSES[0]
    choose('#of-reason', 'label-error')
    assert 'probable label error' in text(tab, '#reasons')
    first = photo(tab)
    tab.press('u')
    until(lambda: count(tab) == 1)
    assert photo(tab) != first
    choose('#of-state', 'decided')
    assert photo(tab) == first
    assert 'unsure' in text(tab, '#decision')


def test_by_touch_on_a_phone(page, tab, tmp_path):
    tab.size(390, 844, mobile=True)
    tab.call('Emulation.setTouchEmulationEnabled', enabled=True)
    visit(tab, page)

    def tap(selector: str) -> None:
        x, y = tab.run(
            f'(() => {{ const b = document.querySelector({selector!r})'
            '.getBoundingClientRect();'
            'return [b.x + b.width / 2, b.y + b.height / 2]; })()'
        )
        assert 0 < y < 844, selector  # without scrolling
        point = [{'x': x, 'y': y}]
        tab.call(
            'Input.dispatchTouchEvent', type='touchStart', touchPoints=point
        )
        tab.call('Input.dispatchTouchEvent', type='touchEnd', touchPoints=[])

    wide = 'document.documentElement.scrollWidth'
    assert tab.run(wide) == 390
    small = tab.run(
        '[...document.querySelectorAll("#actions button, #filters select")]'
        '.filter(e => e.getClientRects().length)'
        '.map(e => e.getBoundingClientRect())'
        '.filter(b => b.height < 44 || b.width < 44).length'
    )
    assert small == 0
    tap('#actions [data-do=accept]')
    until(lambda: count(tab) == 1)
    tap('#actions [data-do=relabel]')
    tap('#names li:nth-child(2)')
    until(lambda: count(tab) == 2)
    tap('#actions [data-do=undo]')
    until(lambda: count(tab) == 1)
    tap('#grid')
    until(lambda: is_shown(tab, '#cards'))
    assert tab.run(wide) == 390
    tap('#cards li:first-child img')
    tap('#bulk [data-do=exclude]')
    until(lambda: count(tab) == 2)
    assert [action for action, _ in actions(page)][-2:] == ['undo', 'exclude']
    assert reported(tab) == []


def test_what_somebody_else_decides_is_shown(page, tab):
    items = page.queue()['items']
    theirs = Corrections(page.root)
    assert page.decide(items[1], action='exclude').status == 200
    theirs.refresh()
    line = replace(theirs.lines[0], who='bob', action='keep')
    first = items[0]
    other = replace(line, split=first['split'], photo=first['name'])
    theirs.add([other])
    tab.press('x')
    until(lambda: 'bob' in text(tab, '#said'))
    assert photo(tab) == f'{first["split"]}/{first["name"]}'
    assert 'kept (bob)' in text(tab, '#decision')
    assert len(page.rows()) == 2
    tab.press('x')
    until(lambda: len(page.rows()) == 3)
    assert page.rows()[-1]['who'] == 'ann'
    # Without a decision of one's own, it is shown after a while.
    theirs.refresh()
    third = items[2]
    theirs.add([replace(line, split=third['split'], photo=third['name'])])
    until(lambda: count(tab) == 3)


def test_a_decision_that_is_not_saved_stays_visible(fresh, env, tab, tmp_path):
    root = shutil.copytree(fresh, tmp_path / 'mine')
    tab.size(1280, 900)
    with reviewing(root, tmp_path / 'served', env) as page:
        visit(tab, page)
        first = photo(tab)
        tab.press('k')
        until(lambda: count(tab) == 1)
        page.stop(signal.SIGKILL)
        tab.press('x')
        until(lambda: is_shown(tab, '#alarm'))
        tab.press('x')
        until(lambda: '2 decisions not saved' in text(tab, '#alarm'))
        assert count(tab) == 1
        tab.click('#failed')
        assert 'Not saved' in text(tab, '#decision')
    with reviewing(root, tmp_path / 'again', env, '--port', page.port):
        tab.click('#again')
        until(lambda: count(tab) == 3)
        assert not is_shown(tab, '#alarm')
        assert [action for action, _ in actions(page)] == [
            'keep', 'exclude', 'exclude',
        ]  # fmt: skip
        assert page.rows()[0]['photo'] in first


def test_it_asks_nothing_of_other_machines(page, tab):
    tab.press('g')
    time.sleep(0.2)
    urls = [
        event['request']['url']
        for event in tab.seen('Network.requestWillBeSent')
    ]
    assert len(urls) > 5
    for url in urls:
        assert url.startswith((page.address, 'data:')), url

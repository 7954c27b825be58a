"""The responses of `review`, and what it writes."""

import hashlib
import io
import os
import shutil
import signal

import forked
import pytest
from helpers import CLASSES, tool
from PIL import Image
from review.reviewing import JSON, WRONG, reviewing

FIRST = CLASSES[0]


@pytest.fixture(scope='module')
def shared(noisy, env, tmp_path_factory):
    """A server whose photos each test decides about on its own."""
    folder = tmp_path_factory.mktemp('shared')
    root = shutil.copytree(noisy, folder / 'mine')
    with reviewing(root, folder / 'served', env, '--who', 'eve') as found:
        yield found


def test_the_wrong_labels_come_first(shared):
    queue = shared.queue()
    assert queue['classes'] == CLASSES
    first = queue['items'][: len(WRONG)]
    assert {item['name'] for item in first} == {
        f'{FIRST}/{name}' for name in WRONG
    }
    for item in first:
        assert item['label'] == 0
        assert item['predicted'] == 2
        assert item['confidence'] > item['label_probability']
        assert {'label-error', 'mistake'} & set(item['reasons'])
        assert (item['version'], item['decision']) == (0, None)
        photos = [queue['photos'][str(i)] for i in item['of_label']]
        assert {photo['label'] for photo in photos} == {0}
        assert len(photos) == 4
        photos = [queue['photos'][str(i)] for i in item['of_predicted']]
        assert {photo['label'] for photo in photos} == {2}
    photos = [item['photo'] for item in queue['items']]
    assert len(set(photos)) == len(photos)
    assert 'out-of-fold' in queue['source']


def test_a_decision_is_a_line_of_the_file(shared):
    item = shared.queue()['items'][0]
    saved = shared.decide(item, action='relabel', label=2)
    assert saved.status == 200
    (decision,) = saved.json['decisions']
    assert decision['photo'] == item['photo']
    assert decision['version'] == 1
    assert decision['decision']['label'] == CLASSES[2]
    (row,) = shared.rows()
    path = shared.root / item['split'] / item['name']
    assert row.pop('when').endswith('Z')
    assert row == {
        'who': 'eve',
        'split': item['split'],
        'photo': item['name'],
        'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
        'old_label': FIRST,
        'action': 'relabel',
        'new_label': CLASSES[2],
    }
    assert shared.queue()['items'][0]['decision']['action'] == 'relabel'


def test_several_at_once_and_an_undo(shared):
    lines = len(shared.rows())
    items = shared.queue()['items'][1:4]
    assert shared.decide(*items, action='exclude').status == 200
    items = shared.queue()['items'][1:4]
    versions = [item['version'] for item in items]
    assert versions == [lines + 1, lines + 2, lines + 3]
    assert shared.decide(items[1], action='undo').status == 200
    assert len(shared.rows()) == lines + 4
    kinds = [
        item['decision'] and item['decision']['action']
        for item in shared.queue()['items'][1:4]
    ]
    assert kinds == ['exclude', None, 'exclude']


def test_an_undo_of_nothing(shared):
    before = shared.rows()
    item = shared.queue()['items'][-1]
    assert shared.decide(item, action='undo').status == 409
    assert shared.rows() == before


def test_another_reviewer_is_not_overwritten(reviewed, mine, env, tmp_path):
    with reviewing(mine, tmp_path / 'two', env, '--who', 'bob') as other:
        mine_first, mine_second = reviewed.queue()['items'][:2]
        theirs = other.queue()['items'][0]
        assert other.decide(theirs, action='keep').status == 200
        refused = reviewed.decide(mine_first, mine_second, action='exclude')
        assert refused.status == 409
        (decision,) = refused.json['decisions']
        assert decision['photo'] == mine_first['photo']
        assert decision['decision']['who'] == 'bob'
        assert decision['decision']['action'] == 'keep'
        assert len(reviewed.rows()) == 1
        # Who has seen it can decide again.
        again = reviewed.decide(decision, action='exclude')
        assert again.status == 200
        found = other.ask('/decisions?after=1').json
        assert [d['decision']['who'] for d in found['decisions']] == ['ann']
        assert found['lines'] == 2


def test_a_kill_loses_nothing(mine, env, tmp_path):
    folder = tmp_path / 'served'
    with reviewing(mine, folder, env) as reviewed:
        item = reviewed.queue()['items'][0]
        assert reviewed.decide(item, action='unsure').status == 200
        reviewed.stop(signal.SIGKILL)
    path = mine / 'corrections.csv'
    path.write_bytes(path.read_bytes() + b'2026-01-01T00:00:00Z,ann,tr')
    with reviewing(mine, folder, env) as reviewed:
        found = reviewed.queue()['items'][0]
        assert found['name'] == item['name']
        assert found['decision']['action'] == 'unsure'
        assert reviewed.decide(found, action='keep').status == 200
        assert reviewed.queue()['lines'] == 2
        assert reviewed.stop(signal.SIGINT) == 130
        assert '--apply-corrections' in reviewed.run.text


@pytest.mark.parametrize(
    'body',
    [
        b'',
        b'{',
        b'[]',
        b'{"action": "keep", "items": []}',
        b'{"action": "delete", "items": [{"photo": 0, "version": 0}]}',
        b'{"action": "keep", "items": [{"photo": -1, "version": 0}]}',
        b'{"action": "keep", "items": [{"photo": 999999, "version": 0}]}',
        b'{"action": "keep", "items": [{"photo": true, "version": 0}]}',
        b'{"action": "relabel", "items": [{"photo": 0, "version": 0}]}',
        b'{"action": "relabel", "label": -1, '
        b'"items": [{"photo": 0, "version": 0}]}',
        b'{"action": "relabel", "label": 3, '
        b'"items": [{"photo": 0, "version": 0}]}',
        b'[' * 100_000,
        b'\xff',
    ],
)
def test_invalid_decisions(shared, body):
    before = shared.rows()
    refused = shared.ask('/decide', body, content_type=JSON)
    assert refused.status == 400
    assert refused.error == 'invalid decision'
    assert shared.rows() == before


def test_requests_of_other_pages_are_refused(shared):
    before = shared.rows()
    item = shared.queue()['items'][0]
    origin = {'origin': 'http://example.com'}
    assert shared.decide(item, action='keep', **origin).status == 403
    for path in ('/', '/queue', '/decisions', '/photos/0/small'):
        assert shared.ask(path, host='example.com').status == 400
    assert shared.ask('/decide').status == 405
    assert shared.rows() == before


def test_a_large_request_is_refused(shared):
    assert shared.ask('/decide', b' ' * 2**21).status == 413


def test_the_page_loads_nothing_from_elsewhere(shared):
    page = shared.ask('/')
    policy = page.headers['Content-Security-Policy']
    assert "default-src 'none'" in policy
    assert "img-src 'self' data:" in policy
    assert "frame-ancestors 'none'" in policy
    assert 'unsafe' not in policy


def test_photos_are_jpegs_without_their_metadata(shared):
    for size in ('small', 'large'):
        found = shared.ask(f'/photos/0/{size}')
        assert found.headers['Content-Type'] == 'image/jpeg'
        assert found.headers['Cross-Origin-Resource-Policy'] == 'same-origin'
        with Image.open(io.BytesIO(found.body)) as image:
            assert image.size == (48, 40)
            assert not image.getexif()
    for path in ('/photos/999/small', '/photos/0/huge', '/photos/-1/small',
                 '/photos/../../etc/passwd'):  # fmt: skip
        assert shared.ask(path).status == 404


def test_a_photo_that_is_damaged_or_gone(shared):
    before = shared.rows()
    items = shared.queue()['items'][-3:-1]
    files = [shared.root / item['split'] / item['name'] for item in items]
    files[0].write_bytes(b'no photo')
    files[1].unlink()
    for item in items:
        found = shared.ask(f'/photos/{item["photo"]}/large')
        assert found.status == 422
    assert shared.decide(items[1], action='exclude').status == 500
    assert shared.rows() == before
    assert shared.decide(items[0], action='exclude').status == 200


def test_a_file_that_cannot_be_written(shared):
    item = shared.queue()['items'][4]
    path = shared.root / 'corrections.csv'
    path.rename(path.with_name('away'))
    path.mkdir()
    failed = shared.decide(item, action='keep')
    assert failed.status == 500
    assert 'not a file' in failed.error
    path.rmdir()
    path.with_name('away').rename(path)
    assert shared.decide(item, action='keep').status == 200
    assert shared.rows()[-1]['photo'] == item['name']


def test_what_was_confirmed_is_not_asked_again(reviewed, mine, env, tmp_path):
    items = reviewed.queue()['items']
    by_name = {item['name']: item for item in items}
    for name in WRONG[:-1]:
        item = by_name[f'{FIRST}/{name}']
        assert reviewed.decide(item, action='relabel', label=2).status == 200
    kept = by_name[f'{FIRST}/{WRONG[-1]}']
    assert reviewed.decide(kept, action='keep').status == 200
    new = tmp_path / 'new'
    tool('prepare_dataset', mine, '--apply-corrections', '--out', new)
    with reviewing(new, tmp_path / 'again', env) as again:
        names = {item['name'] for item in again.queue()['items']}
    assert not names & {
        f'{FIRST}/{WRONG[-1]}',
        *(f'{CLASSES[2]}/{name}' for name in WRONG[:-1]),
    }


def test_predictions_of_a_run(dataset, plain_run, env, tmp_path):
    with reviewing(
        dataset, tmp_path / 'served', env, '--run', plain_run
    ) as reviewed:
        queue = reviewed.queue()
    assert 'validation predictions of a' in queue['source']
    assert {
        item['split']
        for item in queue['items']
        if item['predicted'] is not None
    } <= {'val'}
    for item in queue['items']:
        assert len(item['of_label']) == 4


def test_without_a_model(mine, tmp_path):
    """Duplicates and conflicts remain."""
    empty = {'FLOWER_MM_CHECKPOINTS': str(tmp_path / 'empty')}
    with reviewing(mine, tmp_path / 'served', empty) as reviewed:
        queue = reviewed.queue()
    assert queue['items'] == []
    assert 'no pretrained weights' in queue['source']


@pytest.mark.parametrize(
    ('args', 'said'),
    [
        (['PHOTOS'], 'not a prepared dataset'),
        (['MINE', '--run', 'nowhere'], 'nowhere is missing'),
        (['MINE', '--weights', 'resnet51'], 'unknown pretrained weights'),
        (['MINE', '--weights', 'resnet50'], 'not stored'),
        (['MINE', '--run', 'x', '--weights', 'y'], '--run or --weights'),
    ],
)
def test_mistakes(args, said, mine, photos, env):
    places = {'PHOTOS': photos, 'MINE': mine}
    words = [places.get(word, word) for word in args]
    done = tool(
        'review', *words, '--no-browser', '--port', '0', env=env, check=False
    )
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.skipif(os.name == 'nt', reason='links take a privilege there')
def test_a_link_is_refused(mine, env, tmp_path):
    private = tmp_path / 'private'
    private.write_text('secret')
    (mine / 'corrections.csv').symlink_to(private)
    run = forked.start(
        tmp_path / 'log', 'review', mine, '--no-browser', '--port', '0',
        env=env,
    )  # fmt: skip
    assert run.wait() == 2
    assert private.read_text() == 'secret'

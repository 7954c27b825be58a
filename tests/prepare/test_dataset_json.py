"""An invalid dataset.json is refused."""

import contextlib
import io
import json

import pytest

from flower_mm.errors import UserError
from flower_mm.prepare import dataset_json
from flower_mm.prepare.prepare_dataset import Options, prepare
from flower_mm.prepare.verify_dataset import check

INVALID = {
    'format': [None, 2, '1'],
    'classes': [None, 'daisy', ['daisy', 'daisy'], ['daisy'], [['daisy']],
                ['daisy', 'rose\n'], ['daisy', '\ud800']],
    'photos': [1, '', [], 'a\0b', '\ud800'],
    'options': [None, {}, [], {'val': '0.2'}],
    'files': [None, [], {'train': None}, {'../x': {'daisy/a.jpg': 64 * 'f'}},
              {'train': {'daisy/../../a.jpg': 64 * 'f'}},
              {'train': {'tulip/a.jpg': 64 * 'f'}},
              {'train': {'daisy/a.jpg': 'f'}}, {'train': {'daisy': 64 * 'f'}},
              {'train': {'daisy/a.jpg': None}}],
    'rewritten': [None, {'daisy/a.jpg': None}, {'daisy/a.jpg': {'from': 1}}],
    'counts': [None],
    'sha256': [None, 1, 'f'],
}  # fmt: skip


@pytest.mark.parametrize(
    ('key', 'value'),
    [(key, value) for key, values in INVALID.items() for value in values],
)
def test_invalid_values(photos, prepared, key, value):
    path = prepared / 'dataset.json'
    good = json.loads(path.read_text('utf-8'))
    for change in (
        {**good, key: value},
        {k: good[k] for k in good if k != key},
    ):
        path.write_text(json.dumps(change))
        for use in (
            lambda: check(prepared),
            lambda: prepare(photos, prepared, Options(), overwrite=True),
            lambda: prepare(
                photos, photos.parent / 'new', Options(), splits_from=prepared
            ),
        ):
            with pytest.raises(UserError, match=r'invalid|format'):
                use()
    assert not (photos.parent / 'new').exists()


@pytest.mark.parametrize('text', ['', '{', '[' * 100_000, '9' * 5000, '\xff'])
def test_text_that_is_not_json(prepared, text):
    (prepared / 'dataset.json').write_text(text, 'latin-1')
    with pytest.raises(UserError, match='cannot be read'):
        dataset_json.load(prepared)


def test_record_without_photos(photos, prepared):
    path = prepared / 'dataset.json'
    good = json.loads(path.read_text('utf-8'))
    path.write_text(json.dumps({**good, 'files': {}, 'counts': {}}))
    with (
        contextlib.redirect_stdout(io.StringIO()),
        pytest.raises(UserError, match='differs from its'),
    ):
        check(prepared)

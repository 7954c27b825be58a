"""A comparison of runs before and after labels were corrected."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers import CLASSES
from made_up import EVALUATION, Page, run
from test_schema import validate

from flower_mm.annotations import photos_folder, read_annotations
from flower_mm.prepare.corrections import Correction, Corrections
from flower_mm.prepare.prepare_dataset import Options, prepare
from flower_mm.report.evaluate import Evaluation
from flower_mm.report.html import render_comparison
from flower_mm.report.predictions import Predictions
from flower_mm.report.report_data import comparison_of


@pytest.fixture(scope='module')
def versions(dataset: Path, tmp_path_factory) -> list[Path]:
    """A dataset, and its version with three corrected val photos."""
    old = tmp_path_factory.mktemp('versions') / 'old'
    shutil.copytree(dataset, old)
    names = listed(old)
    for name, action, label in (
        (names[0], 'relabel', CLASSES[2]),
        (names[1], 'exclude', ''),
        (names[-1], 'relabel', CLASSES[0]),
    ):
        sha256 = hashlib.sha256((old / 'val' / name).read_bytes()).hexdigest()
        Corrections(old).add(
            [
                Correction(
                    '', 'ann', 'val', name, sha256, name.partition('/')[0],
                    action, label,
                )
            ]
        )  # fmt: skip
    new = old.with_name('new')
    assert prepare(old, new, Options(), corrects=True)
    return [old, new]


def listed(root: Path) -> list[str]:
    lines = (root / 'val.txt').read_text('utf-8').splitlines()
    return [line.rpartition(' ')[0] for line in lines]


def evaluated(root: Path, right: int) -> Evaluation:
    """Correct on the first photos by the list of this dataset."""
    folder = photos_folder(root, 'val').absolute()
    photos = read_annotations(root / 'val.txt', folder, CLASSES)
    labels = np.array([photo.label for photo in photos])
    scores = np.full((len(labels), 3), 0.1, np.float32)
    predicted = np.where(np.arange(len(labels)) < right, labels, labels - 1)
    scores[np.arange(len(labels)), predicted] = 0.8
    paths = [str(folder / photo.name) for photo in photos]
    return Evaluation(Predictions(paths, labels, scores, CLASSES), EVALUATION)


def compare(tmp_path: Path, roots: list[Path], right=(99, 99)) -> dict:
    runs = [
        run(tmp_path / name, data_root=str(root), started_in='')
        for name, root in zip('ab', roots, strict=True)
    ]
    evaluations = [
        evaluated(root, count)
        for root, count in zip(roots, right, strict=True)
    ]
    comparison = comparison_of(runs, evaluations)
    validate(comparison, 'comparison')
    text = render_comparison(comparison, runs, {}, [None, None])
    return comparison['pairs'][0] | {'text': Page(text).text}


def test_the_common_photos_by_their_corrected_labels(versions, tmp_path):
    count = len(listed(versions[0]))
    pair = compare(tmp_path, versions)
    assert pair['missing_reason'] is None
    assert pair['photos'] == count - 1
    # The first run predicts the old labels, the second the new ones.
    assert pair['only_second_correct'] == 2
    assert pair['only_first_correct'] == 0
    assert pair['corrections'] == {
        'corrected': 'second',
        'relabelled': 2,
        'excluded': 1,
        'only_first': 1,
        'only_second': 0,
        'relabelled_here': 2,
        'uncorrected_top1': 100.0,
        'corrected_top1': pytest.approx(100 * (count - 3) / (count - 1)),
    }
    assert 'corrected version' in pair['text']
    names = {row['label'] for row in pair['only_second_photos']}
    assert names == {CLASSES[0], CLASSES[2]}


def test_the_order_of_the_runs_only_exchanges_them(versions, tmp_path):
    pair = compare(tmp_path, versions[::-1])
    assert pair['corrections']['corrected'] == 'first'
    assert pair['corrections']['only_second'] == 1
    assert pair['corrections']['uncorrected_top1'] == 100
    assert pair['only_first_correct'] == 2


def test_unrelated_datasets_are_not_compared(versions, tmp_path):
    other = shutil.copytree(versions[1], tmp_path / 'other')
    record = json.loads((other / 'dataset.json').read_text('utf-8'))
    del record['parent']
    (other / 'dataset.json').write_text(json.dumps(record))
    pair = compare(tmp_path, [versions[0], other])
    assert pair['missing_reason'] == 'other-photos'


@pytest.mark.parametrize(
    'value', [None, 3, {}, {'sha256': 3}, {'earlier': [None]}, []]
)
def test_a_damaged_record(versions, tmp_path, value):
    other = shutil.copytree(versions[1], tmp_path / 'other')
    record = json.loads((other / 'dataset.json').read_text('utf-8'))
    for key, there in (
        ('parent', value),
        ('corrections', value),
        ('files', value),
    ):
        (other / 'dataset.json').write_text(json.dumps(record | {key: there}))
        compare(tmp_path, [versions[0], other])


def test_the_same_dataset(versions, tmp_path):
    pair = compare(tmp_path, [versions[1], versions[1]], right=(20, 18))
    assert pair['corrections'] is None
    assert pair['photos'] == len(listed(versions[1]))

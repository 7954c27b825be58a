"""The reasons and the order of the queue, with made-up predictions."""

from pathlib import Path

import numpy as np

from flower_mm.review import queue
from flower_mm.review.dataset_photos import Photo, ReviewedDataset
from flower_mm.review.evidence import Evidence, out_of_fold
from flower_mm.review.queue import Item, build_queue

COUNT, CLASSES = 60, ['a', 'b', 'c']


def dataset(
    labels: list[int],
    near_duplicates: list[list[int]] = [],  # noqa: B006
    splits: dict[int, str] = {},  # noqa: B006
    reviewed: frozenset[str] = frozenset(),
) -> ReviewedDataset:
    photos = [
        Photo(
            splits.get(i, 'train'), f'{CLASSES[label]}/{i}.jpg', label,
            f'/photos/{i}.jpg', f'{i:064}',
        )
        for i, label in enumerate(labels)
    ]  # fmt: skip
    return ReviewedDataset(
        Path('mine'), CLASSES, photos, near_duplicates, reviewed, 0
    )


def evidence(truth: list[int], sure: float = 0.9) -> Evidence:
    """Predicts the truth; each class has a direction of its own."""
    scores = np.full((len(truth), 3), (1 - sure) / 2, np.float32)
    scores[np.arange(len(truth)), truth] = sure
    rng = np.random.default_rng(0)
    vectors = 5 * np.eye(3, 8)[truth] + rng.normal(size=(len(truth), 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Evidence(scores, vectors.astype(np.float32), 'made up')


TRUTH = [i % 3 for i in range(COUNT)]


def items_of(
    found: ReviewedDataset, known: Evidence, decided: list[int] | None = None
) -> dict[int, Item]:
    items, _ = build_queue(found, known, decided or [])
    assert len({item.photo for item in items}) == len(items)
    return {item.photo: item for item in items}


def test_wrong_labels_come_first_with_the_right_class():
    labels = list(TRUTH)
    labels[7], labels[30] = 2, 1
    items = items_of(dataset(labels), evidence(TRUTH))
    assert list(items)[:2] in ([7, 30], [30, 7])
    item = items[7]
    assert item.reasons[0] == queue.LABEL_ERROR
    assert item.predicted == TRUTH[7]
    assert item.priority > 0.9
    assert all(labels[i] == 2 for i in item.of_label)
    assert all(labels[i] == TRUTH[7] for i in item.of_predicted)
    assert 7 not in item.of_label
    assert len(item.of_label) == len(item.of_predicted) == queue.SHOWN


def test_a_surer_mistake_comes_before_another():
    labels = list(TRUTH)
    labels[7], labels[30] = 2, 1
    known = evidence(TRUTH)
    known.scores[7] = [0.25, 0.5, 0.25]
    assert list(items_of(dataset(labels), known))[:2] == [30, 7]


def test_near_duplicates_under_two_classes():
    items = items_of(
        dataset(TRUTH, [[0, 1], [3, 6], [9, 12]], {12: 'test'}),
        evidence(TRUTH),
    )
    assert items[0].reasons == items[1].reasons == [queue.CONFLICT]
    assert items[0].duplicates == [1]
    assert items[0].priority == queue.CONFLICT_PRIORITY
    assert items[12].reasons == [queue.ACROSS_SPLITS]
    assert not {3, 6, 9} & set(items)


def test_all_reasons_of_a_photo():
    labels = list(TRUTH)
    labels[7] = 2
    items = items_of(dataset(labels, [[7, 10]], {7: 'val'}), evidence(TRUTH))
    assert items[7].reasons == [
        queue.LABEL_ERROR,
        queue.CONFLICT,
        queue.ACROSS_SPLITS,
    ]


def test_an_outlier():
    known = evidence(TRUTH)
    known.vectors[20] = np.eye(8, dtype=np.float32)[7]
    items = items_of(dataset(TRUTH), known)
    assert items[20].reasons == [queue.OUTLIER]
    assert list(items) == [20]


def test_photos_without_predictions_have_other_reasons():
    known = evidence(TRUTH)
    labels = list(TRUTH)
    labels[7] = labels[10] = 2
    known.scores[:9] = np.nan
    items = items_of(dataset(labels, [[0, 1]]), known)
    assert next(iter(items)) == 10
    assert items[0].reasons == [queue.CONFLICT]
    assert items[0].predicted is None
    assert len(items[0].of_label) == queue.SHOWN
    assert 7 not in items
    without = Evidence(np.full((COUNT, 3), np.nan), None, 'none')
    items = items_of(dataset(labels, [[0, 1]]), without)
    assert list(items) == [0, 1]
    assert items[0].of_label == []


def test_reviewed_photos_are_left_out_and_decided_ones_stay():
    labels = list(TRUTH)
    labels[7] = labels[10] = 2
    found = dataset(labels, reviewed=frozenset({f'{7:064}'}))
    items = items_of(found, evidence(TRUTH), decided=[10, 44])
    assert next(iter(items)) == 10
    assert 7 not in items
    assert items[44].reasons == [queue.DECIDED]


def test_a_long_queue_is_cut(monkeypatch):
    monkeypatch.setattr(queue, 'MOST', 5)
    labels = [(label + 1) % 3 for label in TRUTH]
    items, more = build_queue(dataset(labels), evidence(TRUTH), [50])
    assert more == COUNT - 5
    assert len(items) in (5, 6)
    assert 50 in {item.photo for item in items}


def test_the_order_of_equal_photos_is_stable():
    labels = [(label + 1) % 3 for label in TRUTH]
    one, two = (
        [i.photo for i in build_queue(dataset(labels), evidence(TRUTH), [])[0]]
        for _ in range(2)
    )
    assert one == two


def test_out_of_fold_predictions_do_not_repeat_wrong_labels():
    labels = list(TRUTH)
    labels[7] = 2
    known = evidence(TRUTH)
    has_vector = np.ones(COUNT, bool)
    has_vector[5] = False
    scores = out_of_fold(dataset(labels), known.vectors, has_vector)
    assert np.isnan(scores[5]).all()
    assert np.allclose(np.delete(scores, 5, 0).sum(1), 1, atol=1e-5)
    assert scores[7].argmax() == TRUTH[7]
    few = out_of_fold(dataset(labels[:4]), known.vectors[:4], has_vector[:4])
    assert np.isnan(few).all()

"""What predictions say, in figures: plain values, ready for report.json.

Accuracies and shares are in per cent, as in run.json and test.json;
temperatures and losses are as they are.
"""

import math
from typing import NamedTuple

import numpy as np

RESAMPLES = 10_000
AT_A_TIME = 4_000_000  # resampled cells in memory
BINS = 15  # of the calibration, fewer where they would hold too few
IN_A_BIN = 20
SHARES = (5, 10, 20)  # per cent handed to a person
FEW = 5  # right or wrong photos; fewer say nothing of what they are like
COLDEST, HOTTEST = 0.05, 20.0  # temperatures that are searched
FEW_PHOTOS = 50  # handing some of fewer over proves nothing
Z = 1.959964  # the normal distribution's 97.5 %


def figures(
    labels: np.ndarray,
    scores: np.ndarray,
    classes: list[str],
    seed: int = 0,
    same: np.ndarray | None = None,
) -> dict:
    """All that follows from labels (n,) and scores (n, classes).

    Photos with the same number in `same` (n,) are equal or nearly so, and
    are no more than one photo as evidence.
    """
    # Draws and sums go by the photos' order: here by what is said of them,
    # so that the order that they came in changes nothing.
    order = np.lexsort((labels, *scores.T))
    labels, scores = labels[order], scores[order]
    predicted = scores.argmax(axis=1)
    matrix = confusion(labels, predicted, len(classes))
    units = None
    if same is not None and len(np.unique(same)) < len(same):
        units = units_of(labels, predicted, same[order], len(classes))
    found = {
        'result': result(matrix, classes, seed, units),
        'per_class': per_class(matrix, classes),
        'confusion': matrix.tolist(),
        'confused_pairs': confused_pairs(matrix, classes),
        'calibration': calibration(labels, scores, seed),
        'handed_over': handed_over(labels, scores),
    }
    if len(classes) > 5:
        found['result']['top5'] = 100 * top_k(labels, scores, 5)
    return found


def confusion(
    labels: np.ndarray, predicted: np.ndarray, count: int
) -> np.ndarray:
    """Photos of each class (rows) by what they were taken for."""
    cells = np.bincount(labels * count + predicted, minlength=count**2)
    return cells.reshape(count, count)


def top_k(labels: np.ndarray, scores: np.ndarray, k: int) -> float:
    """How often the label is among the k classes of the highest scores.

    Of equal scores the earlier class comes first, as argmax has it.
    """
    own = scores[np.arange(len(labels)), labels, None]
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    before = (scores > own) | ((scores == own) & earlier)
    return float((before.sum(axis=1) < k).mean())


class Units(NamedTuple):
    """Groups of equal photos, alike ones counted together."""

    cells: np.ndarray  # (kinds, cells of the matrix that are not 0) photos
    times: np.ndarray  # (kinds,) how many groups hold just these

    @property
    def sizes(self) -> np.ndarray:
        return self.cells.sum(axis=1)


def units_of(
    labels: np.ndarray, predicted: np.ndarray, same: np.ndarray, count: int
) -> Units:
    groups = np.unique(same, return_inverse=True)[1]
    cells, columns = np.unique(labels * count + predicted, return_inverse=True)
    found = np.zeros((groups.max() + 1, len(cells)), int)
    np.add.at(found, (groups, columns), 1)
    return Units(*np.unique(found, axis=0, return_counts=True))


def result(
    matrix: np.ndarray,
    classes: list[str],
    seed: int,
    units: Units | None = None,
) -> dict:
    """Top-1, macro F1 and balanced accuracy, with 95 % intervals.

    The two averages are over the classes that have photos here. Top-1 has
    Wilson's interval: a bootstrap of one wrong photo reaches 100 %, since
    more than a third of the resamples do without that one. For the averages
    there is nothing but the bootstrap, so that they have no interval where
    it would reach 0 or 100 %; with FEW it does in exp(-5) = 0.7 % of the
    resamples, less than the 2.5 % that are cut off.

    Of equal photos it is groups that are drawn, and Wilson's interval is
    that of as many photos as they are worth where a model is right on all
    of a group or on none (Kish): n^2 / sum(m^2) with groups of m photos.
    """
    photos, correct = int(matrix.sum()), int(matrix.trace())
    rows, columns = np.nonzero(matrix)
    if units is None:
        different = worth = photos
        right, wrong = correct, photos - correct
    else:
        different = int(units.times.sum())
        worth = photos**2 / float(units.times @ units.sizes**2)
        right, wrong = (
            int(units.times[units.cells[:, kind].any(axis=1)].sum())
            for kind in (rows == columns, rows != columns)
        )
    top1, balanced, macro = _resampled(matrix, units, seed)
    largest = int(matrix.sum(axis=1).argmax())
    kind = '' if different == photos else 'different '
    why = _too_few(wrong, 'wrong', kind) or _too_few(right, 'right', kind)
    return {
        'photos': photos,
        'different': different,
        'correct': correct,
        'top1': 100 * correct / photos,
        'top1_interval': wilson(correct / photos * worth, worth)
        if units
        else wilson(correct, photos),
        'top1_interval_by': 'Wilson',
        'top1_interval_photos': worth,
        'top1_bootstrap': _middle(top1),
        'averages_interval_by': 'bootstrap over photos'
        if different == photos
        else 'bootstrap over groups of equal photos',
        'resamples': RESAMPLES,
        'balanced_accuracy': _balanced(matrix),
        'balanced_accuracy_interval': None if why else _middle(balanced),
        'macro_f1': _macro_f1(matrix),
        'macro_f1_interval': None if why else _middle(macro),
        'why_no_averages_interval': why,
        'always_largest': {
            'class': classes[largest],
            'top1': 100 * int(matrix[largest].sum()) / photos,
        },
    }


def _too_few(count: int, what: str, kind: str = '') -> str | None:
    """That so few photos are right, or wrong, if they are."""
    if count >= FEW:
        return None
    if not count:
        return f'no photo is {what}'
    be = ' is' if count == 1 else 's are'
    return f'only {count} {kind}photo{be} {what}'


def _resampled(
    matrix: np.ndarray, units: Units | None, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Top-1, balanced accuracy and macro F1 of resampled photos, per cent.

    A photo counts by its cell of the confusion matrix alone, so that drawing
    photos with replacement is one multinomial draw of the cells; a group of
    photos by its cells together.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.nonzero(matrix)
    count = len(matrix)
    times = matrix[rows, columns] if units is None else units.times
    total = int(times.sum())
    step = max(1, AT_A_TIME // max(len(rows), len(times)))
    parts = []
    for start in range(0, RESAMPLES, step):
        now = min(step, RESAMPLES - start)
        drawn = rng.multinomial(total, times / total, now)
        if units is not None:
            drawn = drawn @ units.cells.astype(float)
        right = _summed(drawn, np.where(rows == columns, rows, -1), count)
        support = _summed(drawn, rows, count)
        taken = _summed(drawn, columns, count)
        with np.errstate(invalid='ignore'):
            # A class that a resample lacks is in no average of it.
            recall = np.where(support, right / support, np.nan)
            f1 = np.where(support, 2 * right / (support + taken), np.nan)
        parts.append(
            (
                right.sum(axis=1) / drawn.sum(axis=1),
                np.nanmean(recall, axis=1),
                np.nanmean(f1, axis=1),
            )
        )
    top1, balanced, macro = zip(*parts, strict=True)
    return tuple(
        100 * np.concatenate(part) for part in (top1, balanced, macro)
    )


def _summed(drawn: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Add up the columns of each group; group -1 is left out."""
    sums = np.zeros((len(drawn), count))
    for group in np.unique(groups[groups >= 0]):
        sums[:, group] = drawn[:, groups == group].sum(axis=1)
    return sums


def _middle(values: np.ndarray) -> list[float]:
    return [float(v) for v in np.quantile(values, (0.025, 0.975))]


def _balanced(matrix: np.ndarray) -> float:
    support = matrix.sum(axis=1)
    here = support > 0
    return float(100 * (matrix.diagonal()[here] / support[here]).mean())


def _macro_f1(matrix: np.ndarray) -> float:
    support, taken = matrix.sum(axis=1), matrix.sum(axis=0)
    here = support > 0
    f1 = 2 * matrix.diagonal()[here] / (support + taken)[here]
    return float(100 * f1.mean())


def wilson(correct: float, photos: float) -> list[float] | None:
    """A share's 95 % interval; sound for few photos and shares near 100 %."""
    if not photos:
        return None
    share, z2 = correct / photos, Z * Z / photos
    middle = (share + z2 / 2) / (1 + z2)
    half = (
        Z
        / (1 + z2)
        * math.sqrt(share * (1 - share) / photos + z2 / photos / 4)
    )
    # In floats the bounds of 0 and 1 are a hair beside them.
    return [
        100 * (middle - half) if correct else 0.0,
        100 * (middle + half) if correct < photos else 100.0,
    ]


def per_class(matrix: np.ndarray, classes: list[str]) -> list[dict]:
    """Precision, recall and F1; None where there is nothing to divide by."""
    rows = []
    for i, name in enumerate(classes):
        right = int(matrix[i, i])
        photos, taken = int(matrix[i].sum()), int(matrix[:, i].sum())
        rows.append(
            {
                'class': name,
                'photos': photos,
                'correct': right,
                'predicted': taken,
                'recall': 100 * right / photos if photos else None,
                'recall_interval': wilson(right, photos),
                'precision': 100 * right / taken if taken else None,
                'precision_interval': wilson(right, taken),
                'f1': 200 * right / (photos + taken) if photos else None,
            }
        )
    return rows


def confused_pairs(matrix: np.ndarray, classes: list[str]) -> list[dict]:
    """Pairs of classes by how often one was taken for the other."""
    both = np.triu(matrix + matrix.T, k=1)
    first, second = np.nonzero(both)
    order = np.argsort(-both[first, second], kind='stable')
    pairs = []
    for a, b in zip(first[order], second[order], strict=True):
        if matrix[b, a] > matrix[a, b]:
            a, b = b, a
        pairs.append(
            {
                'class': classes[a],
                'taken_for': classes[b],
                'times': int(matrix[a, b]),
                'of': int(matrix[a].sum()),
                'the_other_way': int(matrix[b, a]),
                'of_the_other': int(matrix[b].sum()),
            }
        )
    return pairs


def calibration(labels: np.ndarray, scores: np.ndarray, seed: int) -> dict:
    """How far stated confidence and actual accuracy lie apart.

    The error after scaling is measured on photos that the temperature was
    not fitted on: each half of them gets that of the other half.
    """
    correct = scores.argmax(axis=1) == labels
    confidence = scores.max(axis=1).astype(float)
    chance = _ece_by_chance(confidence, seed)
    found = {
        'bins': reliability(correct, confidence),
        'bins_are': 'equal numbers of photos',
        'mean_confidence': float(100 * confidence.mean()),
        'ece': ece(correct, confidence),
        'ece_by_chance': float(chance.mean()),
        'ece_by_chance_95': float(np.quantile(chance, 0.95)),
        'nll': nll(labels, scores, 1.0),
        'temperature': None,
    }
    at = temperature(labels, scores)
    if why := _too_few(int((~correct).sum()), 'wrong') or _beyond(at):
        return found | {'why_no_temperature': why}
    scaled = np.empty_like(scores, dtype=float)
    halves = _halves(correct, seed)
    for fitted, other in (halves, halves[::-1]):
        theirs = temperature(labels[fitted], scores[fitted])
        scaled[other] = rescaled(scores[other], theirs)
    return found | {
        'temperature': at,
        'ece_after': ece(scaled.argmax(axis=1) == labels, scaled.max(axis=1)),
        'nll_after': nll(labels, scaled, 1.0),
        'after_by': 'two-fold cross-fitting',
    }


def _beyond(temperature: float) -> str | None:
    """That the search for a temperature ended at a bound, if it did."""
    if COLDEST * 1.01 < temperature < HOTTEST / 1.01:
        return None
    end = f'{COLDEST:g} or less' if temperature < 1 else f'{HOTTEST:g} or more'
    return f'the best one is {end}, where the search ends'


def evened(correct: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """The share that is right among photos of the same confidence.

    Where a limit falls between equal ones, it is a matter of chance which
    are on what side: each gets what the average of them has.
    """
    place, size = np.unique(
        confidence, return_inverse=True, return_counts=True
    )[1:]
    return (np.bincount(place, weights=correct) / size)[place]


def _bins(confidence: np.ndarray) -> list[np.ndarray]:
    """Photos in order of confidence, cut into parts of equal size."""
    count = min(BINS, max(1, len(confidence) // IN_A_BIN))
    return np.array_split(np.argsort(confidence, kind='stable'), count)


def reliability(correct: np.ndarray, confidence: np.ndarray) -> list[dict]:
    correct = evened(correct, confidence)
    return [
        {
            'photos': len(part),
            'confidence': float(100 * confidence[part].mean()),
            'accuracy': float(100 * correct[part].mean()),
            'interval': wilson(float(correct[part].sum()), len(part)),
        }
        for part in _bins(confidence)
    ]


def ece(correct: np.ndarray, confidence: np.ndarray) -> float:
    """Expected calibration error, in per cent."""
    correct = evened(correct, confidence)
    gaps = [
        abs(float(correct[part].sum() - confidence[part].sum()))
        for part in _bins(confidence)
    ]
    return 100 * sum(gaps) / len(correct)


def _ece_by_chance(
    confidence: np.ndarray, seed: int, times: int = 1000
) -> np.ndarray:
    """The error that a perfectly calibrated model shows on so few photos."""
    rng = np.random.default_rng(seed)
    confidence = np.sort(confidence)
    starts = np.flatnonzero(np.diff(confidence, prepend=-1.0))
    sizes = np.diff(starts, append=len(confidence))
    parts = _bins(confidence)
    gaps = np.zeros(times)
    for i in range(times):
        right = rng.random(len(confidence)) < confidence
        if len(sizes) < len(confidence):  # as `evened` does
            shares = np.add.reduceat(right.astype(float), starts) / sizes
            right = np.repeat(shares, sizes)
        gaps[i] = sum(
            abs(right[part].sum() - confidence[part].sum()) for part in parts
        )
    return 100 * gaps / len(confidence)


def _halves(correct: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two halves of the photos with as many wrong ones in each."""
    order = np.random.default_rng(seed).permutation(len(correct))
    order = order[np.argsort(correct[order], kind='stable')]
    return order[::2], order[1::2]


def _logs(scores: np.ndarray) -> np.ndarray:
    # What a float32 calls 0 would be infinitely wrong.
    return np.log(np.maximum(scores.astype(float), 1e-12))


def rescaled(scores: np.ndarray, at: float) -> np.ndarray:
    """The scores at another temperature: softmax of log p / T."""
    return _softmax(_logs(scores) / at)


def _softmax(logs: np.ndarray) -> np.ndarray:
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def nll(labels: np.ndarray, scores: np.ndarray, at: float) -> float:
    """Mean negative log-likelihood of the labels at a temperature."""
    own = rescaled(scores, at)[np.arange(len(labels)), labels]
    return float(-_logs(own).mean())


def temperature(labels: np.ndarray, scores: np.ndarray) -> float:
    """The temperature of least negative log-likelihood, within bounds.

    The loss is convex in 1/T, so that its slope changes sign once.
    """
    logs = _logs(scores)
    own = logs[np.arange(len(labels)), labels].mean()
    low, high = math.log(COLDEST), math.log(HOTTEST)
    while high - low > 1e-3:
        middle = (low + high) / 2
        powers = _softmax(logs / math.exp(middle))
        if np.vdot(powers, logs) / len(logs) > own:  # too sure
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def handed_over(labels: np.ndarray, scores: np.ndarray) -> dict:
    """Accuracy on the rest when a person takes the least confident."""
    correct = scores.argmax(axis=1) == labels
    confidence = scores.max(axis=1).astype(float)
    order = np.argsort(confidence, kind='stable')
    photos = len(order)
    even = evened(correct, confidence)[order]
    # [k]: of the photos that are left when k are handed over
    rest = even[::-1].cumsum()[::-1] / np.arange(photos, 0, -1)
    table = []
    for share in SHARES:
        count = min(round(photos * share / 100), photos - 1)
        if not count:
            continue
        table.append(
            {
                'share': share,
                'photos': count,
                'wrong_among_them': _short(count - even[:count].sum()),
                'below_confidence': float(100 * confidence[order[count]]),
                'top1_of_the_rest': float(100 * rest[count]),
            }
        )
    shown = np.unique(np.linspace(0, photos - 1, 101).astype(int))
    return {
        'says_little': photos < FEW_PHOTOS or int((~correct).sum()) < FEW,
        'table': table,
        'curve': [
            [float(100 * k / photos), float(100 * rest[k])] for k in shown
        ],
    }


def _short(count: float) -> float:
    """A whole number, as a rule; a share of equally sure ones is none."""
    count = round(float(count), 1)
    return int(count) if count.is_integer() else count


def most_wrong(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """The wrong photos, those first that the model was surest of."""
    predicted = scores.argmax(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    return wrong[np.argsort(-scores[wrong].max(axis=1), kind='stable')]

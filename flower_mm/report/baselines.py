"""Baselines for fine-tuning: the majority class and the linear probe."""

from flower_mm.report.formatting import TOP1
from flower_mm.report.metrics import wilson


def below_majority_class(correct: int, photos: dict[str, int]) -> str:
    """A note if accuracy is not clearly above the largest class's share.

    As in the report, the lower end of the 95 % Wilson interval decides.

    Args:
        correct: Correctly classified photos.
        photos: Photos of each class.

    Returns:
        The note, or an empty text.
    """
    total = sum(photos.values())
    name = max(photos, key=photos.__getitem__)
    share = 100 * photos[name] / total
    interval = wilson(correct, total)
    assert interval is not None  # it is only without photos
    low = interval[0]
    if low > share:
        return ''
    return (
        f'accuracy {100 * correct / total:.2f} % is not clearly above always '
        f'predicting {name!r}, {share:.2f} %: its 95 % interval begins at '
        f'{low:.2f} %'
    )


def linear_probe(scalars: list[dict], is_fitted: bool) -> dict | None:
    """The accuracy of the linear probe, and of fine-tuning after it.

    Args:
        scalars: The lines of scalars.json; the linear probe is validated
            after epoch 0.
        is_fitted: Whether HeadFirstHook fitted the head.
    """
    val = {
        record['step']: record[TOP1]
        for record in scalars
        if TOP1 in record and 'step' in record and 'loss' not in record
    }
    if not is_fitted or 0 not in val or len(val) < 2:
        return None
    head, last = val.pop(0), max(val)
    best = max(val, key=lambda epoch: (val[epoch], -epoch))
    return {
        'top1': head,
        'last_epoch': last,
        'last_top1': val[last],
        'best_epoch': best,
        'best_top1': val[best],
    }


def below_linear_probe(probe: dict | None, is_fold: bool = False) -> str:
    """Return a note if fine-tuning ends below the linear probe, or ''."""
    if not probe or probe['last_top1'] >= probe['top1']:
        return ''
    best = (
        f'its best is {probe["best_top1"]:.2f} % in epoch '
        f'{probe["best_epoch"]}'
        if probe['best_top1'] > probe['top1']
        else 'no epoch exceeds the linear probe'
    )
    if probe['best_top1'] <= probe['top1'] and not is_fold:
        # --folds refuses --head-only.
        best += ': --head-only gives the same without fine-tuning'
    return (
        f'fine-tuning ends below the linear probe: {probe["last_top1"]:.2f} % '
        f'after epoch {probe["last_epoch"]}, {probe["top1"]:.2f} % before '
        f'epoch 1; {best}'
    )

"""Baselines for fine-tuning: the largest class and the solved head."""

from flower_mm.report.formatting import TOP1
from flower_mm.report.metrics import wilson


def below_largest_class(correct: int, photos: dict[str, int]) -> str:
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
    low, _ = wilson(correct, total)
    if low > share:
        return ''
    return (
        f'accuracy {100 * correct / total:.2f} % is not clearly above always '
        f'predicting {name!r}, {share:.2f} %: its 95 % interval begins at '
        f'{low:.2f} %'
    )


def solved_head(scalars: list[dict], is_solved: bool) -> dict | None:
    """The accuracy of the solved head, and of fine-tuning after it.

    Args:
        scalars: The lines of scalars.json; the solved head is validated
            after epoch 0.
        is_solved: Whether HeadFirstHook fitted the head.
    """
    val = {
        record['step']: record[TOP1]
        for record in scalars
        if TOP1 in record and 'step' in record and 'loss' not in record
    }
    if not is_solved or 0 not in val or len(val) < 2:
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


def below_solved_head(found: dict | None) -> str:
    """A note if fine-tuning ends below the solved head, else empty."""
    if not found or found['last_top1'] >= found['top1']:
        return ''
    best = (
        f'its best is {found["best_top1"]:.2f} % in epoch '
        f'{found["best_epoch"]}'
        if found['best_top1'] > found['top1']
        else 'no epoch exceeds the solved head: --head-only gives the same '
        'without fine-tuning'
    )
    return (
        f'fine-tuning ends below the solved head: {found["last_top1"]:.2f} % '
        f'after epoch {found["last_epoch"]}, {found["top1"]:.2f} % before '
        f'epoch 1; {best}'
    )

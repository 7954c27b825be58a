"""What a metric is called on screen and in a report, and in which unit."""

TOP1 = 'accuracy/top1'
# MMPretrain's metrics that are percentages, by the names' beginnings.
IN_PERCENT = ('accuracy/', 'single-label/', 'multi-label/')


def name_of(metric: str) -> str:
    return 'accuracy' if metric == TOP1 else metric


def value_of(metric: str, score: float) -> str:
    counted = metric.rpartition('/')[2].startswith('support')
    if metric.startswith(IN_PERCENT) and not counted:
        return f'{score:.2f} %'
    return f'{score:.4g}'

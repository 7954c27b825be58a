"""What was aimed at, beside what results/ has of it."""

from collections.abc import Iterator
from statistics import mean, median

from benchmarks.config_tables import on_one_backbone, reached, told_apart
from benchmarks.record import recorded
from benchmarks.reports import OURS
from benchmarks.time_to_accuracy.rows import seconds_to, validations_of
from benchmarks.time_to_accuracy.systems import SYSTEMS
from benchmarks.time_to_accuracy.table import stock_best

# What, target, measured, whether it is met or what else to say of that, file.
Line = tuple[str, str, str, bool | str, str]
REMARKS = {True: 'met', False: 'missed'}


def table() -> str:
    lines = [
        '| what | target | measured | result | file |',
        '| --- | --- | --- | --- | --- |',
    ]
    lines += [
        f'| {what} | {target} | {measured} | {REMARKS.get(met, met)} '
        f'| [{name}](results/{name}.csv) |'
        for what, target, measured, met, name in _lines()
    ]
    return '\n'.join(lines)


def _lines() -> Iterator[Line]:
    yield from _time_to_accuracy()
    yield from _head_only()
    yield from _throughput()
    yield from _overhead()
    yield from _growth()
    yield from _prediction()
    yield from _recipes()


def _at_most(
    what: str, found: float, most: float, name: str, unit: str = ''
) -> Line:
    measured = f'{found:.2f}{unit}'
    return what, f'at most {most:g}{unit}', measured, found <= most, name


def _at_least(what: str, found: float, least: float, name: str) -> Line:
    return what, f'at least {least:g}', f'{found:.2f}', found >= least, name


def _time_to_accuracy() -> Iterator[Line]:
    name = 'time_to_accuracy'
    places: dict[tuple, list[dict]] = {}
    for row in recorded(name):
        if row['epochs'] == str(SYSTEMS[row['system']].epochs):
            place = row['machine'], row['threads']
            places.setdefault(place, []).append(row)
    for rows in places.values():
        best = stock_best(rows)
        seconds = {
            row['system']: median(
                seconds_to(best, run) for run in validations_of(row)
            )
            for row in rows
        }
        stock = [seconds[one] for one in seconds if one.startswith('stock')]
        if stock and 'fast' in seconds:
            yield _at_most(
                'time to the best accuracy of stock MMPretrain '
                f'({best:.2f} %), fast config / stock',
                seconds['fast'] / min(stock),
                0.1,
                name,
            )


def _head_only() -> Iterator[Line]:
    for row in recorded('head_only'):
        config = row['config'].rpartition('/')[2]
        yield _at_most(
            f'time of `--head-only`, {config} in {row["precision"]} / bare '
            'forward passes',
            float(row['ratio']),
            1.5,
            'head_only',
        )


def _throughput() -> Iterator[Line]:
    for row in recorded('throughput'):
        model = row['model']
        for what, key, least in (
            ('stock MMPretrain', 'stock', 2.4 if 'ResNet' in model else 2.0),
            ('a bare loop', 'bare', 0.9),
        ):
            yield _at_least(
                f'{model}, training images per second / {what}',
                float(row[f'train_ours_to_{key}']),
                least,
                'throughput',
            )


def _overhead() -> Iterator[Line]:
    for row in recorded('overhead'):
        if row['threads'] != '2':
            continue
        share = float(row['share_of_clock'])
        if (row['part'], row['what']) == ('start', 'first iteration'):
            what = 'time to the first iteration / time of the imports'
            yield _at_most(what, share, 1.3, 'overhead')
        elif (row['part'], row['what']) == (
            'epoch',
            'outside forward and backward',
        ):
            what = 'MobileNetV2, overhead outside forward and backward'
            yield _at_most(what, 100 * share, 10, 'overhead', ' %')


def _growth() -> Iterator[Line]:
    rows = sorted(recorded('growth'), key=lambda row: int(row['photos']))
    few, many = rows[0], rows[-1]
    for part in ('prepare', 'decode', 'start', 'epoch'):
        for what, key in (
            ('milliseconds per photo', f'{part}_ms_per_photo'),
            ('peak memory in MB', f'{part}_peak_mb'),
        ):
            less, more = float(few[key]), float(many[key])
            yield (
                f'{part}: {what}, {few["photos"]} and {many["photos"]} photos',
                'no increase',
                f'{less:g} and {more:g}',
                more <= 1.1 * less,
                'growth',
            )


def _prediction() -> Iterator[Line]:
    ways = {
        'eager': 'float32',
        'bf16': 'bfloat16',
        'onnx': 'ONNX',
        'int8': 'ONNX int8',
    }
    for row in recorded('prediction'):
        found = {
            way: float(row[f'{key}_to_inferencer'])
            for key, way in ways.items()
        }
        said = ', '.join(f'{way} {times:.2f}' for way, times in found.items())
        yield (
            f'{row["model"]}, prediction in batches of {row["at_a_time"]} / '
            "MMPretrain's inferencer",
            'at least 3',
            said,
            min(found.values()) >= 3,
            'prediction',
        )


def _recipes() -> Iterator[Line]:
    """Our recipe beside the best of the reports', at each length."""
    groups = on_one_backbone()
    every = {name for recipes in groups.values() for name in recipes} - {*OURS}
    for (group, recipes), besides in zip(
        groups.items(), told_apart(list(groups)), strict=True
    ):
        epochs = group[0]
        found = {
            name: [float(run['best_top1']) for run in runs]
            for name, runs in recipes.items()
        }
        ours = found.get('ours')
        theirs = {
            name: runs for name, runs in found.items() if name not in OURS
        }
        if not ours or not theirs:
            continue
        best = max(theirs, key=lambda name: mean(theirs[name]))
        both = '; '.join(reached(recipes[name]) for name in ('ours', best))
        ahead = mean(ours) - mean(theirs[best])
        least = 2 if epochs == 3 else 0
        met = ahead >= least and min(ours) > max(theirs[best])
        fewest = min(len(ours), len(theirs[best]))
        part = len(theirs) < len(every) or fewest < 3
        yield (
            f'accuracy above the best other recipe ({best}), points; '
            f'epochs: {epochs}{besides}',
            f'at least {least}, every run ahead',
            f'{ahead:.2f}: {both}',
            f'partly: {len(theirs)} of {len(every)} recipes, {fewest} seed'
            + 's' * (fewest > 1)
            if met and part
            else met,
            'reports',
        )

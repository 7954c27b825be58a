"""Write the results that README.md and others quote, from results/.

python -m benchmarks.readme
"""

from pathlib import Path

from benchmarks import config_tables, targets
from benchmarks.recipes import CANDIDATES
from benchmarks.record import RESULTS, recorded, seeds, spread
from benchmarks.time_to_accuracy.table import table as seconds_to_accuracy
from flower_mm.files import replacing

README = Path(__file__).parent.parent / 'README.md'
BEGIN = (
    '<!-- results: written by `python -m benchmarks.readme`, '
    'from benchmarks/results -->'
)
END = '<!-- end of results -->'
COLUMNS = '| what | data | epochs | seeds | top-1, % | seconds |'


def table() -> str:
    rows = recorded('accuracy')
    lines = [COLUMNS, '| --- | --- | ---: | --- | --- | ---: |']
    for row in rows:
        cells = [
            row['name'],
            row['data'],
            row['epochs'],
            row['seeds'],
            spread(row),
            row['seconds'],
        ]
        lines.append(f'| {" | ".join(cells)} |')
    machines = sorted({row['machine'] for row in rows})
    lines += [
        '',
        f'Validation top-1 of the best epoch, on {" and ".join(machines)}, '
        'which did other things as well: the seconds are rough. '
        'Commands, splits, versions and dates are in '
        '[accuracy.csv](benchmarks/results/accuracy.csv).',
    ]
    lines += [
        '',
        'Seconds to an accuracy, of MobileNetV2 from the same weights on the '
        'same photos, asked about the same others after each epoch, on '
        + seconds_to_accuracy(RESULTS / 'time_to_accuracy.csv', (90, 92)),
        '',
        'Measured by `python -m benchmarks.time_to_accuracy`, from the '
        'command on, medians of the runs; each epoch is in '
        '[time_to_accuracy.csv](benchmarks/results/time_to_accuracy.csv). '
        'The validation photos were looked at to tell the best epoch.',
    ]
    return '\n'.join([*lines, '', *prediction()])


def prediction() -> list[str]:
    """Photos a second, ours in times those of MMPretrain's inferencer."""
    rows = recorded('prediction')
    ours = ('eager', 'bf16', 'onnx', 'int8')
    lines = [
        'Photos a second from file to class, on '
        f'{" and ".join(sorted({row["machine"] for row in rows}))}, in '
        "brackets how many times MMPretrain's inferencer:",
        '',
        '| model | at a time | float32 | bfloat16 | ONNX | ONNX int8 '
        '| inferencer | timm |',
        '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
    ]
    for row in rows:
        cells = [
            row['model'],
            row['at_a_time'],
            *(f'{row[n]} ({row[f"{n}_to_inferencer"]})' for n in ours),
            row['inferencer'],
            row['timm'],
        ]
        lines.append(f'| {" | ".join(cells)} |')
    return [
        *lines,
        '',
        'Measured by `python -m benchmarks.prediction`, into '
        '[prediction.csv](benchmarks/results/prediction.csv).',
    ]


def configs() -> str:
    machines = sorted({
        row['machine']
        for name in (
            'accuracy', 'time_to_accuracy', 'reports', 'own_backbones',
        )
        for row in recorded(name)
    })  # fmt: skip
    return '\n'.join([
        config_tables.table(),
        '',
        f'Measured on {" and ".join(machines)}; empty is what was not.',
        '',
        '- **val top-1**: of the best epoch, by the command in that line, '
        "with `--seed` 0, 1 and so on, the demo's on the drawn photos; splits "
        'and versions are in '
        "[accuracy.csv](../../benchmarks/results/accuracy.csv), MobileNetV2's "
        'in [time_to_accuracy.csv]'
        '(../../benchmarks/results/time_to_accuracy.csv). Of other backbones '
        'the ImageNet weights were not at hand. The commands expect photos '
        'in data/flower_dataset, `python tools/prepare_dataset.py PHOTOS '
        '--out data/flower_dataset`, and weights, `python '
        'tools/get_weights.py`.',
        '- **epochs**: as many as the command trains for.',
        '- **MobileNetV2**: the recipes side by side, by `python -m '
        'benchmarks.reports --weights FILE --epochs 3 --seeds 0 1 2 --jobs 2 '
        '--only NAME`, and the like with other epochs and seeds; ours are '
        'called `ours` and `ours_fast` there. The '
        'backbone of each report is replaced by MobileNetV2, for the one set '
        'of ImageNet weights that was at hand; photos, batch, augmentations, '
        'optimizer, schedule and head are as reported, and the precision is '
        'the same for all. A schedule that is counted in epochs is not '
        "shortened: the rates of B and D2 fall after seven of them, D1's "
        "never do, A's only after ten without gain, and C's first epoch is "
        'its warm-up. `a2_resnet34` and `c_resnet152` would be the same as '
        '`a1_resnet18` and `c_resnet101`. On these weights '
        "D1 does better at a lower rate: the line below it has it. Of each "
        'run the best epoch, chosen by the val photos themselves; ours are '
        'asked once more, of the head that is fitted before the first; '
        'the cell says where no epoch came to more. The '
        f'seconds are {_at_once()}, beside other work. Each run is in '
        '[reports.csv](../../benchmarks/results/reports.csv), with its '
        'command, the best and the last epoch, and which photos.',
        '- **theirs**: what each report got, with weights and a split of '
        'its own.',
        '- **loss**: of ten batches at the beginning and at the end of three '
        'epochs from scratch with its own backbone, on 320 photos that are '
        'red, green or blue, by `python -m benchmarks.own_backbones`: a sign '
        'that it trains, no more. Who only guesses has 1.10.',
    ])  # fmt: skip


def _at_once() -> str:
    found = {int(row['at_once']) for row in recorded('reports')}
    return ' or '.join(f'of {number} at a time' for number in sorted(found))


def measurements() -> str:
    return '\n'.join([targets.table(), '', *search()])


def search() -> list[str]:
    """What was tried for mobilenet_v2_flower.py, and what it reached."""
    found: dict[str, dict[tuple, str]] = {}
    photos = set()
    for row in recorded('recipes'):
        column = int(row['epochs']), ''
        reached = spread(row) + seeds(len(row['seeds'].split()))
        found.setdefault(row['recipe'], {})[column] = reached
        photos.add(f'{row["train"]} and {row["val"]}')
    for row in recorded('cross_validation'):
        column = int(row['epochs']), f', {row["folds"]} folds'
        found.setdefault(row['recipe'], {})[column] = spread(row)
    columns = sorted({column for one in found.values() for column in one})
    heads = [f'{epochs}{folds}' for epochs, folds in columns]
    lines = [
        'What was tried for mobilenet_v2_flower.py, on one split of the train '
        f'photos ({" or ".join(sorted(photos))}): best top-1, %, of so many '
        'epochs; with folds, by cross-validation of them all: that of the '
        'last epoch. Val had a part in the number of epochs only. '
        '`head_no_average` is what ships; `today` is the config as the search '
        'found it, with an average of the weights and no head first. The '
        'lines behind each name and the commands are in '
        '[recipes.csv](results/recipes.csv) and '
        '[cross_validation.csv](results/cross_validation.csv).',
        '',
        f'| | {" | ".join(heads)} |',
        f'| --- {"| --- " * len(heads)}|',
    ]
    return lines + [
        f'| {name} | {" | ".join(one.get(n, "") for n in columns)} |'
        for name, one in sorted(
            found.items(), key=lambda item: [*CANDIDATES].index(item[0])
        )
    ]


PAGES = {
    README: table,
    README.parent / 'configs/flower/README.md': configs,
    README.parent / 'benchmarks/README.md': measurements,
}


def with_results(page: Path) -> str:
    """The page as it should be."""
    before, _, rest = page.read_text('utf-8').partition(BEGIN)
    _, _, after = rest.partition(END)
    return f'{before}{BEGIN}\n{PAGES[page]()}\n{END}{after}'


if __name__ == '__main__':
    for page in PAGES:
        new = with_results(page)
        with replacing(page, 'w') as file:
            file.write(new)

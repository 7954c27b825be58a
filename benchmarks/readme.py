"""Write the tables that README.md and other pages quote, from results/.

python -m benchmarks.readme           write them
python -m benchmarks.readme --check   name the pages whose tables are outdated,
                                      and configs that state other figures

A page asks for a table by two comments; what is between them is replaced.
"""

import argparse
import re
import sys
from collections.abc import Callable
from math import inf
from pathlib import Path
from statistics import median

from benchmarks import (
    calibration,
    config_tables,
    linear_probe,
    targets,
    unknown,
    versions,
)
from benchmarks.config_headers import unmeasured
from benchmarks.config_tables import markdown
from benchmarks.record import RESULTS, recorded, seeds, spread
from benchmarks.time_to_accuracy.rows import seconds_to, validations_of
from benchmarks.time_to_accuracy.table import table as seconds_to_accuracy
from flower_mm.files import replacing

ROOT = Path(__file__).parent.parent
BLOCK = re.compile(
    r'(<!-- results: (\S+), by `python -m benchmarks\.readme` -->\n)'
    r'.*?(<!-- end of results -->)',
    re.DOTALL,
)
LEVEL = 92  # per cent of the photos
HEADLINE = {  # systems of README's table, with their names there
    'fast': ('**flower_mm**, fast config', '**flower_mm** 快速配置'),
    'ours': ('**flower_mm**, default config', '**flower_mm** 默认配置'),
    'head_only': ('**flower_mm**, `--head-only`',) * 2,
    'stock_adamw': ('MMPretrain, AdamW 3e-4',) * 2,
    'stock_d1': ('MMPretrain, SGD 5e-3',) * 2,
    'timm_amp': ('timm, AdamW 3e-4, bfloat16',) * 2,
    'fastai': ('fastai, `fine_tune`',) * 2,
    'plain_adam': ('PyTorch loop, Adam 1e-3', 'PyTorch 循环, Adam 1e-3'),
}
ENGLISH = (
    'system',
    'epochs',
    'best validation accuracy, %',
    f'seconds to {LEVEL} %',
    'seconds in all',
    'not reached',
    'to',
)
CHINESE = (
    '系统',
    '轮数',
    '最佳验证准确率, %',
    f'达到 {LEVEL} % 的秒数',
    '总秒数',
    '未达到',
    '至',
)


def headline(language: int) -> str:
    """The table of README: the same photos and weights for every system."""
    *heads, never, to = (ENGLISH, CHINESE)[language]
    rows = {row['system']: row for row in recorded('time_to_accuracy')}
    return markdown(
        heads,
        [
            [
                names[language],
                rows[system]['epochs'],
                _best(rows[system], to),
                _seconds_to_level(rows[system]) or never,
                f'{float(rows[system]["seconds"]):.0f}',
            ]
            for system, names in HEADLINE.items()
        ],
    )


def _best(row: dict, to: str) -> str:
    middle, low, high = (
        f'{float(row[f"top1{end}"]):.1f}' for end in ('', '_min', '_max')
    )
    return middle if low == high else f'{middle} ({low} {to} {high})'


def _seconds_to_level(row: dict) -> str:
    found = median(seconds_to(LEVEL, run) for run in validations_of(row))
    return '' if found == inf else f'{found:.0f}'


def accuracy() -> str:
    rows = recorded('accuracy')
    columns = ('name', 'data', 'epochs', 'seeds')
    heads = ['what', *columns[1:], 'accuracy, %', 'seconds']
    return markdown(
        heads,
        [
            [*(row[name] for name in columns), spread(row), row['seconds']]
            for row in rows
        ],
    )


def time_to_accuracy() -> str:
    return seconds_to_accuracy(RESULTS / 'time_to_accuracy.csv', (90, LEVEL))


def prediction() -> str:
    """Photos per second, and their ratio to MMPretrain's inferencer."""
    ours = ('eager', 'bf16', 'onnx', 'int8')
    heads = [
        *('model', 'batch size', 'float32', 'bfloat16', 'ONNX', 'ONNX int8'),
        *('MMPretrain inferencer', 'timm'),
    ]
    return markdown(
        heads,
        [
            [
                row['model'],
                row['at_a_time'],
                *(f'{row[n]} ({row[f"{n}_to_inferencer"]}x)' for n in ours),
                row['inferencer'],
                row['timm'],
            ]
            for row in recorded('prediction')
        ],
    )


def recipe() -> str:
    """Our recipe beside its fitted head and stock's, on test photos."""
    return markdown(
        [
            'photos',
            'of each class',
            'system',
            'epochs',
            'test accuracy, %',
            'ours minus this, points',
            'p',
            'lowest validation on the way minus head, points',
            'seconds',
        ],
        [
            [
                row['photos'],
                row['per_class'],
                row['system'],
                row['epochs'],
                spread(row) + seeds(len(row['seeds'].split())),
                row['ours_minus_this'],
                row['p_value'],
                row['fall_on_the_way'] if row['system'] == 'ours' else '',
                row['seconds'],
            ]
            for row in recorded('recipe')
        ],
    )


BLOCKS: dict[str, Callable[[], str]] = {
    'headline': lambda: headline(0),
    'headline-zh': lambda: headline(1),
    'accuracy': accuracy,
    'time-to-accuracy': time_to_accuracy,
    'prediction': prediction,
    'configs': config_tables.configs,
    'reports': config_tables.reports,
    'targets': targets.table,
    'linear-probe': linear_probe.table,
    'recipe': recipe,
    'calibration': calibration.table,
    'unknown': unknown.table,
    'versions': versions.table,
}


def pages() -> list[Path]:
    return [
        page
        for pattern in ('*.md', 'docs/*.md', 'benchmarks/*.md')
        for page in sorted(ROOT.glob(pattern))
        if BLOCK.search(page.read_text(encoding='utf-8'))
    ]


def with_results(page: Path) -> str:
    """The page as it should be."""
    return BLOCK.sub(
        lambda match: f'{match[1]}{BLOCKS[match[2]]()}\n{match[3]}',
        page.read_text(encoding='utf-8'),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--check', action='store_true')
    check = parser.parse_args().check
    outdated = [
        page
        for page in pages()
        if with_results(page) != page.read_text(encoding='utf-8')
    ]
    if check:
        outdated += unmeasured()
    for page in outdated:
        print(page.relative_to(ROOT).as_posix())
        if not check:
            with replacing(page, 'w') as file:
                file.write(with_results(page))
    return int(check and bool(outdated))


if __name__ == '__main__':
    sys.exit(main())

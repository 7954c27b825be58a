"""Each backbone family of MMPretrain: does it train, predict and report?

python -m benchmarks.families
python -m benchmarks.families --only PoolFormer LeViT

The smallest file of each family in MMPretrain's `_base_/models`, and some
models from its other configs, train for two iterations on ten small photos,
in float32 and in bfloat16. Where that fails, MMPretrain's own tools/train.py
does the same (the column `stock`). The rows go to results/families.csv, with
which the nightly test tests/engine/test_families.py compares our part.
"""

import argparse
import sys
from pathlib import Path

from benchmarks.record import record

sys.path.append(str(Path(__file__).parents[1] / 'tests' / 'support'))
from families import families, measure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known = families()
    parser.add_argument(
        '--only', nargs='+', choices=sorted(known), metavar='FAMILY'
    )
    parser.add_argument('--out', type=Path, default='work_dirs/families')
    args = parser.parse_args()
    for name in args.only or sorted(known):
        out = args.out / name
        out.mkdir(parents=True, exist_ok=True)
        row = measure(known[name], out)
        row['command'] = f'python -m benchmarks.families --only {name}'
        record('families', [row], key=('family', 'machine'))
        print(', '.join(f'{k} {v}' for k, v in row.items()), flush=True)


if __name__ == '__main__':
    main()

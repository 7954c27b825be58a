"""Write a run's report, or lay several runs side by side.

python tools/report.py work_dirs/resnet50_flower
python tools/report.py work_dirs/resnet50_flower work_dirs/mobilenet_v2_flower
"""

import argparse

from flower_mm import cli
from flower_mm.user_modules import add_import_flag


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='WORK_DIR',
        help='folder of a run; report.html, report.json and predictions.csv '
        'go there',
    )
    parser.add_argument(
        '--out',
        help='page of a comparison; comparison.html beside the first run by '
        'default',
    )
    parser.add_argument(
        '--data-root', help="dataset folder; the run's by default"
    )
    parser.add_argument(
        '--split',
        choices=['val', 'test'],
        default='val',
        help='which photos to measure on; val by default',
    )
    parser.add_argument(
        '--device', default='auto', help='auto, cpu, cuda, cuda:N or mps'
    )
    add_import_flag(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    from flower_mm.errors import UserError
    from flower_mm.report.run import write_comparison, write_report

    options = (args.data_root, args.split, args.device)
    if len(args.runs) > 1:
        page = write_comparison(args.runs, args.out, *options)
        figures = page.with_suffix('.json')
    elif args.out:
        raise UserError(
            '--out names the page of a comparison; the report of one run '
            'lies in its folder: leave --out away'
        )
    else:
        page = write_report(args.runs[0], *options)
        figures = page.with_suffix('.json')
    print(f'  report   {page}\n  figures  {figures}')


if __name__ == '__main__':
    cli.run(main, parser())

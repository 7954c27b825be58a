"""Write the report of a training, or compare several trainings.

flower-mm report work_dirs/resnet50_flower
flower-mm report work_dirs/resnet50_flower work_dirs/mobilenet_v2_flower
"""

import argparse

from flower_mm.cli.arguments import add_data_root, add_device, add_imports
from flower_mm.errors import UserError
from flower_mm.torch_import import importing_torch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='WORK_DIR',
        help='folder of a training: report.html, report.json and '
        'predictions.csv are written into it. Several folders: they are '
        'compared with the first one',
    )
    parser.add_argument(
        '--out',
        metavar='HTML',
        help='page of a comparison; by default comparison.html beside the '
        'first folder',
    )
    add_data_root(parser, 'the one of the training')
    parser.add_argument(
        '--split',
        choices=['val', 'test'],
        default='val',
        help='split to measure on; by default %(default)s',
    )
    add_device(parser)
    add_imports(parser)


def run(args: argparse.Namespace) -> None:
    with importing_torch():
        from flower_mm.report.report_files import (
            write_comparison,
            write_report,
        )

    options = (args.data_root, args.split, args.device)
    if len(args.runs) > 1:
        page = write_comparison(args.runs, args.out, *options)
    elif args.out:
        raise UserError(
            '--out needs several WORK_DIRs to compare, got one.\n'
            'Omit --out: the report is written into the folder'
        )
    else:
        page = write_report(args.runs[0], *options)
    print(f'  report   {page}\n  figures  {page.with_suffix(".json")}')

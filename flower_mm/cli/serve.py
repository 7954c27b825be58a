"""Classify photos on a local web page or over HTTP.

flower-mm serve work_dirs/resnet50_flower/best.pth

Only this machine can open the page. Programs send photos by POST:

  curl -F photo=@rose.jpg http://127.0.0.1:8000/predict
"""

import argparse

from flower_mm.cli.arguments import (
    add_calibration,
    add_device,
    add_imports,
    add_precision,
    port,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'checkpoint',
        metavar='CHECKPOINT',
        help='best.pth, best.safetensors, or a folder that `share` made',
    )
    parser.add_argument(
        '--port',
        type=port,
        default=8000,
        metavar='N',
        help='port of the page; by default %(default)s; 0: any free port',
    )
    add_precision(parser)
    add_calibration(parser)
    add_device(parser)
    parser.add_argument(
        '--amp',
        action='store_true',
        help='compute in bfloat16, faster on some machines',
    )
    add_imports(parser)


def run(args: argparse.Namespace) -> None:
    from flower_mm.serve.server import serve

    serve(args)

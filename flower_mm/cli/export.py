"""Convert best.pth for other programs, and verify the result on photos.

flower-mm export work_dirs/resnet50_flower/best.pth --to onnx --int8

onnx: best.onnx takes photos of any size as RGB bytes and returns
probabilities, best_tensor.onnx takes preprocessed photos, and predict_onnx.py
shows how to use best.onnx without flower_mm.
torchscript: best.torchscript.pt takes preprocessed photos.
safetensors: best.safetensors replaces best.pth in all commands.
"""

import argparse

from flower_mm.cli.arguments import add_data_root, add_imports
from flower_mm.errors import UserError
from flower_mm.exit_codes import FAULT, OK
from flower_mm.torch_import import importing_torch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'checkpoint', metavar='CHECKPOINT', help='best.pth of a training'
    )
    parser.add_argument(
        '--to',
        required=True,
        choices=['onnx', 'torchscript', 'safetensors'],
        help='format to write',
    )
    parser.add_argument(
        '--int8',
        action='store_true',
        help='with --to onnx: write best_int8.onnx too, with a quarter of '
        'the size, calibrated on training photos',
    )
    parser.add_argument(
        '--out',
        metavar='FOLDER',
        help='folder for the files; by default that of the checkpoint',
    )
    add_data_root(parser, 'the one of the training')
    add_imports(parser)


def run(args: argparse.Namespace) -> int:
    if args.int8 and args.to != 'onnx':
        raise UserError(f'--int8 needs --to onnx, got --to {args.to}')
    with importing_torch():
        from flower_mm.export.export_model import export

    result = export(
        args.checkpoint, args.to, args.out, args.data_root, args.int8
    )
    print(result.table)
    for note in result.notes:
        print(f'note: {note}')
    for file in result.files:
        print(f'  written  {file}')
    return FAULT if result.failed else OK

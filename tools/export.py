"""Write best.pth for other programs, and compare it on real photos.

python tools/export.py work_dirs/resnet50_flower/best.pth --to onnx --int8

onnx: best.onnx takes photos of any size, as RGB bytes, and gives
probabilities; best_tensor.onnx takes what the network itself takes;
predict_onnx.py shows how to use the first without flower_mm.
torchscript: best.torchscript.pt, with its classes in meta.json.
safetensors: best.safetensors, which flower_mm reads as it reads best.pth.
"""

import argparse

from flower_mm import cli
from flower_mm.user_modules import add_import_flag


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('checkpoint', help='best.pth of a run')
    parser.add_argument(
        '--to',
        required=True,
        choices=['onnx', 'torchscript', 'safetensors'],
        help='the format',
    )
    parser.add_argument(
        '--int8',
        action='store_true',
        help='with onnx: best_int8.onnx as well, a quarter the size, its '
        'ranges taken from photos of train',
    )
    parser.add_argument(
        '--out', help="folder for the files; the checkpoint's by default"
    )
    parser.add_argument(
        '--data-root',
        help="dataset whose photos to compare on; the config's by default",
    )
    add_import_flag(parser)
    return parser


def main(args: argparse.Namespace) -> int:
    from flower_mm.errors import UserError

    if args.int8 and args.to != 'onnx':
        raise UserError('--int8 goes with --to onnx')
    with cli.loading():
        from flower_mm.export.export_model import export

    found = export(
        args.checkpoint, args.to, args.out, args.data_root, args.int8
    )
    print(found.table)
    for note in found.notes:
        print(f'note: {note}')
    for file in found.files:
        print(f'  written  {file}')
    return cli.OURS if found.failed else cli.OK


if __name__ == '__main__':
    cli.run(main, parser())

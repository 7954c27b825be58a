"""Make a folder of a trained model that can be mailed or put on a hub.

python tools/share.py work_dirs/resnet50_flower shared/my_flowers

In it: best.safetensors and its config as data, README.md with what the model
is good for and what it gets wrong, best.onnx with a script that needs no
PyTorch. No path of this machine and no photo goes along, unless --examples
asks for some. `Classifier('shared/my_flowers')` loads it again.
"""

import argparse
from pathlib import Path

from flower_mm import cli
from flower_mm.user_modules import add_import_flag


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'work_dir', type=Path, metavar='WORK_DIR', help='folder of a run'
    )
    parser.add_argument('out', type=Path, metavar='OUT', help='folder to make')
    parser.add_argument(
        '--examples',
        type=cli.count,
        default=0,
        metavar='N',
        help='put N photos of each class beside it, made smaller and without '
        'their EXIF; ask first who may allow that',
    )
    parser.add_argument(
        '--data-root', help="dataset folder; the run's by default"
    )
    parser.add_argument(
        '--device', default='auto', help='auto, cpu, cuda, cuda:N or mps'
    )
    add_import_flag(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    with cli.loading():
        from flower_mm.share.share_folder import share

    files = share(
        args.work_dir, args.out, args.data_root, args.examples, args.device
    )
    for file in files:
        size = f'{file.stat().st_size / 1e6:.1f} MB'
        print(f'  {size:>9}  {file}')


if __name__ == '__main__':
    cli.run(main, parser())

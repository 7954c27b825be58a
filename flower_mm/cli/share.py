"""Write a folder with a trained model, for a mail or a model hub.

flower-mm share work_dirs/resnet50_flower shared/my_flowers

It contains best.safetensors and the config as data, README.md with the
purpose and the errors of the model, and best.onnx with a script that needs no
PyTorch. Paths of this machine and photos stay out, except for those that
--examples asks for. `Classifier('shared/my_flowers')` loads the folder.
"""

import argparse
from pathlib import Path

from flower_mm.cli.arguments import (
    add_data_root,
    add_device,
    add_imports,
    count,
)
from flower_mm.torch_import import importing_torch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        'work_dir', type=Path, metavar='WORK_DIR', help='folder of a training'
    )
    parser.add_argument(
        'out', type=Path, metavar='OUT', help='new folder to write'
    )
    parser.add_argument(
        '--examples',
        type=count,
        default=0,
        metavar='N',
        help='add N photos of each class, reduced in size and without EXIF; '
        'ask their owners first',
    )
    add_data_root(parser, 'the one of the training')
    add_device(parser)
    add_imports(parser)


def run(args: argparse.Namespace) -> None:
    with importing_torch():
        from flower_mm.share.share_folder import share

    files = share(
        args.work_dir, args.out, args.data_root, args.examples, args.device
    )
    for file in files:
        size = f'{file.stat().st_size / 1e6:.1f} MB'
        print(f'  {size:>9}  {file}')

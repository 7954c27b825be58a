"""Tell the classes of photos with a trained model.

python tools/predict.py best.pth photo.jpg holiday/ more.zip
python tools/predict.py best.pth holiday/ --threshold 0.8 --sort-into sorted
"""

import argparse
from pathlib import Path

from flower_mm import cli
from flower_mm.user_modules import add_import_flag


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Photos that cannot be used are passed over and listed at the '
        'end; the exit\ncode is 2 then, and 0 when all could be used.',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'checkpoint',
        help='best.pth or best.safetensors of a training, or its folder',
    )
    parser.add_argument(
        'photos',
        nargs='+',
        metavar='PHOTOS',
        help='files, folders with all that is in them, patterns such as '
        '"a/**/*.jpg", zip or tar files; - for names on standard input',
    )
    parser.add_argument(
        '--csv',
        metavar='FILE',
        help='write a line a photo, with the probability of each class; - '
        'for standard output, instead of the table',
    )
    parser.add_argument(
        '--json', metavar='FILE', help='the same as JSON, and the bad photos'
    )
    parser.add_argument(
        '--topk',
        type=cli.count,
        default=1,
        metavar='N',
        help='classes a photo in the table (%(default)s)',
    )
    parser.add_argument(
        '--threshold',
        type=share,
        default=0.0,
        metavar='P',
        help='below this probability, from 0 to 1, a photo is "unsure"',
    )
    parser.add_argument(
        '--sort-into',
        type=Path,
        metavar='FOLDER',
        help='copy the photos into FOLDER/class/; nothing there is replaced',
    )
    parser.add_argument(
        '--device', default='auto', help='auto, cpu, cuda, cuda:N or mps'
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='in bfloat16; by default as it was validated',
    )
    parser.add_argument(
        '--batch-size',
        type=cli.count,
        default=64,
        metavar='N',
        help='photos at a time (%(default)s)',
    )
    add_import_flag(parser)
    return parser


def share(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError('from 0 to 1, such as 0.8')
    return number


def main(args: argparse.Namespace) -> int:
    from flower_mm.inference.predict import predict

    return predict(args)


if __name__ == '__main__':
    cli.run(main, parser())

"""Try a model on a page in the browser, or ask it over HTTP.

python tools/serve.py work_dirs/resnet50_flower/best.pth

The page is for this machine only. Programs post photos:

curl -F photo=@rose.jpg http://127.0.0.1:8000/predict
"""

import argparse

from flower_mm import cli
from flower_mm.user_modules import add_import_flag


def port(text: str) -> int:
    number = int(text)
    if not 0 <= number < 2**16:
        raise argparse.ArgumentTypeError('a port is from 0 to 65535')
    return number


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'checkpoint',
        help='best.pth, best.safetensors, or a folder that tools/share.py '
        'made',
    )
    parser.add_argument(
        '--port',
        type=port,
        default=8000,
        help='8000 by default; 0 takes one that is free',
    )
    parser.add_argument(
        '--device', default='auto', help='auto, cpu, cuda, cuda:N or mps'
    )
    parser.add_argument(
        '--amp', action='store_true', help='in bfloat16, faster on some'
    )
    add_import_flag(parser)
    return parser


def main(args: argparse.Namespace) -> None:
    from flower_mm.serve.server import serve

    serve(args)


if __name__ == '__main__':
    cli.run(main, parser())

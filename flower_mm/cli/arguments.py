"""Arguments that several commands share, and their types."""

import argparse
import os
import re
from collections.abc import Sequence

from flower_mm.user_modules import FLAG as IMPORT


def count(text: str) -> int:
    """Parse a positive whole number."""
    return _integer(text, least=1)


def workers(text: str) -> int:
    """Parse a number of worker processes; 0 loads in the main process."""
    return _integer(text, least=0)


def seed(text: str) -> int:
    """Parse a seed for numpy's generators."""
    return _integer(text, least=0, most=2**32 - 1)


def megabytes(text: str) -> int:
    """Parse a size such as 512MB or 2GB and return bytes."""
    match = re.fullmatch('([0-9]{1,9})(MB|GB)', text.strip().upper())
    if not match or not int(match[1]):
        raise argparse.ArgumentTypeError(
            f'expected a size such as 512MB or 2GB, got {text}'
        )
    return int(match[1]) * (10**6 if match[2] == 'MB' else 10**9)


def port(text: str) -> int:
    return _integer(text, least=0, most=2**16 - 1)


def positive(text: str) -> float:
    """Parse a positive finite number, such as a learning rate."""
    number = float(text)
    if not 0 < number < float('inf'):
        raise argparse.ArgumentTypeError(f'must be more than 0, got {text}')
    return number


def probability(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f'must be from 0 to 1, got {text}')
    return number


def share(text: str) -> float:
    number = float(text)
    if not 0 < number < 1:
        raise argparse.ArgumentTypeError(
            f'must be between 0 and 1, got {text}'
        )
    return number


def _integer(text: str, least: int, most: int | None = None) -> int:
    number = int(text)
    if number < least or (most is not None and number > most):
        bounds = f'at least {least}' if most is None else f'{least} to {most}'
        raise argparse.ArgumentTypeError(f'must be {bounds}, got {number}')
    return number


def add_data_root(
    parser: argparse.ArgumentParser, default: str, also: str = ''
) -> None:
    parser.add_argument(
        '--data-root',
        '--data',
        metavar='DATASET',
        help=f'dataset folder that `prepare` made; by default {default}{also}',
    )


def add_offline(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        '--offline',
        action='store_true',
        help='download no pretrained weights; HF_HUB_OFFLINE=1 does the same',
    )


def add_calibration(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        '--coverage',
        type=share,
        metavar='P',
        help='for each photo, name the classes that contain the true one for '
        'this share of photos like those of the validation, such as 0.95',
    )
    parser.add_argument(
        '--per-class',
        action='store_true',
        help='let --coverage hold for the photos of each class',
    )
    parser.add_argument(
        '--uncalibrated',
        action='store_true',
        help='show the probabilities of the network as they are',
    )
    parser.add_argument(
        '--no-unknown',
        action='store_true',
        help='give a class also to photos that are unlike the training '
        'photos, instead of "unknown"',
    )


def add_precision(
    parser: argparse._ActionsContainer, required: bool = False
) -> None:
    parser.add_argument(
        '--precision',
        type=share,
        required=required,
        metavar='P',
        help='label photos as "unsure" whose probability is so low that less '
        'than this share of predictions would be right, such as 0.99',
    )


def add_device(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        '--device',
        default='auto',
        help='auto, cpu, cuda, cuda:N or mps; by default auto',
    )


def add_imports(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        IMPORT,
        action='append',
        default=[],
        dest='imports',
        metavar='MODULE',
        help='module that registers your own backbone or transform: its '
        'name, installed or in the current folder, or its .py file. The '
        'module is executed. Repeat the flag for several modules',
    )


def add_weights_at_hand(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        '--run',
        metavar='RUN',
        help='folder of a training, or its best.pth, whose features are used; '
        'by default pretrained weights',
    )
    parser.add_argument(
        '--weights',
        metavar='NAME',
        help='the pretrained weights: a name that `weights --list` shows, '
        "timm/ and a name of timm's weights, or a file of weights; by default "
        'the smallest ones in the folder of weights',
    )


def add_launcher(parser: argparse._ActionsContainer) -> None:
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run are started',
    )
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help=argparse.SUPPRESS,
    )


def use_local_rank(args: argparse.Namespace) -> None:
    """Pass on the rank that older launchers give on the command line."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))


def add_config_options(
    parser: argparse._ActionsContainer, also: str = ''
) -> None:
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_KeyValues,
        default=[],
        dest='cfg_options_words',
        metavar='KEY=VALUE',
        help='override settings of the config, e.g. '
        f'train_cfg.max_epochs=5 optim_wrapper.optimizer.lr=1e-4{also}',
    )


class _KeyValues(argparse.Action):
    """Collect KEY=VALUE words of all occurrences of a flag."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for word in values:
            if '=' not in word:
                parser.error(
                    f'{option_string}: expected KEY=VALUE, got {word!r}'
                )
        words = getattr(namespace, self.dest)
        setattr(namespace, self.dest, words + values)


def config_options(words: Sequence[str]) -> dict[str, object]:
    """Read KEY=VALUE words; MMEngine is imported only now."""
    from flower_mm.cli.config_options import parse_config_options

    return parse_config_options(words)

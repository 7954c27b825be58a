"""The command line of a training run, for train.py and doctor.py."""

import argparse
import ast
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from mmengine.config import DictAction

from flower_mm import cli

_ENTRY = re.compile(r"""['"]?\w+['"]?:""")
_ENTRIES = re.compile(rf'{{{_ENTRY.pattern}.*}}', re.DOTALL)
_DICT = (
    "dicts in quotes as Python has them, \"KEY={'a': 1, 'b': 2}\", or "
    'KEY.a=1 KEY.b=2'
)


class Options(DictAction):
    """KEY=VALUE words, as MMEngine reads them; others are the user's mistake.

    A value with a dict is read as Python, which MMEngine would split at its
    commas. MMEngine takes blanks out of a value: a path needs a flag of its
    own. The words themselves are kept in `cfg_options_words`, to be printed
    again.
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        for word in values:
            if '=' not in word:
                parser.error(f'{option_string}: {word!r} is not KEY=VALUE')
        try:
            _refuse_split_dicts(values)
            super().__call__(parser, namespace, values, option_string)
        except (AssertionError, ValueError) as error:  # brackets, dicts
            parser.error(f'{option_string}: {error}')
        except RecursionError:  # a comma in other brackets than a list's
            parser.error(
                f'{option_string}: invalid value in {" ".join(values)}: '
                f'expected numbers, words, lists, tuples and {_DICT}'
            )
        words = f'{self.dest}_words'
        setattr(namespace, words, getattr(namespace, words, []) + values)

    @staticmethod
    def _parse_iterable(val: str) -> object:
        if '{' not in val:
            return DictAction._parse_iterable(val)
        text = val.strip('\'" ')
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            value = ast.literal_eval(text)
            if any(isinstance(leaf, dict) for leaf in _leaves(value)):
                bare = isinstance(value, tuple) and not text.startswith('(')
                return list(value) if bare else value
        value = DictAction._parse_iterable(val)
        if any(map(_is_part_of_dict, _leaves(value))):
            raise ValueError(f'invalid value {val[:200]!r}: expected {_DICT}')
        return value


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _is_part_of_dict(leaf: object) -> bool:
    """Whether it was a dict, or was cut out of one at a comma."""
    return isinstance(leaf, str) and (
        leaf.count('{') != leaf.count('}') or bool(_ENTRIES.fullmatch(leaf))
    )


def _refuse_split_dicts(words: list[str]) -> None:
    """Stop at KEY={'a':1,'b':2} without quotes, which a shell makes two of."""
    pairs = [word.partition('=')[::2] for word in words]
    counts = Counter(key for key, value in pairs if _ENTRY.match(value))
    for key, count in counts.items():
        if count > 1:
            raise ValueError(
                f'{count} values of {key} look like a dict that the shell has '
                f'split: expected {_DICT}'
            )


def add_training_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--data-root',
        help='dataset folder that tools/prepare_dataset.py made; the '
        "config's by default",
    )
    parser.add_argument(
        '--work-dir',
        help='where results go; work_dirs/<config name> by default',
    )
    parser.add_argument(
        '--seed', type=cli.seed, help='seed of all random draws'
    )
    parser.add_argument(
        '--device',
        default='auto',
        help='auto, cpu, cuda, cuda:N or mps',
    )
    parser.add_argument(
        '--weights',
        help='to start from: a file, or a name that tools/get_weights.py '
        "lists; the config's by default",
    )
    parser.add_argument(
        '--from-scratch',
        action='store_true',
        help='start from random weights instead of pretrained ones',
    )
    parser.add_argument(
        '--head-only',
        action='store_true',
        help='fit the last layer on the pretrained backbone in one pass over '
        'the photos, and train nothing else',
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from this checkpoint, or from the last one of the '
        'work dir',
    )
    parser.add_argument(
        '--resume-anyway',
        action='store_true',
        help='resume although photos, classes, model or schedule differ',
    )
    parser.add_argument(
        '--folds',
        type=cli.count,
        metavar='K',
        help='train K times, each time without another Kth of the photos of '
        'train and val, and predict those',
    )
    parser.add_argument(
        '--retry-nan',
        type=cli.count,
        metavar='N',
        help='where the loss is no number, go back to the last checkpoint '
        'with a tenth of the rate, at most N times',
    )
    parser.add_argument(
        '--skip-broken',
        action='store_true',
        help='leave out and count photos that cannot be loaded any more, '
        'instead of stopping',
    )
    parser.add_argument(
        '--accumulate',
        type=cli.count,
        default=1,
        metavar='N',
        help='each batch in N parts, for a Nth of the memory',
    )
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: float16 on a GPU, bfloat16 on a CPU',
    )
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='do not validate, and so keep no best.pth',
    )
    parser.add_argument(
        '--no-report',
        action='store_true',
        help='write no report.html at the end',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the rate by the total batch size over the config's",
    )
    parser.add_argument('--no-pin-memory', action='store_true')
    parser.add_argument('--no-persistent-workers', action='store_true')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=Options,
        metavar='KEY=VALUE',
        help='override settings of the config, '
        'e.g. train_cfg.max_epochs=5 optim_wrapper.optimizer.lr=1e-4',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run were started',
    )
    parser.add_argument(
        '--local_rank',
        '--local-rank',
        type=int,
        default=0,
        help=argparse.SUPPRESS,
    )

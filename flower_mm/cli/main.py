"""The `flower-mm` command, and the scripts in tools/ that are parts of it."""

import argparse
import difflib
import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import NoReturn

from flower_mm import __version__
from flower_mm.cli.completion import SHELLS, completion_script
from flower_mm.cli.parser import Parser
from flower_mm.cli.run_command import run
from flower_mm.commands import PROGRAM, command

# In the order of use. Each is a module beside this one, which is imported
# when the command is called.
COMMANDS = {
    'demo': 'draw photos of flowers to try the other commands on',
    'prepare': 'make a dataset from a folder or an archive of photos',
    'look': 'look at the photos of a dataset on one page',
    'weights': 'download pretrained weights',
    'pick': 'compare pretrained backbones on your photos',
    'check': 'check a training before it starts',
    'train': 'fine-tune a model on a dataset',
    'test': 'measure a checkpoint on the test split',
    'predict': 'classify photos',
    'similar': 'find training photos that are similar to a photo',
    'report': 'write the report of a training, or compare trainings',
    'review': 'review the labels of a dataset on a web page',
    'compare': 'train several configs with several seeds',
    'search': 'search for the settings that train best',
    'set': 'choose the working point of a model',
    'export': 'convert a model to ONNX, TorchScript or safetensors',
    'share': 'make a folder of a model for other people',
    'serve': 'classify photos on a web page of this machine',
}
EXAMPLES = f"""\
Options of a command: {PROGRAM} COMMAND --help

Train on your own photos, in one folder per class:
  {PROGRAM} prepare my_photos.zip --out data/mine
  {PROGRAM} train resnet50 --data data/mine
  {PROGRAM} predict work_dirs/resnet50_flower/best.pth new_photo.jpg

Without photos:
  {PROGRAM} demo
"""
ARGUMENTS: dict[int | str | None, str] = {
    None: '{0}',
    '?': '[{0}]',
    '*': '[{0} ...]',
    '+': '{0} [{0} ...]',
}


def main() -> None:
    """Run `flower-mm` with the words of the command line."""
    words = sys.argv[1:]
    if words and words[0] in COMMANDS:
        name, *words = words
        parser = Parser(prog=f'{PROGRAM} {name}')
        run(_fill(parser, name).run, parser, words)
    elif '--print-completion' in words:
        run(_print_completion, _whole_parser(), words)
    elif words and not words[0].startswith('-'):
        _refuse(words[0])
    else:
        _whole_parser().parse_args(words or ['--help'])


def tool(name: str) -> None:
    """Run a command as a script of its own."""
    parser = Parser()
    run(_fill(parser, name).run, parser)


def _refuse(word: str) -> NoReturn:
    near = difflib.get_close_matches(word, COMMANDS, n=1)
    expected = ', '.join(COMMANDS)
    _whole_parser().error(
        f'unknown command {word}: '
        + (f'did you mean {near[0]}?' if near else f'expected {expected}')
    )


def _whole_parser(filled: bool = False) -> Parser:
    """Return the parser of all commands, with their arguments if `filled`."""
    parser = Parser(
        prog=PROGRAM,
        usage='%(prog)s COMMAND [options]',
        description='Fine-tune image classifiers on your photos.',
        epilog=_as_typed(EXAMPLES),
    )
    parser.add_argument('--version', action='version', version=__version__)
    parser.add_argument(
        '--print-completion',
        choices=SHELLS,
        help='print the script that completes commands in a shell',
    )
    commands = parser.add_subparsers(
        title='commands', metavar='COMMAND', prog=PROGRAM
    )
    for name, text in COMMANDS.items():
        command_parser = commands.add_parser(name, help=text)
        if filled:
            _fill(command_parser, name)
    return parser


def _print_completion(args: argparse.Namespace) -> None:
    shell = args.print_completion
    print(completion_script(_whole_parser(filled=True), shell))


def _fill(parser: Parser, name: str) -> ModuleType:
    """Give a parser the arguments of a command; return the module."""
    module = importlib.import_module(f'flower_mm.cli.{name}')
    # Examples, which are lines of their own, are indented.
    text = re.sub(
        rf'(?m)^{PROGRAM} ', f'  {PROGRAM} ', inspect.getdoc(module) or ''
    )
    parser.description = _as_typed(text)
    module.add_arguments(parser)
    # All options would make a usage line as long as their help.
    parser.usage = ' '.join(['%(prog)s', *_required(parser), '[options]'])
    return module


def _required(parser: Parser) -> Iterator[str]:
    """The arguments and options of a usage line that have to be given."""
    for action in parser._actions:
        if not action.option_strings:
            yield ARGUMENTS[action.nargs].format(action.metavar)
        elif action.required:
            choices = ','.join(action.choices or ())
            value = action.metavar or f'{{{choices}}}'
            yield f'{action.option_strings[0]} {value}'


def _as_typed(text: str) -> str:
    """Give the examples in a text the form of the command that is running."""
    return re.sub(
        rf'^  {PROGRAM} (\w+)',
        lambda match: f'  {command(match[1])}',
        text,
        flags=re.MULTILINE,
    )

"""List the trainings of a comparison."""

import argparse
import ast
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from mmengine.config import Config

from flower_mm.annotations import lists_sha256
from flower_mm.auto_schedule import AUTO, require_epochs
from flower_mm.commands import command
from flower_mm.config import (
    data_root,
    read_config,
    resolve,
)
from flower_mm.engine.distributed import use_device
from flower_mm.engine.hooks.pretrained import find_weights
from flower_mm.engine.resolved_run import with_command_line
from flower_mm.engine.run_identity import FREE
from flower_mm.errors import UserError
from flower_mm.sweep.trial import Trial
from flower_mm.user_modules import folder_of_modules
from flower_mm.weights.file_hash import sha256_of

# Flags of `train` that are passed on.
SWITCHES = ('from_scratch', 'head_only', 'amp')

ParseTraining = Callable[[list[str]], argparse.Namespace]


def plan_trials(
    args: argparse.Namespace, parse_training: ParseTraining
) -> list[Trial]:
    """Return each config with each seed, all configs of a seed in turn.

    All configs are read before the first training begins, so that later edits
    have no effect.
    """
    device = check_arguments(args)
    flags, debug = training_flags(args), ['--debug'] if args.debug else []
    as_read = {config: read_for(config, args) for config in args.configs}
    texts = {config: as_file(cfg, config) for config, cfg in as_read.items()}
    configs = {}
    for config, cfg in as_read.items():
        words = [config, *flags, '--device', args.device[0]]
        configs[config] = with_flags(cfg, config, parse_training(words))
    require_same_photos(configs)
    return [
        Trial(
            config=Path(config),
            seed=seed,
            epochs=1
            if args.head_only
            else resolve(cfg).cfg.train_cfg.max_epochs,
            folder=Path(args.out)
            / f'{Path(config).stem}-{digest(cfg, device)}'
            / f'seed_{seed}',
            text=texts[config],
            flags=(*flags, *debug, '--seed', str(seed)),
        )
        for seed in args.seeds
        for config, cfg in configs.items()
    ]


def check_arguments(args: argparse.Namespace) -> str:
    """Refuse an invalid comparison; return the kind of device."""
    names = [Path(config).stem for config in args.configs]
    for kind, values in (('config name', names), ('seed', args.seeds)):
        value, number = Counter(values).most_common(1)[0]
        if number > 1:
            raise UserError(
                f'duplicate {kind}: expected each once, got {value} {number} '
                'times'
            )
    kinds = {use_device(device, launcher='none') for device in args.device}
    if len(kinds) > 1:
        raise UserError(
            f'different kinds of devices: {" and ".join(args.device)} differ '
            'in speed and precision.\nName devices of one kind'
        )
    if args.head_only and args.epochs:
        raise UserError(
            '--epochs has no effect with --head-only, which fits the last '
            'layer in one pass.\nOmit one of them'
        )
    return kinds.pop()


def training_flags(args: argparse.Namespace) -> list[str]:
    """Return the arguments of `train` besides the config."""
    flags = ['--no-report']
    flags += [f'--{s.replace("_", "-")}' for s in SWITCHES if getattr(args, s)]
    for flag in ('data_root', 'weights', 'retry_nan'):
        if value := getattr(args, flag):
            flags += [f'--{flag.replace("_", "-")}', str(value)]
    return flags


def read_for(config: str, args: argparse.Namespace) -> Config:
    options = dict(args.cfg_options or {})
    if args.epochs:
        options['train_cfg.max_epochs'] = args.epochs
    cfg = read_config(config, options)
    if args.epochs and isinstance(cfg.get('param_scheduler'), list):
        # MMEngine refuses schedulers that begin after the last epoch.
        cfg.param_scheduler = [
            scheduler
            for scheduler in cfg.param_scheduler
            if not scheduler.get('by_epoch', True)
            or scheduler.get('begin') in (None, AUTO)
            or scheduler.begin < args.epochs
        ]
    return cfg


class _FloatNames(ast.NodeTransformer):
    """Replace inf and nan, as repr() writes them, by valid Python."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in ('inf', 'nan'):
            return node
        return ast.parse(f'float({node.id!r})', mode='eval').body


def as_file(cfg: Config, config: str) -> str:
    """Return the text of a config file that is read as the same config."""
    content = cfg.to_dict()
    if not _is_readable(content):
        keys = [k for k in content if not _is_readable({k: content[k]})]
        raise UserError(
            f'{config} cannot be copied into a file: expected text, numbers, '
            f'lists and dictionaries, got other values in {", ".join(keys)}.\n'
            'Write a path as text: str(…)'
        )
    folder = folder_of_modules(cfg)
    # The copy is in another folder than the modules.
    path = (
        f'import sys\n\nsys.path.append({str(folder)!r})\n' if folder else ''
    )
    return path + _python(cfg)


def _is_readable(part: dict) -> bool:
    cfg = Config(part)
    object.__setattr__(cfg, '_format_python_code', False)
    try:
        read = Config.fromstring(_python(cfg), '.py')
    except Exception:  # the text of a value is executed as Python
        return False
    return _decisive(read.to_dict()) == _decisive(part)


def _python(cfg: Config) -> str:
    text = cfg.pretty_text
    names = {'inf', 'nan'} & set(re.findall(r'\w+', text))
    return ast.unparse(_FloatNames().visit(ast.parse(text))) if names else text


def with_flags(cfg: Config, config: str, args: argparse.Namespace) -> Config:
    """Return a config with the flags of its training applied."""
    require_epochs(cfg)
    if cfg.get('runner_type') != 'FlowerRunner':
        raise UserError(
            f"invalid runner_type in {config}: expected 'FlowerRunner', which "
            f'writes run.json, got {cfg.get("runner_type")!r}'
        )
    cfg = with_command_line(cfg, args)
    hook = cfg.default_hooks.get('pretrained')
    if hook:
        weights = find_weights(hook.weights)
        if not weights.is_file():
            raise UserError(
                f'the weights of {config} are missing: {weights}.\n'
                f'Name a file or one of {command("weights", "--list")}: '
                '--weights NAME'
            )
    return cfg


def require_same_photos(configs: dict[str, Config]) -> None:
    (first, cfg), *others = configs.items()
    photos = lists_sha256(data_root(cfg))
    for config, other in others:
        if lists_sha256(data_root(other)) != photos:
            raise UserError(
                f'different datasets: {data_root(cfg)} in {first}, '
                f'{data_root(other)} in {config}.\n'
                'Name one for all: --data FOLDER'
            )


def _weights(cfg: Config) -> list[Path]:
    """Return the files that the training starts from."""
    hook, load_from = cfg.default_hooks.get('pretrained'), cfg.get('load_from')
    paths = [find_weights(hook.weights)] if hook else []
    if load_from:
        paths.append(Path(load_from))
    return [path for path in paths if path.is_file()]


def digest(cfg: Config, device: str) -> str:
    """Return eight digits that identify a training except for its seed."""
    photos = lists_sha256(data_root(cfg))
    # By content, independent of the name.
    weights = [sha256_of(path) for path in _weights(cfg)]
    content = cfg.to_dict()
    content['load_from'] = None
    if hook := content['default_hooks'].get('pretrained'):
        hook['weights'] = None
    text = json.dumps([_decisive(content), photos, weights, device])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _decisive(part: object) -> object:
    """Return a part of a config without keys that leave results unchanged."""
    if isinstance(part, dict):
        return {
            str(key): _decisive(value)
            for key, value in sorted(
                part.items(), key=lambda item: str(item[0])
            )
            if key not in (*FREE, 'work_dir')
        }
    if isinstance(part, (list, tuple)):
        return [_decisive(value) for value in part]
    if isinstance(part, (set, frozenset)):
        return sorted(map(repr, part))  # in a fixed order
    if isinstance(part, (str, int, type(None))):
        return part
    return repr(part)

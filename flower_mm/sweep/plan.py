"""Which trainings a comparison consists of."""

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
from flower_mm.commands import command
from flower_mm.config import data_root, read_config, require_epochs
from flower_mm.engine.distributed import use_device
from flower_mm.engine.hooks.pretrained import find_weights
from flower_mm.engine.resolved_run import with_command_line
from flower_mm.engine.run_identity import FREE
from flower_mm.errors import UserError
from flower_mm.sweep.trial import Trial
from flower_mm.user_modules import folder_of_modules
from flower_mm.weights.file_hash import sha256_of

# Flags of train.py that are passed on as they stand.
SWITCHES = ('from_scratch', 'head_only', 'amp')


ParseTraining = Callable[[list[str]], argparse.Namespace]


def plan(
    args: argparse.Namespace, parse_training: ParseTraining
) -> list[Trial]:
    """Every config with every seed; seeds in turn, so that early rows tell.

    All configs are read before the first training begins, and as they are
    then each of their trainings has them.
    """
    device = _refuse(args)
    flags, debug = _flags(args), ['--debug'] if args.debug else []
    as_read = {config: _read(config, args) for config in args.configs}
    texts = {config: _text(cfg, config) for config, cfg in as_read.items()}
    configs = {}
    for config, cfg in as_read.items():
        words = [config, *flags, '--device', args.device[0]]
        configs[config] = _with_flags(cfg, config, parse_training(words))
    _require_same_photos(configs)
    return [
        Trial(
            config=Path(config),
            seed=seed,
            epochs=1 if args.head_only else cfg.train_cfg.max_epochs,
            folder=Path(args.out)
            / f'{Path(config).stem}-{_digest(cfg, device)}'
            / f'seed_{seed}',
            text=texts[config],
            flags=(*flags, *debug, '--seed', str(seed)),
        )
        for seed in args.seeds
        for config, cfg in configs.items()
    ]


def _refuse(args: argparse.Namespace) -> str:
    """Stop at what cannot be compared; return the kind of device."""
    names = Counter(Path(config).stem for config in args.configs)
    for what, counted in (('config', names), ('seed', Counter(args.seeds))):
        for name, number in counted.items():
            if number > 1:
                raise UserError(
                    f'{number} times the {what} {name}: a run is told by the '
                    "name of its config's file and its seed, so each once"
                )
    kinds = {use_device(device, launcher='none') for device in args.device}
    if len(kinds) > 1:
        raise UserError(
            f'{" and ".join(args.device)} differ in speed and precision: '
            'devices of one kind'
        )
    if args.head_only and args.epochs:
        raise UserError(
            '--head-only fits the last layer in one pass: without --epochs'
        )
    return kinds.pop()


def _flags(args: argparse.Namespace) -> list[str]:
    """What train.py gets besides a config."""
    flags = ['--no-report']
    flags += [f'--{s.replace("_", "-")}' for s in SWITCHES if getattr(args, s)]
    for flag in ('data_root', 'weights', 'retry_nan'):
        if value := getattr(args, flag):
            flags += [f'--{flag.replace("_", "-")}', str(value)]
    return flags


def _read(config: str, args: argparse.Namespace) -> Config:
    options = dict(args.cfg_options or {})
    if args.epochs:
        options['train_cfg.max_epochs'] = args.epochs
    cfg = read_config(config, options)
    if args.epochs and isinstance(cfg.get('param_scheduler'), list):
        # What a shorter run never comes to, and MMEngine refuses.
        cfg.param_scheduler = [
            one
            for one in cfg.param_scheduler
            if not one.get('by_epoch', True)
            or one.get('begin', 0) < args.epochs
        ]
    return cfg


class _Spelled(ast.NodeTransformer):
    """Infinities and NaN as Python can read them, which repr() does not."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id not in ('inf', 'nan'):
            return node
        return ast.parse(f'float({node.id!r})', mode='eval').body


def _text(cfg: Config, config: str) -> str:
    """The config as a file that reads as the same config."""
    whole = cfg.to_dict()
    if not _survives(whole):
        lost = [key for key in whole if not _survives({key: whole[key]})]
        raise UserError(
            f'{config} cannot be compared: {", ".join(lost)} holds what does '
            'not survive being written into a config file. Text, numbers, '
            'lists and dictionaries do, and of a path its text: str(…)'
        )
    folder = folder_of_modules(cfg)
    # It is trained from another folder.
    path = (
        f'import sys\n\nsys.path.append({str(folder)!r})\n' if folder else ''
    )
    return path + _written(cfg)


def _survives(part: dict) -> bool:
    cfg = Config(part)
    object.__setattr__(cfg, '_format_python_code', False)
    try:
        read = Config.fromstring(_written(cfg), '.py')
    # It may be written as any text, and is run as that.
    except Exception:
        return False
    return _decisive(read.to_dict()) == _decisive(part)


def _written(cfg: Config) -> str:
    text = cfg.pretty_text
    names = {'inf', 'nan'} & set(re.findall(r'\w+', text))
    return ast.unparse(_Spelled().visit(ast.parse(text))) if names else text


def _with_flags(cfg: Config, config: str, args: argparse.Namespace) -> Config:
    """Return a config with the flags of its training applied."""
    require_epochs(cfg)
    if cfg.get('runner_type') != 'FlowerRunner':
        raise UserError(
            f"{config} is for MMEngine's own Runner, which writes no "
            "run.json: runner_type = 'FlowerRunner'"
        )
    cfg = with_command_line(cfg, args)
    hook = cfg.default_hooks.get('pretrained')
    if hook:
        weights = find_weights(hook.weights)
        if not weights.is_file():
            raise UserError(
                f'{config}: there are no weights {weights}: --weights FILE, '
                f'or a name that {command("weights", "--list")} shows'
            )
    return cfg


def _require_same_photos(configs: dict[str, Config]) -> None:
    (first, cfg), *others = configs.items()
    photos = lists_sha256(data_root(cfg))
    for config, other in others:
        if lists_sha256(data_root(other)) != photos:
            raise UserError(
                f'{first} is about the photos in {data_root(cfg)}, {config} '
                f'about those in {data_root(other)}: for one dataset, '
                '--data-root FOLDER'
            )


def _weights(cfg: Config) -> list[Path]:
    """The files that training starts from."""
    hook, load_from = cfg.default_hooks.get('pretrained'), cfg.get('load_from')
    found = [find_weights(hook.weights)] if hook else []
    if load_from:
        found.append(Path(load_from))
    return [path for path in found if path.is_file()]


def _digest(cfg: Config, device: str) -> str:
    """Eight digits that tell trainings apart, but for their seed."""
    photos = lists_sha256(data_root(cfg))
    # By their bytes: not another file under the same name, but the same one
    # under another.
    weights = [sha256_of(path) for path in _weights(cfg)]
    whole = cfg.to_dict()
    whole['load_from'] = None
    if hook := whole['default_hooks'].get('pretrained'):
        hook['weights'] = None
    text = json.dumps([_decisive(whole), photos, weights, device])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _decisive(part: object) -> object:
    """A piece of config without what changes nothing."""
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
        return sorted(map(repr, part))  # in the same order each time
    if isinstance(part, (str, int, type(None))):
        return part
    return repr(part)

"""The argument parser of a command, which corrects unknown flags."""

import argparse
import difflib
from collections.abc import Iterable
from typing import Any, NoReturn

from flower_mm.exit_codes import USER_ERROR

# What other tools and MMPretrain's configs call it: our flag, or the config
# key for --cfg-options.
OTHER_NAMES = {
    'base-lr': '--lr',
    'batch': '--batch-size',
    'bs': '--batch-size',
    'class-weight': 'model.head.loss.class_weight',
    'data-dir': '--data-root',
    'dropout': 'model.head.dropout_rate',
    'ema': 'default_hooks.ema',
    'early-stopping': '--patience',
    'freeze': 'model.backbone.frozen_stages',
    'frozen-stages': 'model.backbone.frozen_stages',
    'drop-path-rate': 'model.backbone.drop_path_rate',
    'gpu': '--device',
    'gpu-id': '--device',
    'img-size': '--image-size',
    'imgsz': '--image-size',
    'input-size': '--image-size',
    'label-smoothing': 'model.head.loss.label_smooth_val',
    'smoothing': 'model.head.loss.label_smooth_val',
    'learning-rate': '--lr',
    'lr0': '--lr',
    'load-from': '--weights',
    'max-epochs': '--epochs',
    'model': '--backbone',
    'momentum': 'optim_wrapper.optimizer.momentum',
    'num-workers': '--workers',
    'opt': 'optim_wrapper.optimizer.type',
    'optimizer': 'optim_wrapper.optimizer.type',
    'output': '--work-dir',
    'output-dir': '--work-dir',
    'precision': 'precision',
    'pretrained': '--weights',
    'project': '--work-dir',
    'save-period': 'default_hooks.checkpoint.interval',
    'val-interval': 'train_cfg.val_interval',
    'wd': 'optim_wrapper.optimizer.weight_decay',
    'weight-decay': 'optim_wrapper.optimizer.weight_decay',
}


class Parser(argparse.ArgumentParser):
    """A parser that names the flag that an unknown one probably stands for."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            formatter_class=argparse.RawDescriptionHelpFormatter, **kwargs
        )

    def parse_args(
        self,
        args: Iterable[str] | None = None,
        namespace: Any = None,
    ) -> Any:
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            flags = [word for word in unknown if word.startswith('-')]
            self.error('\n'.join(map(self._unknown, flags or unknown)))
        return parsed

    def error(self, message: str) -> NoReturn:
        fix = f'All flags: {self.prog} --help'
        self.exit(USER_ERROR, f'error: {message}\n{fix}\n')

    def _unknown(self, word: str) -> str:
        flag, _, value = word.partition('=')
        if not flag.startswith('-'):
            return f'unexpected argument: {word}'
        near = self._nearest(flag)
        message = f'unknown flag {flag}'
        if near.startswith('-'):
            return f'{message}: did you mean {near}?'
        if near:
            return (
                f'{message}: did you mean --cfg-options '
                f'{near}={value or "VALUE"}?'
            )
        return message

    def _nearest(self, flag: str) -> str:
        """Return the nearest flag of ours or config key; '' for none."""
        ours = {
            option.lstrip('-'): option
            for action in self._actions
            for option in action.option_strings
            if action.help != argparse.SUPPRESS
        }
        others = {
            name: meant
            for name, meant in OTHER_NAMES.items()
            if meant in ours.values()
            or ('--cfg-options' in ours.values() and meant[0] != '-')
        }
        names = others | ours
        if '.' in flag and '--cfg-options' in ours.values():
            return flag.lstrip('-')
        word = flag.lstrip('-').replace('_', '-').lower()
        near = difflib.get_close_matches(word, names, n=1, cutoff=0.75)
        return names[near[0]] if near else ''

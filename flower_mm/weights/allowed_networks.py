"""The networks of timm and Hugging Face that a file may ask for.

Each list has the arguments that a class of ours or of MMPretrain hands on to
the library, which would take files and addresses as well.
"""

import re
from pathlib import Path
from typing import TypeGuard

from flower_mm.weights.allowed_values import (
    Check,
    choice,
    either,
    integer,
    is_flag,
    is_word,
    number,
    optional,
    some,
)

LONGEST_NAME = 100  # characters
_side = integer(1, 4096)
TIMM: dict[str, Check] = {
    'checkpoint_path': choice(''),
    'drop_path_rate': optional(number(0, 1)),
    'drop_rate': optional(number(0, 1)),
    'features_only': is_flag,
    'global_pool': is_word,
    'img_size': either(_side, some(_side, 2, 2)),
    'in_channels': integer(1, 64),
    'in_chans': integer(1, 64),
    'num_classes': integer(0, 100_000),
    'out_indices': some(integer(-64, 64), 1, 64),
    'output_stride': choice(8, 16, 32),
    'with_cp': is_flag,
}
TIMM_BACKBONE: dict[str, Check] = {
    'drop_path_rate': optional(number(0, 1)),
    'frozen_stages': integer(-1, 1000),
    'img_size': optional(_side),
    'lora_rank': integer(0, 1024),
    'with_cp': is_flag,
}
HUGGING_FACE: dict[str, Check] = {
    'ignore_mismatched_sizes': is_flag,
    'num_labels': integer(1, 100_000),
    'with_cp': is_flag,
}
_TIMM_NAME = re.compile(r'\w+(\.\w+)?', re.ASCII)
_REPOSITORY = re.compile(r'\w[\w.-]*(/\w[\w.-]*)?', re.ASCII)


def is_timm_name(name: object) -> bool:
    """Whether timm lists it; it also takes addresses and folders."""
    import timm

    return (
        _is_short(name)
        and _TIMM_NAME.fullmatch(name) is not None
        and name.partition('.')[0] in timm.list_models()
    )


def is_repository(name: object) -> bool:
    """Whether it is the name of a repository, and not of a folder here.

    transformers prefers a folder of that name.
    """
    return (
        _is_short(name)
        and _REPOSITORY.fullmatch(name) is not None
        and not Path(name).exists()
    )


def _is_short(name: object) -> TypeGuard[str]:
    return type(name) is str and len(name) <= LONGEST_NAME

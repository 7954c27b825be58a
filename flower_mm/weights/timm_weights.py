"""Pretrained weights of timm by timm's own names, such as timm/test_vit."""

import re

from flower_mm.errors import UserError
from flower_mm.timm_record import record_of
from flower_mm.weights.pretrained_table import (
    TIMM_PREFIX,
    Entry,
    Home,
    HubHome,
    Preprocessing,
    UrlHome,
)

HASH_IN_NAME = re.compile(r'-([0-9a-f]{8})\.(pth|safetensors)$')


def timm_entry(name: str) -> Entry:
    """Return the homes that timm's record of a network names."""
    record = record_of(name.removeprefix(TIMM_PREFIX))
    model = f'{record.architecture}.{record.tag}'.removesuffix('.')
    homes: list[Home] = []
    hub_file = record.hf_hub_filename or 'model.safetensors'
    repo, _, revision = (record.hf_hub_id or '').partition('@')
    if repo and hub_file.endswith('.safetensors'):
        homes.append(
            HubHome(
                source='timm on Hugging Face',
                licence=record.license or 'unknown',
                file=f'{model}.safetensors',
                repo=repo,
                revision=revision or 'main',
                hub_file=hub_file,
            )
        )
    url = record.url if isinstance(record.url, str) else ''
    digits = HASH_IN_NAME.search(url)
    if digits and url.startswith('https://'):
        homes.append(
            UrlHome(
                source='the authors of the weights',
                licence=record.license or 'unknown',
                file=url.rpartition('/')[2],
                sha256=digits[1],
                url=url,
            )
        )
    if not homes:
        raise UserError(
            f'timm names no pretrained weights of {model} that can be '
            'verified.\nPut a file there yourself: --weights FILE'
        )
    return Entry(
        name=f'{TIMM_PREFIX}{model}',
        architecture=model,
        parameters=0,
        homes=tuple(homes),
        preprocessing=Preprocessing(
            mean=tuple(round(255 * value, 4) for value in record.mean),
            std=tuple(round(255 * value, 4) for value in record.std),
            interpolation=record.interpolation,
            size=record.input_size[-1],
            crop=record.crop_pct,
        ),
        timm_model=model,
    )

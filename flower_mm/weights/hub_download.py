"""Weights on the Hugging Face hub, as safetensors.

huggingface_hub serves HF_ENDPOINT, HF_HOME with its shared cache, HF_TOKEN
and proxies. It is imported when it is needed, which takes 0.7 s.
"""

import functools
import os
import re
import shutil
from pathlib import Path

from flower_mm.errors import printable
from flower_mm.files import NO_ROOM
from flower_mm.weights.file_hash import sha256_of
from flower_mm.weights.pretrained_table import (
    HomeError,
    HubHome,
    UnreachableError,
)

OFFLINE = 'HF_HUB_OFFLINE'  # which all libraries of Hugging Face read
LARGEST = 20e9  # bytes
SHA256 = re.compile('[0-9a-f]{64}')


def is_offline() -> bool:
    """Return whether downloads are switched off."""
    return os.environ.get(OFFLINE, '').upper() in ('1', 'ON', 'YES', 'TRUE')


def switch_off_downloads() -> None:
    """Forbid downloads in this process and in those that it starts."""
    os.environ[OFFLINE] = '1'


def download(home: HubHome, part: Path) -> str:
    """Copy the file into `part`; return the SHA-256 that the hub publishes.

    Offline, the file is taken from the cache of huggingface_hub.
    """
    from huggingface_hub import errors

    try:
        path, digest = _cached(home) if is_offline() else _downloaded(home)
    except (OSError, ValueError, errors.HTTPError) as error:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise
        text = str(error).strip() or type(error).__name__
        # ValueError: an answer that is refused, or a file not in the cache.
        has_answered = isinstance(error, ValueError) or hasattr(
            error, 'response'
        )
        kind = HomeError if has_answered else UnreachableError
        raise kind(printable(text.splitlines()[0])) from error
    shutil.copyfile(path, part)
    return digest


def _downloaded(home: HubHome) -> tuple[str, str]:
    """Return the file in the shared cache, and its published SHA-256."""
    from huggingface_hub import (
        get_hf_file_metadata,
        hf_hub_download,
        hf_hub_url,
    )

    endpoint = os.environ.get('HF_ENDPOINT') or None
    metadata = get_hf_file_metadata(
        hf_hub_url(
            home.repo,
            home.hub_file,
            revision=home.revision,
            endpoint=endpoint,
        ),
        endpoint=endpoint,
    )
    # Of a file in Git LFS or Xet; of any other it is a Git object's SHA-1.
    digest = metadata.etag or ''
    if not SHA256.fullmatch(digest):
        raise ValueError(f'{home.address} publishes no sha256 of its file')
    size = metadata.size or 0
    if size > LARGEST:
        raise ValueError(f'{home.address}: {size / 1e9:.0f} GB')
    hub_file = functools.partial(
        hf_hub_download,
        home.repo,
        home.hub_file,
        # By the name of the branch, as which the cache finds it offline.
        revision=home.revision,
        endpoint=endpoint,
    )
    path = hub_file()
    if sha256_of(Path(path)) != digest:  # a damaged cache
        path = hub_file(force_download=True)
    return path, digest


def _cached(home: HubHome) -> tuple[str, str]:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(
        home.repo, home.hub_file, revision=home.revision
    )
    if isinstance(path, str):
        # The cache stores a file under its SHA-256 and links to it.
        digest = Path(path).resolve().name
        if SHA256.fullmatch(digest):
            return path, digest
    raise ValueError(f'{home.address} is not in the cache')

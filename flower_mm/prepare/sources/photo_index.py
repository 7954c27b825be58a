"""Find the photo that a path in a table means.

Only files of the listed folder can be found, so that no path leads out of it.
"""

import os
import posixpath
import re
from collections import defaultdict
from pathlib import Path, PurePosixPath

from flower_mm.plain_text import shorten
from flower_mm.prepare.file_tree import FileTree, is_photo_name
from flower_mm.prepare.photo import nfc
from flower_mm.prepare.sources.listing import TABLE, is_url, refusal


class PhotoIndex:
    """The photos of a folder or an archive.

    Args:
        tree: Its files.
        root: The folder, for paths that begin with it; None for an archive.
    """

    def __init__(self, tree: FileTree, root: Path | None) -> None:
        self.files = tree.files
        self._roots = [root.absolute(), root.resolve()] if root else []
        # Paths by the last part of their name, with and without suffix.
        self._by_name: dict[str, list[str]] = defaultdict(list)
        for path in tree.files:
            if is_photo_name(path):
                name = PurePosixPath(_key(path))
                for key in {name.name, name.stem}:
                    self._by_name[key].append(path)

    def find(self, text: str, where: str, base: str = '') -> list[str]:
        """Return the paths of the photos in the tree that `text` can mean.

        `base` is the folder of the table, '' or such as 'a/'. The text may
        lack outer folders and the suffix. Raises UserError for
        an address and for a path outside the folder; `where` names the place
        of the text.
        """
        if is_url(text):
            raise refusal(
                f'{where}: {shorten(text)} is a URL: expected a file.\n'
                'Download the photos first',
                TABLE,
            )
        path = self._inside(text.replace('\\', '/'), base)
        if path is None:
            raise refusal(
                f'{where}: {shorten(text)} lies outside the folder of the '
                'photos: expected a path in it.\n'
                'Name that folder: --images FOLDER',
                TABLE,
            )
        if path in self.files:
            return [path]
        return self._by_ending(path.removeprefix(base))

    def _inside(self, path: str, base: str) -> str | None:
        """Return a path below the root; None if it leads out."""
        if path.startswith('/') or re.match('[a-zA-Z]:', path):
            path = os.path.normpath(path)
            for root in self._roots:
                if Path(path).is_relative_to(root):
                    return Path(path).relative_to(root).as_posix()
            return None
        path = posixpath.normpath(base + path)
        return None if path.split('/')[0] == '..' else path

    def _by_ending(self, path: str) -> list[str]:
        wanted = f'/{_key(path)}'
        photos = [
            photo
            for photo in self._by_name.get(wanted.rpartition('/')[2], ())
            if f'/{_key(photo)}'.endswith(wanted)
            or f'/{PurePosixPath(_key(photo)).with_suffix("")}'.endswith(
                wanted
            )
        ]
        same_case = [p for p in photos if f'/{p}'.endswith(f'/{path}')]
        return same_case or photos


def _key(path: str) -> str:
    return nfc(path).casefold()

"""Class folders, and split folders of class folders.

    photos/daisy/a.jpg               photos/train/daisy/a.jpg
    photos/rose/b.jpg                photos/val/rose/b.jpg

A photo in a folder inside a class folder belongs to that class. Folders
around the class folders are stepped into.
"""

from collections import defaultdict
from collections.abc import Iterator

from flower_mm.plain_text import escape_controls
from flower_mm.prepare.file_tree import FileTree, is_photo_name
from flower_mm.prepare.photo import Photo
from flower_mm.prepare.sources.listing import (
    BAD_NAME,
    CLASS_FOLDERS,
    SPLIT_FOLDERS,
    SPLIT_NAMES,
    TABLE,
    Listing,
    Source,
    class_names,
    refusal,
)

OUTSIDE = 'outside the class folders'
SHOWN = 5  # names in a message


def find_class_folders(source: Source) -> Listing:
    """Take the folders of the source as classes; this is the last format."""
    base = folder_of_classes(source.tree)
    tops = _folders_in(source.tree, base)
    if not tops:
        raise refusal(
            f'{source.path} has no class folders: expected one folder per '
            f'class, e.g. {source.path / "daisy" / "photo.jpg"}',
            CLASS_FOLDERS,
            TABLE,
        )
    splits = {SPLIT_NAMES.get(top.casefold()) for top in tops}
    if 'train' in splits and len(splits - {None}) > 1:
        raise refusal(
            f'{source.path} has photos in {", ".join(tops[:SHOWN])}, without '
            'class folders in these: expected e.g. '
            f'{source.path / "train" / "daisy" / "photo.jpg"}',
            SPLIT_FOLDERS,
            TABLE,
        )
    listing = Listing(CLASS_FOLDERS, [], [], base=base)
    _list_photos(source, listing, {top: ('', top) for top in tops})
    return listing


def find_split_folders(source: Source) -> Listing | None:
    """Take the class folders in folders such as train and val."""
    base = folder_of_classes(source.tree)
    split_of = {
        top: SPLIT_NAMES[top.casefold()]
        for top in _folders_in(source.tree, base)
        if top.casefold() in SPLIT_NAMES
    }
    if 'train' not in split_of.values() or len(split_of) < 2:
        return None
    folders = {
        f'{top}/{name}': (split, name)
        for top, split in split_of.items()
        for name in _folders_in(source.tree, f'{base}{top}/')
    }
    if not any(split == 'train' for split, _ in folders.values()):
        return None  # photos of all classes are together
    _refuse_two_folders(split_of, source)
    _refuse_other_classes(folders, split_of, source)
    listing = Listing(SPLIT_FOLDERS, [], [], base=base)
    _list_photos(source, listing, folders)
    return listing


def folder_of_classes(tree: FileTree) -> str:
    """Step into folders that contain one folder of folders only.

    Folders without photos do not count. Returns '' or a path such as 'a/b/'.
    """
    with_photos = {
        path.rpartition('/')[0] for path in tree.files if is_photo_name(path)
    }
    inner = defaultdict(set)
    for path in with_photos:
        while path:
            above = path.rpartition('/')[0]
            inner[above].add(path)
            path = above
    base = ''
    while len(inner[base]) == 1 and base not in with_photos:
        (only,) = inner[base]
        if only in with_photos or not inner[only]:
            break
        base = only
    return f'{base}/' if base else ''


def _folders_in(tree: FileTree, base: str) -> list[str]:
    return sorted(
        path.removeprefix(base)
        for path in tree.folders
        if path.startswith(base) and '/' not in path.removeprefix(base)
    )


class FolderPhotos:
    """The photos in class folders, made anew by each iteration.

    Args:
        tree: The files.
        base: The path of the folder around the class folders.
        folders: The split and the class of each class folder.
    """

    def __init__(
        self, tree: FileTree, base: str, folders: dict[str, tuple[str, str]]
    ) -> None:
        self.tree, self.base, self.folders = tree, base, folders
        self.label_of: dict[str, int] = {}  # by class
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Photo]:
        for path in self.tree.in_order():
            folder, below = self.locate(path)
            is_listed = is_photo_name(path) and escape_controls(below) == below
            if folder and is_listed:
                split, name = self.folders[folder]
                yield Photo(
                    below,
                    self.tree.place_of(path),
                    self.label_of[name],
                    split,
                    below[len(folder) + 1 :],
                )

    def locate(self, path: str) -> tuple[str, str]:
        """Return the class folder, '' for none, and the path at `base`."""
        below = path.removeprefix(self.base)
        if not path.startswith(self.base):
            return '', below
        return _folder_of(below, self.folders), below


def _list_photos(
    source: Source, listing: Listing, folders: dict[str, tuple[str, str]]
) -> None:
    """Fill the listing; `folders` maps a path to its split and class."""
    listing.photos = photos = FolderPhotos(source.tree, listing.base, folders)
    used = set()
    # Sorted, so that the result is independent of the file system's order.
    for path in source.tree.in_order():
        folder, below = photos.locate(path)
        shown = escape_controls(below)
        if not is_photo_name(path):
            listing.other_files.append(shown)
        elif not folder:
            listing.left_out[shown] = OUTSIDE
        elif shown != below:
            listing.bad[shown] = BAD_NAME
            used.add(_folder_of(shown, folders))
        else:
            used.add(folder)
            photos.count += 1
    _number_classes(source, listing, photos, used - {''})


def _folder_of(path: str, folders: dict[str, tuple[str, str]]) -> str:
    parts = path.split('/')
    for depth in (1, 2):
        folder = '/'.join(parts[:depth])
        if folder in folders and len(parts) > depth:
            return folder
    return ''


def _number_classes(
    source: Source, listing: Listing, photos: FolderPhotos, used: set[str]
) -> None:
    """Set the labels; leave out classes without a photo."""
    folders = photos.folders
    name_of = class_names(
        sorted({folders[folder][1] for folder in used}),
        str(source.path),
        'Rename the folder, or move its photos into the other',
    )
    listing.classes = sorted(name_of.values())
    index = {name: i for i, name in enumerate(listing.classes)}
    listing.folders = sorted(name_of, key=lambda top: index[name_of[top]])
    photos.label_of = {top: index[name] for top, name in name_of.items()}
    empty = sorted({name for _, name in folders.values()} - set(name_of))
    if empty:
        names = ', '.join(map(escape_controls, empty[:SHOWN]))
        more = f' and {len(empty) - SHOWN} more' * (len(empty) > SHOWN)
        listing.remarks.append(f'Folders without photos: {names}{more}')


def _refuse_two_folders(split_of: dict[str, str], source: Source) -> None:
    first: dict[str, str] = {}
    for top, split in split_of.items():
        if first.setdefault(split, top) != top:
            raise refusal(
                f'{source.path} has two folders for the split {split}: '
                f'{first[split]} and {top}.\nMove the photos of one into the '
                'other',
                SPLIT_FOLDERS,
            )


def _refuse_other_classes(
    folders: dict[str, tuple[str, str]],
    split_of: dict[str, str],
    source: Source,
) -> None:
    """Raise UserError if a split lacks a class of another one."""
    classes = {
        split: {name for of, name in folders.values() if of == split}
        for split in split_of.values()
    }
    every = set().union(*classes.values())
    faults = [
        f'{split} lacks {_some(every - names)}'
        for split, names in classes.items()
        if names and names != every
    ]
    if faults:
        raise refusal(
            f'{source.path}: the classes differ between the splits: '
            f'{"; ".join(faults)}.\nRename or add class folders, or put the '
            'photos of each class together',
            SPLIT_FOLDERS,
            CLASS_FOLDERS,
        )


def _some(names: set[str]) -> str:
    ordered = [escape_controls(name) for name in sorted(names)]
    rest = len(ordered) - SHOWN
    return ', '.join(ordered[:SHOWN]) + f' and {rest} more' * (rest > 0)

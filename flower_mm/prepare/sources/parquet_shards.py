"""Parquet files of photos, as Hugging Face datasets write them.

A column has the bytes of the photos or their paths, another one the classes.
The schema can have the names of the classes. `train-00000-of-00002.parquet`
and `train/0000.parquet` belong to the split train.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from flower_mm.commands import install_command
from flower_mm.errors import UserError
from flower_mm.files import NO_ROOM
from flower_mm.plain_text import escape_controls, shorten
from flower_mm.prepare.archive import MAX_MEMBERS, UnpackLimits
from flower_mm.prepare.file_tree import is_clutter, is_photo_name
from flower_mm.prepare.photo import Photo
from flower_mm.prepare.sources.labelled_rows import order_classes
from flower_mm.prepare.sources.listing import (
    PARQUET,
    SPLIT_NAMES,
    Listing,
    Source,
    refusal,
)
from flower_mm.prepare.sources.photo_index import PhotoIndex
from flower_mm.prepare.sources.table_files import (
    LABEL_COLUMNS,
    PATH_COLUMNS,
    SHOWN,
    plain,
)

if TYPE_CHECKING:
    import pyarrow
    import pyarrow.parquet

# Names of columns of bytes, besides PATH_COLUMNS.
BYTES_COLUMNS = ('bytes', 'imagebytes', 'jpg', 'jpeg', 'png', 'content')
ROWS = 16  # that are in memory at a time
MAX_GROUP = 4 * 1024**3  # bytes of a row group, which are decoded together
# The first bytes of formats, for photos without a name.
SIGNATURES = {
    b'\x89PNG': '.png',
    b'GIF8': '.gif',
    b'BM': '.bmp',
    b'RIFF': '.webp',
    b'II*\0': '.tif',
    b'MM\0*': '.tif',
}


def is_parquet(name: str) -> bool:
    return name.casefold().endswith('.parquet')


def find_parquet(source: Source) -> Listing | None:
    files = [source.chosen] if source.chosen else source.tree.in_order()
    names = list(filter(is_parquet, files))
    if not names:
        return None
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise refusal(
            f'{names[0]} needs the package pyarrow.\n'
            f'Install it: {install_command("parquet")}',
            PARQUET,
        ) from error
    listing = Listing(PARQUET, [], [])
    splits = [_split_of(name) for name in names]
    if '' in splits:
        splits = [''] * len(names)
    reader = _Reader(source, listing)
    for name, split in zip(names, splits, strict=True):
        reader.read(name, split)
    reader.finish()
    others = source.tree.files.keys() - set(names) - reader.used
    if not source.chosen:
        listing.other_files = sorted(map(escape_controls, others))
    return listing


def _split_of(name: str) -> str:
    """Return the split that the name of a shard or its folders say."""
    *folders, file = name.casefold().split('/')
    for word in (re.split(r'[-_.]', file)[0], *reversed(folders)):
        if word in SPLIT_NAMES:
            return SPLIT_NAMES[word]
    return ''


class _Reader:
    """Reads shards into a listing, and writes photos that are bytes."""

    def __init__(self, source: Source, listing: Listing) -> None:
        assert source.unpacked is not None
        self.source, self.listing = source, listing
        self.folder = source.unpacked / 'parquet'
        self.folder.mkdir(parents=True)
        self.index = PhotoIndex(*source.photos)
        self.used: set[str] = set()  # files that rows name
        self.order: list[str] = []  # the names of the classes in the schema
        self.photos: list[Photo] = []
        self.labels: list[str] = []  # of these photos

    def read(self, name: str, split: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = Path(self.source.tree.files[name])
        limits = UnpackLimits(file, self.folder)
        try:
            with pq.ParquetFile(file) as shard:
                columns = _Columns(shard.schema_arrow, self.source, name)
                if columns.names and columns.names != self.order:
                    self._set_order(columns.names, name)
                _require_groups(shard, name)
                for number, cells in _rows(shard, columns):
                    self._add(name, number, split, cells, columns, limits)
        except (pa.ArrowException, OSError, ValueError) as error:
            if getattr(error, 'errno', None) in NO_ROOM:
                raise
            raise refusal(
                f'{name} cannot be read: {shorten(str(error))}.\n'
                'Download it again',
                PARQUET,
            ) from error

    def _set_order(self, names: list[str], name: str) -> None:
        if self.order:
            raise refusal(
                f'{name} names other classes than the shards before it.\n'
                'Prepare one of the datasets alone',
                PARQUET,
            )
        self.order = names

    def _add(
        self,
        name: str,
        number: int,
        split: str,
        cells: tuple[Any, Any],
        columns: '_Columns',
        limits: UnpackLimits,
    ) -> None:
        image, label = cells
        where = f'{name} row {number}'
        data, path = image, image
        if isinstance(image, dict):
            data, path = image.get('bytes'), image.get('path')
        path = path if isinstance(path, str) else ''
        if isinstance(data, bytes):
            limits.count(len(data))
        class_name = columns.class_name(label, where)
        shown = f'{name}/{number}'
        if isinstance(data, bytes):
            suffix = _suffix(data)
            inside = _safe_name(path, f'{PurePosixPath(name).stem}-{number}')
            if not is_photo_name(inside):
                inside += suffix
            file = str(self.folder / f'{len(self.photos):07}')
            shown += suffix
        else:
            found = self.index.find(path, where, name[: name.rfind('/') + 1])
            if not path or len(found) != 1:
                text = f'{where}: {shorten(path) or "without bytes and path"}'
                self.listing.rows_without_file.append(text)
                return
            shown = found[0]
            self.used.add(shown)
            file, inside = self.index.files[shown], shown.rpartition('/')[2]
        if not class_name:
            self.listing.left_out[shown] = 'without a class'
            return
        if isinstance(data, bytes):
            Path(file).write_bytes(data)
        self.photos.append(Photo(shown, file, -1, split, inside))
        self.labels.append(class_name)

    def finish(self) -> None:
        """Number the classes, in the order of the schema."""
        classes = order_classes(
            set(self.labels), str(self.source.path), self.order
        )
        number = {name: i for i, name in enumerate(classes)}
        self.listing.classes, self.listing.photos = classes, self.photos
        for photo, name in zip(self.photos, self.labels, strict=True):
            photo.label = number[name]


def _suffix(data: bytes) -> str:
    suffixes = (s for start, s in SIGNATURES.items() if data.startswith(start))
    return next(suffixes, '.jpg')


def _safe_name(path: str, other: str) -> str:
    """Return the name in a foreign path, or the other one if it is odd."""
    name = path.replace('\\', '/').rpartition('/')[2]
    is_odd = escape_controls(name) != name or len(name) > 100
    return other if not name or is_odd or is_clutter(name) else name


def _require_groups(shard: 'pyarrow.parquet.ParquetFile', name: str) -> None:
    if shard.metadata.num_rows > MAX_MEMBERS:
        raise refusal(f'{name} has more than {MAX_MEMBERS} rows', PARQUET)
    for i in range(shard.num_row_groups):
        size = shard.metadata.row_group(i).total_byte_size
        if size > MAX_GROUP:
            raise refusal(
                f'{name} has row groups of more than {MAX_GROUP // 1024**3} '
                'GB.\nWrite it again with smaller row groups',
                PARQUET,
            )


def _rows(
    shard: 'pyarrow.parquet.ParquetFile', columns: '_Columns'
) -> Iterator[tuple[int, tuple[Any, Any]]]:
    number = 0
    chosen = [columns.image, columns.label]
    for batch in shard.iter_batches(ROWS, columns=chosen, use_threads=False):
        images = batch.column(batch.schema.get_field_index(columns.image))
        labels = batch.column(batch.schema.get_field_index(columns.label))
        for image, label in zip(images, labels, strict=True):
            yield number, (image.as_py(), label.as_py())
            number += 1


class _Columns:
    """The columns of photos and classes in a schema."""

    def __init__(
        self, schema: 'pyarrow.Schema', source: Source, name: str
    ) -> None:
        self.shard, self.schema = name, schema
        features = _features(schema)
        for chosen in (source.path_column, source.label_column):
            if chosen and chosen not in schema.names:
                raise self._refusal(f'no column {shorten(chosen)!r}')
        self.image = source.path_column or self._only(
            'photos',
            '--path-column',
            [n for n, f in features.items() if f.get('_type') == 'Image']
            or [f.name for f in schema if _holds_photos(f)],
        )
        self.label = source.label_column or self._only(
            'classes',
            '--label-column',
            [n for n, f in features.items() if f.get('_type') == 'ClassLabel']
            or [n for n in schema.names if plain(n) in LABEL_COLUMNS],
        )
        names = features.get(self.label, {}).get('names')
        self.names = names if isinstance(names, list) else []
        if not all(isinstance(name, str) for name in self.names):
            raise self._refusal('invalid names of classes in its schema')

    def _only(self, of: str, flag: str, names: list[str]) -> str:
        names = [name for name in names if name in self.schema.names]
        if not names:
            raise self._refusal(f'no column of {of}', f'\nName it: {flag}')
        if len(names) > 1:
            shown = ', '.join(map(shorten, names))
            raise self._refusal(
                f'several columns of {of} ({shown})',
                f'\nChoose one: {flag} {shorten(names[0])}',
            )
        return names[0]

    def _refusal(self, fault: str, fix: str = '') -> UserError:
        shown = ', '.join(map(shorten, self.schema.names[:SHOWN]))
        return refusal(f'{self.shard} has {fault}: got {shown}{fix}', PARQUET)

    def class_name(self, label: object, where: str) -> str:
        """Return the class of a cell, '' for none."""
        if label is None or (label == -1 and self.names):
            return ''
        if isinstance(label, list | dict | bytes):
            raise refusal(
                f'{where}: expected one class in {self.label}, got several.\n'
                'Multi-label classification and detection are not supported',
                PARQUET,
            )
        if isinstance(label, float) and label.is_integer():
            label = int(label)  # pandas' integers beside missing ones
        if self.names and isinstance(label, int):
            if not 0 <= label < len(self.names):
                raise refusal(
                    f'{where}: invalid label {label}: expected 0 to '
                    f'{len(self.names) - 1}',
                    PARQUET,
                )
            return self.names[label]
        return str(label).strip()


def _holds_photos(field: 'pyarrow.Field') -> bool:
    import pyarrow as pa

    name, kind = plain(field.name), field.type
    if pa.types.is_struct(kind):
        return kind.get_field_index('bytes') >= 0
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return name in PATH_COLUMNS + BYTES_COLUMNS
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return is_text and name in PATH_COLUMNS


def _features(schema: 'pyarrow.Schema') -> dict[str, dict]:
    """Return what Hugging Face wrote about the columns."""
    try:
        text = (schema.metadata or {})[b'huggingface']
        features = json.loads(text)['info']['features']
        return {k: v for k, v in features.items() if isinstance(v, dict)}
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}

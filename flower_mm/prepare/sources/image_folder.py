"""The imagefolder of Hugging Face datasets: photos and metadata beside them.

    train/metadata.csv           metadata.jsonl
    train/0001.png               train/0001.png

Metadata has the column file_name and one of classes. Without classes, it
says nothing about them, and the folders do.
"""

from flower_mm.prepare.sources.csv_table import is_complete, read_tables
from flower_mm.prepare.sources.listing import IMAGE_FOLDER, Listing, Source
from flower_mm.prepare.sources.table_files import Table

NAMES = ('metadata.csv', 'metadata.jsonl')
PATHS = 'file_name'


def find_image_folder(source: Source) -> Listing | None:
    names = [
        name
        for name in source.tree.in_order()
        if name.rpartition('/')[2] in NAMES
        and source.chosen in ('', name)
        and not source.images
    ]
    tables = [Table(source.tree.files[name], name) for name in names]
    tables = [
        table
        for table in tables
        if PATHS in table.columns and is_complete(table, source)
    ]
    if not tables:
        return None
    return read_tables(source, tables, [''] * len(tables), IMAGE_FOLDER)

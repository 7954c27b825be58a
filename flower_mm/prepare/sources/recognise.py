"""Recognise the format of a source."""

from collections.abc import Callable

from flower_mm.errors import UserError
from flower_mm.prepare.sources.annotation import find_annotation
from flower_mm.prepare.sources.class_folders import (
    find_class_folders,
    find_split_folders,
)
from flower_mm.prepare.sources.csv_table import find_csv_table
from flower_mm.prepare.sources.flowers102 import find_flowers102
from flower_mm.prepare.sources.image_folder import find_image_folder
from flower_mm.prepare.sources.listing import Listing, Source
from flower_mm.prepare.sources.parquet_shards import find_parquet
from flower_mm.prepare.sources.roboflow import find_roboflow

# The first that returns a listing is taken.
FORMATS: tuple[Callable[[Source], Listing | None], ...] = (
    find_flowers102,
    find_parquet,
    find_roboflow,
    find_annotation,
    find_image_folder,
    find_csv_table,
    find_split_folders,
    find_class_folders,
)


def recognise(source: Source) -> Listing:
    """Return the photos of a source, in the first format that fits.

    A fault of a table is only noted where folders name the classes.
    """
    fault: UserError | None = None
    for find in FORMATS:
        try:
            listing = find(source)
        except UserError as error:
            if source.names_a_table or find is find_class_folders:
                raise fault or error from error
            fault = fault or error
            continue
        if listing is None:
            continue
        if fault:
            if len(listing.classes) < 2:
                raise fault
            reason = str(fault).partition('\n')[0]
            listing.remarks.append(f'Taken from the folders, since {reason}')
        return listing
    raise AssertionError('the last format takes every source')

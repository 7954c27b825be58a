"""Recognise the format of a source."""

from collections.abc import Callable

from flower_mm.prepare.sources.class_folders import (
    find_class_folders,
    find_split_folders,
)
from flower_mm.prepare.sources.csv_table import find_csv_table
from flower_mm.prepare.sources.listing import Listing, Source

# The first that returns a listing is taken.
FORMATS: tuple[Callable[[Source], Listing | None], ...] = (
    find_csv_table,
    find_split_folders,
    find_class_folders,
)


def recognise(source: Source) -> Listing:
    """Return the photos of a source, in the first format that fits."""
    return next(filter(None, (find(source) for find in FORMATS)))

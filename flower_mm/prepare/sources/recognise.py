"""Recognise the format of a source."""

from collections.abc import Callable

from flower_mm.prepare.sources.class_folders import (
    find_class_folders,
    find_split_folders,
)
from flower_mm.prepare.sources.listing import Listing, Source

# The first that returns a listing is taken.
FORMATS: tuple[Callable[[Source], Listing | None], ...] = (find_split_folders,)


def recognise(source: Source) -> Listing:
    """Return the photos of a source, in the first format that fits."""
    for find in FORMATS:
        if listing := find(source):
            return listing
    return find_class_folders(source)

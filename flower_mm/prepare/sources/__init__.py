"""The formats in which people have photos; one module for each.

`recognise` asks them in turn. Each returns a `Listing` of the photos with
their classes and, where the source has one, their published split.
"""

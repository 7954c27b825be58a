"""Turn photos as people have them into a dataset for MMPretrain.

`file_tree` and `archive` list the files, `sources` recognises the format and
finds photos and classes, `scan_photos` reads each photo, `near_duplicates`,
`split` and `published_split` assign the splits, `write_dataset` writes the
dataset and `verify_dataset` checks it later. `prepare_dataset` calls them in
this order; `folds` assigns the photos of a dataset to the folds of a
cross-validation. The package needs neither torch nor OpenCV, so that it starts
quickly and runs where training is not installed.
"""

"""Turn a folder or an archive of photos into a dataset for MMPretrain.

`class_folders` and `archive` list the photos, `scan_photos` reads each one,
`near_duplicates` and `split` assign the splits, `write_dataset` writes the
dataset and `verify_dataset` checks it later. `prepare_dataset` calls them in
this order; `folds` assigns the photos of a dataset to the folds of a
cross-validation. The package needs neither torch nor OpenCV, so that it starts
quickly and runs where training is not installed.
"""

"""A folder or an archive of photos becomes a dataset for MMPretrain.

`find` and `archive` say which photos there are, `scan` reads each of them
once, `duplicates` and `split` give every photo its side, `write` puts the
dataset on the disk and `check` looks whether it still is what it was. `run`
calls them in this order; `folds` deals the photos of a dataset for
cross-validation. No torch and no OpenCV in here: the tool answers at
once, and it works where training is not installed.
"""

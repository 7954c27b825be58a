"""Each backbone family of MMPretrain still does what was measured of it.

`python -m benchmarks.families` measures anew, after a change for the better.
"""

import csv
from pathlib import Path

import pytest
from families import STEPS, families, measure
from helpers import ROOT

RESULTS = ROOT / 'benchmarks' / 'results' / 'families.csv'
with RESULTS.open(encoding='utf-8') as file:
    ROWS = {row['family']: row for row in csv.DictReader(file)}
TRAINING = ('trains_float32', 'trains_bfloat16')


@pytest.mark.nightly
def test_every_family_of_mmpretrain_is_measured():
    assert ROWS.keys() == families().keys()


def test_what_mmpretrain_trains_is_trained_here():
    failing = [
        (name, row['reason'])
        for name, row in ROWS.items()
        if row['stock'] == 'yes' and 'no' in map(row.get, TRAINING)
    ]
    assert failing == []


@pytest.mark.nightly
@pytest.mark.parametrize('name', ROWS)
def test_a_family_does_what_was_measured(name: str, tmp_path: Path):
    now = measure(families()[name], tmp_path, stock=False)
    before = ROWS[name]
    worse = [s for s in STEPS if before[s] == 'yes' and now[s] != 'yes']
    assert worse == [], now['reason']

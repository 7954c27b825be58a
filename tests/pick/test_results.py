"""Differences are tested on the same photos, for all pairs."""

import numpy as np
import pytest

from flower_mm.pick.picture import draw_picture
from flower_mm.pick.results import Result, faster, rank, text
from flower_mm.report.metrics import wilson
from flower_mm.report.paired_tests import ALPHA

FACTS = {'parameters': 2_000_000, 'licence': 'MIT'}


def result(name: str, correct: int, speed: float, **changes) -> Result:
    """The first photos are correct."""
    is_correct = np.arange(1000) < correct
    values = {'effective': 1000, 'trained_photos': 9000, 'facts': FACTS}
    return Result(
        name, [name], is_correct, photos_per_second=speed, **values | changes
    )


def test_the_most_accurate_one_is_first():
    ranked = rank(
        [
            result('resnet18', 900, 50),
            result('resnet50', 920, 10),
            result('resnet34', 920, 20),
        ]
    )
    assert [r.name for r in ranked] == ['resnet34', 'resnet50', 'resnet18']
    assert ranked[0].accuracy == 92
    assert ranked[0].to_best == {}
    last = ranked[2].to_best
    assert last['difference'] == pytest.approx(-2)
    assert last['only_first_correct'] == 20
    assert last['significance_level'] == ALPHA / 3
    assert ranked[2].is_worse
    assert not ranked[1].is_worse


def test_a_faster_one_is_named_unless_it_is_worse():
    best = result('resnet50', 920, 10)
    close, worse = result('resnet34', 918, 20), result('resnet18', 800, 90)
    found = faster(rank([best, close, worse]))
    assert found is not None
    assert found.name == 'resnet34'
    assert faster(rank([best, worse])) is None
    assert faster(rank([best])) is None


def test_near_duplicates_widen_the_interval():
    one = result('resnet18', 900, 10)
    assert one.interval == wilson(900, 1000)
    assert result('a', 900, 10, effective=500).interval == wilson(450, 500)


def test_the_text_has_the_commands():
    ranked = rank([result('resnet50', 920, 10), result('resnet18', 919, 50)])
    lines = text(ranked).splitlines()
    assert lines[1].startswith('resnet50  92.0 (90.2 to 93.5)')
    assert any(line.endswith('train resnet50') for line in lines)
    assert any(line.endswith('train resnet18') for line in lines)
    # Four times as long as 9000 forward passes.
    assert 'most accurate: resnet50, training takes about 60 min' in lines


@pytest.mark.parametrize('count', [1, 2, 25])
def test_a_picture_of_any_number(count, tmp_path):
    results = [result(f'${i}$', 1000 - i % 7, 1 + i) for i in range(count)]
    draw_picture(rank(results), tmp_path / 'a.png')
    assert (tmp_path / 'a.png').stat().st_size > 5000

"""What the tests themselves stand on."""

from importlib.util import find_spec

import forked
import pytest
from slices import parse_slice


@pytest.mark.parametrize('name', forked.PRELOADED)
def test_preloaded_modules_exist(name):
    """The fork server passes over those that do not."""
    assert find_spec(name)


def test_each_nightly_test_is_in_one_slice():
    slices = [parse_slice(f'{number}/7') for number in range(100, 107)]
    for number in range(50):
        test = f'tests/test_x.py::test_y[{number}]'
        assert sum(part.has(test) for part in slices) == 1
    assert parse_slice('100/7') == parse_slice('2/7')

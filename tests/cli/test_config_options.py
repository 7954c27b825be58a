"""Values of --cfg-options: MMEngine's, and dicts."""

import argparse

import pytest
from helpers import ROOT
from mmengine.config import DictAction

from flower_mm.cli.config_options import parse_config_options
from flower_mm.config import read_config
from flower_mm.errors import UserError

CONFIG = ROOT / 'configs' / 'flower' / 'resnet18_flower.py'


def parse_as_mmengine(*words: str) -> dict:
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=DictAction)
    return parser.parse_args(['--cfg-options', *words]).cfg_options


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        ("{'b':1,'c':2}", {'b': 1, 'c': 2}),
        ("{'b': {'c': (1, 2)}, 'd': [3]}", {'b': {'c': (1, 2)}, 'd': [3]}),
        ('{"b": None, "c": True}', {'b': None, 'c': True}),
        ('\'{"b": 1}\'', {'b': 1}),
        ("[{'b': 1}, {'c': 'x y'}]", [{'b': 1}, {'c': 'x y'}]),
        ("({'b': 1}, 2)", ({'b': 1}, 2)),
        ("1,{'b': 2}", [1, {'b': 2}]),
        ('{}', {}),
        ('{1: 2}', {1: 2}),
    ],
)
def test_dicts_are_read_as_python(value, expected):
    found = parse_config_options([f'a={value}'])['a']
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    'value',
    [
        '1',
        '1e-3',
        'None',
        'true',
        "'word'",
        'a b',
        '1,2',
        '[1,2]',
        '(1,)',
        '[]',
        "['a','b']",
        '[(1,2),[a,b],c]',
        'a=b',
        'epoch_{}.pth',
        '{}_epoch.pth',
        '{:03d}.pth',
        "['{x}','y']",
        '[{x},y]',
        '12:30',
        'C:\\photos',
        'http://host/x',
        '',
    ],
)
def test_other_values_keep_the_meaning_of_mmengine(value):
    found = parse_config_options([f'a={value}'])['a']
    expected = parse_as_mmengine(f'a={value}')['a']
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    'words',
    [
        ["a={'b':1,'c':2"],
        ['a={b:1,c:2}'],
        ['a={b:1}'],  # what a shell makes of a={'b':1}
        ["a={'b': true}"],
        ["a={'b': int}"],
        ['a=[1,{b:1}]'],
        ['a={1,2}'],
        ['a=dict(b=1,c=2)'],
        ['a=b:1', 'a=c:2'],  # and of a={'b':1,'c':2}
        ['a={' * 2000],
    ],
)
def test_what_is_no_dict_is_refused_with_what_to_type(words):
    with pytest.raises(UserError) as error:
        parse_config_options(words)
    said = str(error.value)
    assert "{'a': 1, 'b': 2}" in said
    assert 'KEY.a=1 KEY.b=2' in said
    assert len(said) < 1000


def test_a_dict_is_merged_into_the_config():
    options = parse_config_options(
        [
            "model.head.loss={'type': 'CrossEntropyLoss', 'loss_weight': 2.0}",
            "param_scheduler.0={'start_factor': 0.5}",
            "train_cfg={'max_epochs': 3}",
        ]
    )
    plain, cfg = read_config(str(CONFIG)), read_config(str(CONFIG), options)
    assert cfg.model.head.loss.loss_weight == 2.0
    assert cfg.model.head.in_channels == plain.model.head.in_channels
    assert cfg.param_scheduler[0].type == plain.param_scheduler[0].type
    assert cfg.param_scheduler[0].start_factor == 0.5
    assert cfg.train_cfg == plain.train_cfg | {'max_epochs': 3}

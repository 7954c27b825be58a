"""How configs differ."""

from flower_mm.report.settings_diff import (
    MAX_ITEMS,
    changed_settings,
    differing_settings,
)


def test_changes_from_the_base_config():
    rows = changed_settings(
        [
            {'key': 'lr', 'base': 0.1, 'run': 0.01},
            {'key': 'hook', 'base': None, 'run': {'type': 'Hook', 'n': [1]}},
            {'key': 'gone', 'base': 'x', 'run': None},
            {
                'key': 'pipeline',
                'base': [{'type': 'Load'}, {'type': 'Crop', 'size': 224}],
                'run': [{'type': 'Load'}, {'type': 'Crop', 'size': 96}],
            },
        ],
    )
    assert [row['values'] for row in rows] == [
        [['0.1'], ['0.01']],
        [[], ['Hook(n=[1])']],
        [["'x'"], []],
        [['Crop(size=224)'], ['Crop(size=96)']],
    ]


def test_very_long_lists_are_cut():
    base, now = list(range(3000)), list(range(1, 3001))
    (row,) = changed_settings([{'key': 'x', 'base': base, 'run': now}])
    assert max(len(lines) for lines in row['values']) <= MAX_ITEMS


def test_every_setting_of_two_configs_is_compared():
    load = {'type': 'Load'}
    first = {
        'work_dir': 'a',
        'model': {'backbone': {'type': 'ResNet', 'depth': 18}, 'neck': None},
        'optim_wrapper': {'optimizer': {'lr': 0.1, 'type': 'SGD'}},
        'train_dataloader': {
            'batch_size': 32,
            'collate_fn': {'type': 'default'},
            'dataset': {'pipeline': [load, {'type': 'Crop', 'size': 224}]},
        },
    }
    second = {
        'work_dir': 'b',
        'model': {'backbone': {'type': 'MobileNetV2'}},
        'optim_wrapper': {'optimizer': {'lr': 0.01, 'type': 'SGD'}},
        'train_dataloader': {
            'batch_size': 32,
            'dataset': {'pipeline': [load, {'type': 'Flip'}]},
        },
    }
    found = {row['key']: row['values'] for row in
             differing_settings([first, second])}  # fmt: skip
    assert found == {
        'model.backbone.type': [["'ResNet'"], ["'MobileNetV2'"]],
        'model.backbone.depth': [['18'], []],
        'optim_wrapper.optimizer.lr': [['0.1'], ['0.01']],
        'train_dataloader.dataset.pipeline': [['Crop(size=224)'], ['Flip()']],
    }
    assert differing_settings([first, first]) == []


def test_the_order_of_a_list_is_a_difference():
    (row,) = differing_settings([{'a': [1, 2]}, {'a': [2, 1]}])
    assert row['values'] == [['[1, 2]'], ['[2, 1]']]


def test_any_depth_is_compared():
    deep: dict = {}
    for _ in range(5000):
        deep = {'x': deep}
    assert len(differing_settings([deep, {'x': 1}])) == 2

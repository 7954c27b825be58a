import importlib
import subprocess
import sys

import pytest
from mmengine.registry import Registry

from flower_mm import registry
from flower_mm.engine import run_identity


def test_each_location_imports_and_each_parent_has_a_child():
    ours = {
        name: value
        for name, value in vars(registry).items()
        if isinstance(value, Registry)
    }
    parents = [
        name
        for name, value in vars(registry.parent).items()
        if isinstance(value, Registry)
    ]
    assert set(parents) <= set(ours)
    for child in ours.values():
        assert child.scope == 'flower_mm'
        for location in child._locations:
            importlib.import_module(location)


def test_importing_the_package_is_light():
    code = (
        'import sys, flower_mm, flower_mm.cli, flower_mm.prepare\n'
        "assert not {'torch', 'mmengine', 'cv2'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, '-c', code], check=True)


@pytest.mark.parametrize(
    ('kind', 'former', 'name'),
    [
        ('HOOKS', 'CheckpointHook', 'AtomicCheckpointHook'),
        ('HOOKS', 'FiniteHook', 'FiniteLossHook'),
        ('LOOPS', 'EitherWeightsValLoop', 'EMAValLoop'),
        (
            'OPTIM_WRAPPER_CONSTRUCTORS',
            'FewGroups',
            'MergedGroupsConstructor',
        ),
    ],
)
def test_former_names_work_in_configs(kind, former, name):
    types = getattr(registry, kind)
    assert types.get(former) is types.get(name)


def test_former_names_in_a_checkpoint_can_be_resumed():
    former, now = (
        {'val_cfg': {'type': loop}, 'optim_wrapper': {'constructor': groups}}
        for loop, groups in (
            ('EitherWeightsValLoop', 'FewGroups'),
            ('EMAValLoop', 'MergedGroupsConstructor'),
        )
    )
    decisive = run_identity._decisive
    assert dict(decisive(former)) == dict(decisive(now))

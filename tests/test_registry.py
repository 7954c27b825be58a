import importlib
import subprocess
import sys

from mmengine.registry import Registry

from flower_mm import registry


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

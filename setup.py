"""Put configs and tools inside the package, as MM* does.

`_base_ = 'flower_mm::flower/resnet50_flower.py'` is read from
flower_mm/.mim/configs. An installed copy gets copies; an editable one gets
links, or copies where the system has no links. All else is in setup.cfg.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent


class BuildWithConfigs(build_py):
    def run(self) -> None:
        super().run()
        package = ROOT if self.editable_mode else Path(self.build_lib)
        mim = package / 'flower_mm' / '.mim'
        mim.mkdir(parents=True, exist_ok=True)
        for name in ('configs', 'tools'):
            target = mim / name
            if target.is_symlink() or target.is_file():
                target.unlink()
            elif target.is_dir():
                shutil.rmtree(target)
            if self.editable_mode:
                try:
                    target.symlink_to(ROOT / name, target_is_directory=True)
                    continue
                except OSError:
                    pass
            shutil.copytree(
                ROOT / name,
                target,
                ignore=shutil.ignore_patterns('__pycache__'),
            )
        # MMEngine looks configs up in this list before it looks for files.
        (mim / 'model-index.yml').write_text('Import: []\n')


setup(cmdclass={'build_py': BuildWithConfigs})

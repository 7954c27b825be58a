"""Fine-tune ImageNet backbones on a folder of photos with MMPretrain.

Importing this package is cheap: only the modules that need torch and
MMPretrain import them, so that `flower-mm --help` answers at once.
"""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flower_mm.inference.classifier import Classifier, Prediction, Unread
    from flower_mm.models.timm_backbone import TimmBackbone

__version__ = '0.1.0'
__all__ = [
    'Classifier',
    'Prediction',
    'TimmBackbone',
    'Unread',
    'config_file',
]


def config_file(name: str) -> str:
    """Return the path of a config that comes with the package.

    MMEngine reads `_base_ = 'flower_mm::…'` only through our own commands,
    because it accepts a fixed list of packages. It evaluates an expression in
    any process: `_base_ = __import__('flower_mm').config_file(NAME)`.

    Args:
        name: A path below configs/, such as 'flower/resnet50_flower.py'.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / '.mim' / 'configs', package.parent / 'configs'):
        if (folder / name).is_file():
            return str(folder / name)
    raise FileNotFoundError(f'flower_mm has no config {name}')


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    if name == 'TimmBackbone':
        from flower_mm.models.timm_backbone import TimmBackbone

        return TimmBackbone
    from flower_mm.inference import classifier

    return getattr(classifier, name)

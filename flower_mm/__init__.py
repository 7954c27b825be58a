"""Fine-tune ImageNet backbones on a folder of photos with MMPretrain.

Importing this package is cheap: torch and MMPretrain come in only with the
rooms that need them, so that `tools/*.py --help` answers at once.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flower_mm.inference.classifier import Classifier, Prediction, Unread

__version__ = '0.1.0'
__all__ = ['Classifier', 'Prediction', 'Unread']


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    from flower_mm.inference import classifier

    return getattr(classifier, name)

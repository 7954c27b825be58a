"""Fine-tune ImageNet backbones on a folder of photos with MMPretrain.

Importing this package is cheap: torch and MMPretrain come in only with the
rooms that need them, so that `tools/*.py --help` answers at once.
"""

import warnings

__version__ = '0.1.0'

# mmcv-lite lacks an operator that no classifier of ours uses.
warnings.filterwarnings('ignore', 'Fail to import ``MultiScaleDeformable')

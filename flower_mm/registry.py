"""The registries of flower_mm, children of MMPretrain's.

A config with `default_scope = 'flower_mm'` finds our types here and all of
MMPretrain's and MMEngine's through the parents, which takes a child for each
of MMPretrain's registries. The locations are the packages that MMEngine
imports when it first looks for a type; it does not do so for a parent, so a
child has its parent's as well.
"""

from mmengine.registry import Registry
from mmpretrain import registry as parent


def _child(name: str, *locations: str) -> Registry:
    above = getattr(parent, name)
    return Registry(
        above.name, parent=above, locations=[*locations, *above._locations]
    )


DATASETS = _child('DATASETS', 'flower_mm.datasets')
HOOKS = _child('HOOKS', 'flower_mm.engine')
LOOPS = _child('LOOPS', 'flower_mm.engine')
METRICS = _child('METRICS', 'flower_mm.engine')
MODELS = _child('MODELS', 'flower_mm.models.timm_backbone')
OPTIM_WRAPPERS = _child('OPTIM_WRAPPERS', 'flower_mm.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(
    'OPTIM_WRAPPER_CONSTRUCTORS', 'flower_mm.engine'
)
TRANSFORMS = _child('TRANSFORMS', 'flower_mm.datasets')
VISBACKENDS = _child('VISBACKENDS', 'flower_mm.engine')

globals().update(
    {
        name: _child(name)
        for name, above in vars(parent).items()
        if isinstance(above, Registry) and name not in globals()
    }
)

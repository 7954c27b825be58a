"""Do the steps of a pipeline end in what the model takes?"""

from collections.abc import Iterator

from mmengine.config import Config, ConfigDict

from flower_mm.checks.finding import Finding, stop, warn
from flower_mm.checks.keys.accepted import find
from flower_mm.config import walk

LOADERS = ('train_dataloader', 'val_dataloader')
# Those of MMClassification 0.x, which are still there for other uses.
OLD_ENDS = ('Collect', 'ImageToTensor', 'ToTensor')
THEIRS = ('mmpretrain.', 'mmcv.')


def check_pipelines(cfg: Config) -> Iterator[Finding]:
    for loader in LOADERS:
        found = cfg.get(loader) or {}
        for dataset in walk(found.get('dataset')):
            pipeline = dataset.get('pipeline')
            if isinstance(pipeline, (list, tuple)) and pipeline:
                place = f'{loader}.dataset.pipeline'
                yield from _steps(cfg, place, dataset, pipeline)


def _steps(
    cfg: Config, place: str, dataset: ConfigDict, pipeline: list
) -> Iterator[Finding]:
    names = [str(step.get('type')).rpartition('.')[2] for step in pipeline]
    scope = dataset.get('_scope_') or cfg.get('default_scope') or 'mmengine'
    last = find(pipeline[-1].get('type'), 'TRANSFORMS', scope)
    is_theirs = getattr(last, '__module__', '').startswith(THEIRS)
    if is_theirs and not any('Pack' in name for name in names):
        instead = [name for name in names if name in OLD_ENDS]
        mend = "dict(type='PackInputs') as the last step"
        if instead:
            mend += f', instead of {", ".join(instead)}'
        yield stop(
            f'The pipeline ends in {names[-1]}, and the model takes what '
            'PackInputs makes.',
            place,
            mend,
        )
    preprocessor = cfg.get('data_preprocessor') or {}
    if 'Normalize' in names and preprocessor.get('mean'):
        yield warn(
            'Photos are normalised twice, in the pipeline and by the '
            'data_preprocessor.',
            f'{place}.{names.index("Normalize")}',
            'take this step out',
        )

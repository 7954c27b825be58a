"""Read a config and apply the dataset to it.

Configs do not state the number of classes. It is read from classes.txt and set
wherever MMPretrain needs it.
"""

import copy
import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mmengine.config import Config, ConfigDict

from flower_mm.annotations import read_classes, require_dataset
from flower_mm.auto_schedule import fill_in_schedule, require_epochs
from flower_mm.class_weights import BALANCED, balanced_weights
from flower_mm.errors import UserError
from flower_mm.layout import DatasetDir
from flower_mm.registry import MODELS
from flower_mm.timm_record import fill_in_auto
from flower_mm.user_modules import import_custom_modules

# Classifiers around a whole model of another library, and the argument of
# that library which is the number of classes.
WRAPPERS = {
    'HuggingFaceClassifier': 'num_labels',
    'TimmClassifier': 'num_classes',
}
# Sections that may be None or missing, as in MMEngine.
FILLED_IN = (
    'default_hooks',
    'data_preprocessor',
    'randomness',
    'env_cfg',
    'visualizer',
)
# Packages whose configs a `_base_` names as `package::`.
PACKAGES = ('flower_mm', 'mmpretrain')
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


_lock = threading.RLock()


@dataclass(frozen=True)
class ResolvedRun:
    """A config with the command line and the dataset applied.

    `cfg` is never changed; `dataclasses.replace` makes another run of it.
    """

    cfg: Config
    work_dir: Path
    data_root: Path
    classes: tuple[str, ...]


def resolve(cfg: Config) -> ResolvedRun:
    """Apply the dataset to a copy of a config that has the command line."""
    cfg = copy.deepcopy(cfg)
    classes = apply_dataset(cfg)
    return ResolvedRun(cfg, Path(cfg.work_dir), data_root(cfg), tuple(classes))


@contextmanager
def _package_bases() -> Iterator[None]:
    """Let MMEngine resolve `_base_ = 'flower_mm::…'` while the block runs.

    MMEngine accepts a fixed list of packages and looks beside the metadata of
    a package, which after `pip install -e` is another folder. For each base it
    also reloads pkg_resources and reads all metafiles of MMPretrain, which
    takes 0.1 s.
    """

    def path_of(name: str, file: str) -> tuple[str, str | None]:
        package, mark, inside = name.partition('::')
        if not mark or package not in PACKAGES:
            return previous(name, file)
        spec = find_spec(package)
        assert spec is not None  # of PACKAGES, which are installed
        assert spec.origin is not None
        path = Path(spec.origin).parent / '.mim' / 'configs' / inside
        if not path.is_file():
            raise FileNotFoundError(f'{name}: {path} does not exist')
        return str(path), package

    with _lock:
        previous = Config._get_cfg_path
        Config._get_cfg_path = staticmethod(path_of)
        try:
            yield
        finally:
            Config._get_cfg_path = staticmethod(previous)


def base_paths(file: str | Path) -> list[tuple[str, Path]]:
    """Return each `_base_` of a config file: its name there, and its path."""
    # MMEngine has no public function that reads `_base_` alone.
    with _package_bases():
        return [
            (name, Path(Config._get_cfg_path(name, str(file))[0]))
            for name in Config._get_base_files(str(file))
        ]


def base_configs(cfg: Config) -> Iterator[tuple[str, Config]]:
    """Each config that a config file names in `_base_`, and its name there."""
    for name, path in base_paths(cfg.filename):
        yield name, read_config(str(path))


def read_config(path: str, options: dict | None = None) -> Config:
    """Read a config file; `options` are `--cfg-options`."""
    if not Path(path).is_file():
        near = sorted(Path(path).parent.glob('*.py'))
        raise UserError(
            f'unknown config {path}'
            + (
                f'; configs in its folder: {", ".join(p.name for p in near)}'
                if near
                else ''
            )
        )
    try:
        with _package_bases():
            cfg = Config.fromfile(path, import_custom_modules=False)
    except Exception as error:
        raise UserError(
            f'the config {path} cannot be read:\n'
            f'{type(error).__name__}: {error}'
        ) from error
    import_custom_modules(cfg)
    # MMEngine formats the text by yapf, five times a run. Its argument that
    # switches this off does not reach the config.
    object.__setattr__(cfg, '_format_python_code', False)
    if options:
        try:
            cfg.merge_from_dict(options)
        except (KeyError, TypeError, AttributeError) as error:
            reasons = [_reason_refused(cfg, name) for name in options]
            why = next(filter(None, reasons), str(error))
            raise UserError(f'--cfg-options {why}') from error
    _add_augments(cfg)
    fill_in_auto(cfg)
    return cfg


def _add_augments(cfg: Config) -> None:
    """Insert `more_augments` before PackInputs in the pipeline of train.

    A config can replace an inherited list as a whole only; this extends it.
    """
    more = cfg.pop('more_augments', None)
    if not more:
        return
    for dataset in datasets(cfg, ('train_dataloader',)):
        pipeline = dataset.get('pipeline') or []
        packs = [
            place
            for place, step in enumerate(pipeline)
            if step.get('type') == 'PackInputs'
        ]
        if not packs:
            raise UserError(
                'more_augments are inserted before PackInputs, which the '
                'pipeline of train lacks: set the whole pipeline'
            )
        dataset.pipeline = [
            *pipeline[: packs[-1]],
            *more,
            *pipeline[packs[-1] :],
        ]


def _reason_refused(cfg: Config, name: str) -> str:
    """Why an option cannot be set in the config; empty if it can."""
    part, above, inside_list = cfg._cfg_dict, '', False
    for step in name.split('.'):
        if isinstance(part, list):
            if not step.isdigit() or int(step) >= len(part):
                places = f', {above}.0 to {above}.{len(part) - 1}'
                return (
                    f'{name}: {above} is a list with {len(part)} '
                    f'{"entry" if len(part) == 1 else "entries"}'
                    f'{places if part else ""}'
                )
            part, inside_list = part[int(step)], True
        elif not isinstance(part, dict):
            return (
                f'{name}: {above} is {str(part)[:60]!r} and has no {step}; '
                'a dict(…) in its place takes a config file'
            )
        elif step not in part:
            return ''
        else:
            part, inside_list = part[step], False
        above = f'{above}.{step}' if above else step
    if inside_list:
        return (
            f'{name}: an entry of a list is not replaced; set its keys, as '
            f'{name}.KEY=VALUE, or the whole list in a config file'
        )
    return ''


def use_data_root(cfg: Config, root: str) -> None:
    """Point every split at `root` (`--data`)."""
    for dataset in datasets(cfg):
        if 'data_root' in dataset:
            dataset.data_root = root
    cfg.data_root = root


def apply_dataset(cfg: Config) -> list[str]:
    """Set in place what the dataset determines; return the classes.

    Heads, preprocessor, mixing augmentations and label smoothing get the
    number of classes; top-5 goes where there are fewer than five. Where the
    dataset has no test split, testing uses val.
    """
    fill_in(cfg)
    root = data_root(cfg)
    training = list(datasets(cfg, ('train_dataloader',)))
    fill_in_schedule(cfg, training)
    require_epochs(cfg)
    # If another tool than ours has read the config.
    _add_augments(cfg)
    fill_in_auto(cfg)
    classes = read_classes(root)
    count = len(classes)
    for part in walk(cfg.model):
        # A VGG that returns features has -1.
        if part.get('num_classes', -1) != -1:
            part.num_classes = count
        if part.get('class_weight') == BALANCED:
            part.class_weight = balanced_weights(training, count)
    # Test-time augmentation wraps the model.
    model = cfg.model.get('module', cfg.model)
    head, backbone = model.get('head'), model.get('backbone')
    if key := WRAPPERS.get(bare_name(model.get('type'))):
        model[key] = count
    if head:
        if _accepts(head, 'num_classes'):
            head.num_classes = count
        elif backbone and _accepts(backbone, 'num_classes'):
            # VGG contains its classifier; its head has only the loss.
            backbone.num_classes = count
        if 'topk' in head:
            head.topk = _topk_below(head.topk, count)
        mixes = (cfg.model.get('train_cfg') or {}).get('augments')
        if mixes and _accepts(head, 'cal_acc'):
            # A mixed photo has more than one label.
            head.cal_acc = False
    cfg.data_preprocessor.num_classes = count
    for name in ('val_evaluator', 'test_evaluator'):
        for metric in metrics_of(cfg.get(name)):
            if 'topk' in metric:
                metric.topk = _topk_below(metric.topk, count)
            if 'num_classes' in metric:
                metric.num_classes = count
    for name in LOADERS:
        if cfg.get(name):
            # As MMPretrain's tools do. A config that inherited it would have
            # a key that the function does not accept.
            cfg[name].setdefault('collate_fn', {'type': 'default_collate'})
            _settle_loader(cfg[name], name)
    for dataset in datasets(cfg):
        if (
            dataset.get('split') == 'test'
            and not (root / DatasetDir.list_of('test')).exists()
        ):
            dataset.split = 'val'
    return classes


def fill_in(cfg: Config) -> None:
    """Replace None by the defaults of MMEngine's Runner and MMPretrain."""
    for key in FILLED_IN[:3]:
        if cfg.get(key) is None:
            cfg[key] = ConfigDict()
    if cfg.get('env_cfg') is None:
        cfg.env_cfg = ConfigDict(dist_cfg={'backend': 'nccl'})
    if cfg.get('visualizer') is None:
        cfg.visualizer = ConfigDict(
            type='Visualizer', vis_backends=[{'type': 'LocalVisBackend'}]
        )
    for key in FILLED_IN:
        if not isinstance(cfg[key], dict):
            raise UserError(
                f'invalid {key}: expected a dict, got {cfg[key]!r:.80}'
            )
    cfg.randomness.setdefault('seed', None)
    if cfg.visualizer.get('vis_backends') is None:
        cfg.visualizer.vis_backends = []


def _settle_loader(loader: ConfigDict, name: str) -> None:
    if not loader.get('num_workers'):
        # torch refuses these without workers.
        loader.persistent_workers = False
        loader.pop('prefetch_factor', None)
    kind = (loader.get('sampler') or {}).get('type')
    if bare_name(kind) == 'InfiniteSampler':
        raise UserError(
            f'invalid {name}.sampler.type: expected DefaultSampler, got '
            'InfiniteSampler, with which an epoch never ends.\n'
            f'--cfg-options {name}.sampler.type=DefaultSampler'
        )


def data_root(cfg: Config) -> Path:
    """The folder of the dataset, which all splits have in common."""
    roots = {
        str(dataset.data_root)
        for dataset in datasets(cfg)
        if dataset.get('data_root')
    }
    if len(roots) > 1:
        raise UserError(
            'the splits are in different folders: '
            f'{", ".join(sorted(roots))}.\n'
            'Use one dataset: --data FOLDER'
        )
    if not roots:
        raise UserError('the config names no dataset: --data FOLDER')
    root = Path(roots.pop())
    require_dataset(root)
    return root


def datasets(
    cfg: Config, loaders: tuple[str, ...] = LOADERS
) -> Iterator[ConfigDict]:
    """The dataset of each split, also inside wrappers."""
    for name in loaders:
        loader = cfg.get(name)
        if loader:
            yield from (
                part for part in walk(loader.dataset) if 'data_root' in part
            )


def walk(part):
    """Every dictionary in a part of a config."""
    if isinstance(part, dict):
        yield part
        for value in part.values():
            yield from walk(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            yield from walk(value)


def bare_name(kind: object) -> str:
    """Return the class name of a `type`, without scope or module."""
    name = kind if isinstance(kind, str) else getattr(kind, '__name__', '')
    return name.rpartition('.')[2].rpartition('/')[2]


def _accepts(part: ConfigDict, key: str) -> bool:
    """Whether the class of a part of the model accepts a key."""
    kind = part.get('type')
    if isinstance(kind, str):
        kind = MODELS.get(kind)
    if kind is None:
        return True  # building it reports an unknown type
    arguments = inspect.signature(kind).parameters.values()
    return any(
        argument.name == key or argument.kind == argument.VAR_KEYWORD
        for argument in arguments
    )


def metrics_of(evaluator: dict | list | None) -> list[ConfigDict]:
    """The metrics of an evaluator, in any form that MMEngine accepts."""
    if isinstance(evaluator, dict) and 'metrics' in evaluator:
        evaluator = evaluator['metrics']
    if isinstance(evaluator, dict):
        return [evaluator]
    return list(evaluator or [])


def _topk_below(topk: int | tuple, count: int) -> tuple:
    """Keep each k of top-k that is less than the number of classes."""
    wanted = (topk,) if isinstance(topk, int) else tuple(topk)
    return tuple(k for k in wanted if k < count) or (1,)

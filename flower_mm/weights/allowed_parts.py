"""The parts of a model that a file may ask for, with the arguments of each.

The classes are those that MMPretrain and flower_mm register in the modules
below, and those of modules that the user has named himself. The arguments are
those of a class's signature; their values are numbers, words, lists, and dicts
that are checked alike.
"""

import inspect
import re

from mmengine.registry import Registry

from flower_mm.errors import printable
from flower_mm.registry import MODELS
from flower_mm.user_modules import how_to_import
from flower_mm.weights.allowed_networks import (
    HUGGING_FACE,
    TIMM,
    TIMM_BACKBONE,
    is_repository,
    is_timm_name,
)
from flower_mm.weights.allowed_values import (
    LONGEST_LIST,
    Check,
    choice,
    integer,
    is_flag,
    is_name,
    is_number,
    is_word,
    number,
    optional,
    some,
)

SCOPES = ('flower_mm', 'mmpretrain', 'mmcls', 'mmcv', 'mmengine')
# Of the heads one reads a pickle and one a list from wherever the config says.
HEADS = (
    'cls_head',
    'conformer_head',
    'deit_head',
    'efficientformer_head',
    'levit_head',
    'linear_head',
    'multi_label_cls_head',
    'multi_label_csra_head',
    'multi_label_linear_head',
    'stacked_head',
    'vig_head',
    'vision_transformer_head',
)
MODULES = (
    'flower_mm',
    'mmcv.cnn.bricks',
    'mmengine.utils.dl_utils.parrots_wrapper',  # SyncBN
    'mmpretrain.models.backbones',
    'mmpretrain.models.classifiers',
    *(f'mmpretrain.models.heads.{head}' for head in HEADS),
    'mmpretrain.models.losses',
    'mmpretrain.models.necks',
    'mmpretrain.models.utils.attention',
    'mmpretrain.models.utils.norm',
    'torch.nn.modules',
)
# For training only, or replaced by the weights in the file.
LEFT_OUT = ('init_cfg', 'pretrained', 'train_cfg', 'batch_augments')
# Arguments of classes on the list that take objects, files or processes.
FORBIDDEN = (
    'backend_args',
    'checkpoint',
    'checkpoint_path',
    'data_preprocessor',
    'device',
    'dtype',
    'file_client_args',
    'lazy',
    'model',
    'module',
    'out_dir',
    'plugins',
    'process_group',
    'self',
)
# Keys beside the arguments of a class that mmcv's builders read themselves.
BUILDER_KEYS = {'type', 'requires_grad'}
DEEPEST = 20

PREPROCESSOR: dict[str, Check] = {
    'type': choice('ClsDataPreprocessor', 'mmpretrain.ClsDataPreprocessor'),
    'mean': optional(some(number(-1000, 1000), 1, 4)),
    'std': optional(some(number(1e-3, 1000), 1, 4)),
    'pad_size_divisor': integer(1, 1024),
    'pad_value': number(-1000, 1000),
    'to_rgb': is_flag,
    'to_onehot': is_flag,
    'num_classes': optional(is_number),
}


class DisallowedValueError(Exception):
    """A value that a classifier's config does not have; says where."""


class PartChecker:
    """Rebuilds the config of a model from what is allowed.

    Args:
        imports: Modules that the user has named; parts that they register
            are allowed.
    """

    def __init__(self, imports: tuple[str, ...] = ()) -> None:
        self.imports = imports

    def model(self, part: dict, place: str) -> dict:
        name = part.get('type')
        classes = self.registered(MODELS, name, f'{place}.type')
        if not self.is_own(classes) and not all(
            is_within(cls, ('mmpretrain.models.classifiers',))
            for cls in classes
        ):
            raise DisallowedValueError(
                f'names {short(name)} at {place}.type, no classifier'
            )
        inner = part.get('data_preprocessor')
        checked = self._dict(
            {k: v for k, v in part.items() if k != 'data_preprocessor'},
            place,
            0,
        )
        if inner is not None:
            checked['data_preprocessor'] = self.preprocessor(
                inner, f'{place}.data_preprocessor'
            )
        return checked

    def preprocessor(self, part: dict, place: str) -> dict:
        if not isinstance(part, dict):
            raise DisallowedValueError(f'has {short(part)} at {place}')
        part = without_scope(part)
        return self.arguments(part, PREPROCESSOR, place)

    def arguments(
        self, part: dict, allowed: dict[str, Check], place: str
    ) -> dict:
        """Values that a list allows, each by its own check."""
        kept = {}
        for key, value in part.items():
            where = f'{place}.{short_key(key)}'
            if key in LEFT_OUT:
                continue
            if type(key) is not str or key not in allowed:
                raise DisallowedValueError(
                    f'has {where}, no argument of its type'
                )
            if not allowed[key](value):
                raise DisallowedValueError(f'has {short(value)} at {where}')
            kept[key] = value
        return kept

    def part(self, value: object, place: str, depth: int = 0) -> object:
        """The same value; raises at the first that is not allowed."""
        if depth > DEEPEST:
            raise DisallowedValueError(
                f'is nested over {DEEPEST} deep at {place}'
            )
        if isinstance(value, dict):
            return self._dict(value, place, depth)
        if isinstance(value, (list, tuple)):
            if len(value) > LONGEST_LIST:
                raise DisallowedValueError(
                    f'has {len(value):,} values at {place}'
                )
            return [
                self.part(item, f'{place}.{i}', depth + 1)
                for i, item in enumerate(value)
            ]
        is_plain = is_flag(value) or is_number(value) or is_word(value)
        if value is None or is_plain:
            return value
        if isinstance(value, (int, float, str)):
            raise DisallowedValueError(f'has {short(value)} at {place}')
        raise DisallowedValueError(f'has a {type(value).__name__} at {place}')

    def _dict(self, part: dict, place: str, depth: int) -> dict:
        part = without_scope(part)
        if 'type' not in part:
            names = None
        else:
            where = f'{place}.type'
            classes = self.registered(MODELS, part['type'], where)
            part = part | {'type': bare_name(part['type'])}
            for cls in classes:
                if rebuild := WRAPPERS.get(_full_name(cls)):
                    return rebuild(self, part, place, depth)
            names = set.union(*map(argument_names, classes)) | BUILDER_KEYS
        kept = {}
        for key, value in part.items():
            where = f'{place}.{short_key(key)}'
            if key in LEFT_OUT:
                continue
            if not is_name(key) or key in FORBIDDEN:
                raise DisallowedValueError(f'has {where}')
            if names is not None and key not in names:
                raise DisallowedValueError(
                    f'has {where}, no argument of its type'
                )
            kept[key] = (
                value if key == 'type' else self.part(value, where, depth + 1)
            )
        return kept

    def registered(
        self, registry: Registry, name: object, place: str
    ) -> list[type]:
        """The classes of that name, all of which are allowed."""
        bare = bare_name(name)
        if not bare:
            raise DisallowedValueError(
                f'names {short(name)} at {place}, no registered type'
            )
        classes = find_classes(registry, bare)
        if not classes:
            raise DisallowedValueError(
                f'names {short(name)} at {place}, no part of a classifier '
                'that mmpretrain or flower_mm has; if it is in a module of '
                f'your own: {how_to_import()}'
            )
        if not all(
            inspect.isclass(cls)
            and (is_within(cls, MODULES) or is_within(cls, self.imports))
            for cls in classes
        ):
            raise DisallowedValueError(
                f'names {short(name)} at {place}, no part of a classifier'
                + self._hint(classes)
            )
        return classes

    def is_own(self, classes: list) -> bool:
        """Whether the user's own modules define all of these."""
        return all(is_within(cls, self.imports) for cls in classes)

    def _hint(self, classes: list) -> str:
        module = next(
            (
                cls.__module__
                for cls in classes
                if cls.__module__.partition('.')[0]
                not in ('mmpretrain', 'mmengine', 'mmcv', 'torch', 'builtins')
                and not is_within(cls, MODULES)
            ),
            '',
        )
        if not module:
            return ''
        module = printable(module, 60)
        return f'; if {module} is your own: {how_to_import(module)}'


def _timm(checker: PartChecker, part: dict, place: str, depth: int) -> dict:
    name = _timm_name(part, place)
    kept = _wrapped(checker, part, place, depth, TIMM)
    return kept | {'model_name': name, 'pretrained': False}


def _timm_backbone(
    checker: PartChecker, part: dict, place: str, depth: int
) -> dict:
    """Our own class, which loads no weights."""
    name = _timm_name(part, place)
    kept = _wrapped(checker, part, place, depth, TIMM_BACKBONE)
    return kept | {'model_name': name}


def _timm_name(part: dict, place: str) -> str:
    name = part.pop('model_name', None)
    if not is_timm_name(name):
        raise DisallowedValueError(
            f'has {short(name)} at {place}.model_name, no model of timm'
        )
    return name


def _hugging_face(
    checker: PartChecker, part: dict, place: str, depth: int
) -> dict:
    """Its name is looked up in the user's cache only."""
    name = part.pop('model_name', None)
    if not is_repository(name):
        raise DisallowedValueError(f'has {short(name)} at {place}.model_name')
    kept = _wrapped(checker, part, place, depth, HUGGING_FACE)
    return kept | {
        'model_name': name,
        'pretrained': False,
        'local_files_only': True,
        'trust_remote_code': False,
    }


def _wrapped(
    checker: PartChecker,
    part: dict,
    place: str,
    depth: int,
    allowed: dict[str, Check],
) -> dict:
    own = {k: v for k, v in part.items() if k not in ('type', 'loss')}
    kept = {'type': part['type'], **checker.arguments(own, allowed, place)}
    if 'loss' in part:
        kept['loss'] = checker.part(part['loss'], f'{place}.loss', depth + 1)
    return kept


WRAPPERS = {
    'flower_mm.models.timm_backbone.TimmBackbone': _timm_backbone,
    'mmpretrain.models.backbones.timm_backbone.TIMMBackbone': _timm,
    'mmpretrain.models.classifiers.timm.TimmClassifier': _timm,
    'mmpretrain.models.classifiers.hugging_face.HuggingFaceClassifier': (
        _hugging_face
    ),
}


def find_classes(registry: Registry, name: str) -> list:
    """What the registry and those above have; it is not looked up further.

    `Registry.get` would go on to import a module of that name.
    """
    found = []
    while registry is not None:
        registry.import_from_location()
        if name in registry.module_dict:
            found.append(registry.module_dict[name])
        registry = registry.parent
    return found


def argument_names(cls: type) -> set[str]:
    """The arguments that a class takes by name, those of its parents too."""
    names = set()
    for base in cls.__mro__:
        if '__init__' not in vars(base):
            continue
        try:
            signature = inspect.signature(vars(base)['__init__'])
        except ValueError:
            break
        arguments = signature.parameters.values()
        names |= {argument.name for argument in arguments}
        if not any(a.kind is a.VAR_KEYWORD for a in arguments):
            break
    return names


def without_scope(part: dict) -> dict:
    """Without the mark that MMEngine puts on MMPretrain's own configs."""
    if part.get('_scope_') in SCOPES:
        return {k: v for k, v in part.items() if k != '_scope_'}
    return dict(part)


def bare_name(name: object) -> str:
    """A type without its scope; empty if it is no name of a registry."""
    if type(name) is not str:
        return ''
    scope, dot, bare = name.rpartition('.')
    plain = re.fullmatch(r'(torchvision/)?[A-Za-z]\w*', bare, re.ASCII)
    return bare if plain and (not dot or scope in SCOPES) else ''


def is_within(cls: object, modules: tuple[str, ...]) -> bool:
    module = getattr(cls, '__module__', '')
    return any(f'{module}.'.startswith(f'{name}.') for name in modules)


def _full_name(cls: type) -> str:
    return f'{cls.__module__}.{cls.__qualname__}'


def short(value: object) -> str:
    return printable(repr(value), 100)


def short_key(key: object) -> str:
    return key if is_word(key) else short(key)

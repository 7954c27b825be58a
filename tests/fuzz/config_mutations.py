"""Random changes of a classifier's config, mild ones and wild ones.

A mild change keeps to what the closed lists accept, so that the model is
built and run; a wild one puts anything anywhere.
"""

import copy
import socket

from base_configs import BASES
from config_words import MODULE, MODULE_WORDS, configs_with_a_word
from hypothesis import strategies as st
from registered_parts import (
    ARGUMENTS,
    DEFAULT_WORDS,
    HOOK_NAMES,
    PART_CLASSES,
    PARTS,
    STEP_CLASSES,
    STEPS,
    filled,
    is_required,
    parameters_of,
    relatives,
)

from flower_mm.weights import allowed_parts, allowed_transforms
from flower_mm.weights.allowed_values import Check


def _closed_port() -> int:
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


URL = f'http://127.0.0.1:{_closed_port()}/x'
WRAPPERS = ('Compose', 'KeyMapper', 'RandomApply', 'RandomChoice')
WRAPPERS += ('ApplyToList', 'MultiView', 'TestTimeAug', 'TransformBroadcaster')
BACKENDS = [
    {
        'backend': 'memcached',
        'server_list_cfg': 'a',
        'client_cfg': 'b',
        'sys_path': 'best.pth',
    },
    *({'backend': name} for name in ('http', 'local', 'lmdb', 'petrel')),
]
TYPES = [
    *('os.system', 'builtins.eval', 'torch.load', 'torch.hub.load', 'mc'),
    *('mmengine.load', 'subprocess.run', 'antigravity', MODULE, f'{MODULE}.x'),
    *('flower_mm.os.system', '', '.', 'torch.nn.Linear', *HOOK_NAMES),
]
words = st.sampled_from(
    [
        *('canary', 'file', 'pipe'),  # replaced by these places
        *(URL, f'{URL}.pth', 'best.pth', '/etc/passwd', '../x', '~/x'),
        *('hf-hub:a/b', 'local-dir:/tmp', 's3://a/b', 'a\0b', 'x' * 5000),
        *('\x1b[31m', '', 'nan', 'cv2', 'pillow', 'bilinear', 'bicubic'),
        *('short', 'constant', 'reflect', 'color', 'grayscale', 'img'),
        *('img_path', 'keep_ratio', 'resnet18', 'pytorch', 'float32', *TYPES),
        '__import__("os").system("touch x")',
    ]
)
numbers = st.sampled_from(
    [
        *(-1, 0, 1, 2, 3, 8, 31, 32, 33, 224, 4096, 4097, 10**5, 10**9),
        *(2**31, 2**63, 10**30, 0.0, 0.5, 1.0, -0.5, 1e-9, 1e9, 1e300),
        *(float('nan'), float('inf'), -float('inf')),
    ]
)
flat = st.none() | st.booleans() | numbers | words | st.just(b'x')


# --- wild --------------------------------------------------------------------


@st.composite
def steps(draw: st.DrawFn, depth: int = 0) -> dict:
    """A transform, with arguments that it takes or not."""
    if depth < 4 and draw(st.integers(0, 4)) == 0:
        step = {
            'type': draw(st.sampled_from(WRAPPERS)),
            'transforms': draw(st.lists(steps(depth + 1), max_size=2)),
        }
        if draw(st.booleans()):
            step['mapping'] = {'img_path': draw(words)}
        return step
    listed = sorted(allowed_transforms.TRANSFORMS)
    name = draw(st.sampled_from(listed) | st.sampled_from([*STEPS, *TYPES]))
    own = STEPS.get(name) or ARGUMENTS
    keys = st.sampled_from(own) | st.sampled_from(ARGUMENTS)
    step = draw(st.dictionaries(keys, values(depth + 1), max_size=3))
    return step | {'type': name}


@st.composite
def parts(draw: st.DrawFn, depth: int = 0) -> dict:
    """A part of a model, likewise."""
    name = draw(st.sampled_from([*PARTS, *TYPES]))
    own = PARTS.get(name) or ARGUMENTS
    keys = st.sampled_from(own) | st.sampled_from(ARGUMENTS)
    part = draw(st.dictionaries(keys, values(depth + 1), max_size=3))
    return part | {'type': name}


def values(depth: int) -> st.SearchStrategy:
    if depth > 3:
        return flat
    inner = st.deferred(lambda: values(depth + 1))
    return st.one_of(
        flat,
        flat,
        st.lists(flat, max_size=4),
        st.lists(numbers, min_size=1, max_size=4),
        st.deferred(lambda: _one_of(BACKENDS)),
        st.dictionaries(st.sampled_from(ARGUMENTS), inner, max_size=2),
        st.deferred(lambda: steps(depth + 1)),
        st.deferred(lambda: parts(depth + 1)),
        st.integers(10, 120).map(_nest),
    )


def _nest(depth: int) -> object:
    value: object = 'deep'
    for _ in range(depth):
        value = [value]
    return value


def containers(value: object) -> list[dict | list]:
    """The dicts and lists inside, which can be changed."""
    if isinstance(value, dict):
        return [value, *(c for v in value.values() for c in containers(v))]
    if isinstance(value, list):
        return [value, *(c for v in value for c in containers(v))]
    return []


def _pipeline(config: dict) -> list:
    return config['test_dataloader']['dataset']['pipeline']


def _wild(draw: st.DrawFn, config: dict, pipeline: list, model: dict) -> None:
    dicts = [step for step in pipeline if isinstance(step, dict)]
    match draw(st.integers(0, 5)):
        case 0 | 1:
            at = draw(st.integers(0, len(pipeline)))
            pipeline.insert(at, draw(steps()))
        case 2 if dicts:
            step = draw(st.sampled_from(dicts))
            names = STEPS.get(str(step.get('type'))) or ARGUMENTS
            key = draw(st.sampled_from(names) | st.sampled_from(ARGUMENTS))
            step[key] = draw(values(0))
        case 3:
            key = draw(st.sampled_from(['backbone', 'neck', 'head']))
            model[key] = draw(parts())
        case _:
            _change(draw, draw(st.sampled_from(containers(config))))


def _change(draw: st.DrawFn, place: dict | list) -> None:
    """Put something else in, or take something out."""
    keys = list(place) if isinstance(place, dict) else list(range(len(place)))
    key = draw(st.sampled_from(keys)) if keys else None
    if key is not None and draw(st.integers(0, 5)) == 0:
        del place[key]
    elif isinstance(place, dict) and draw(st.booleans()):
        name = PARTS.get(str(place.get('type'))) or ARGUMENTS
        other = st.sampled_from([1, -1, None, 1.5, True, '_scope_', '_x', ''])
        place[draw(st.sampled_from(name) | other)] = draw(values(0))
    elif key is not None:
        place[key] = draw(values(0) | st.sampled_from(TYPES))


# --- mild: the pipeline ------------------------------------------------------

_SCALARS = [
    *(None, False, True, -1, 0, 1, 2, 3, 8, 31, 32, 33, 48, 100, 255, 360),
    *('', 16, 0.01, 0.1, 0.5, 0.9, 1.0, 1.5, 10.0, -0.5, 127.5),
    *('cv2', 'pillow', 'nearest', 'bilinear', 'bicubic', 'area', 'lanczos'),
    *('box', 'hamming', 'constant', 'edge', 'reflect', 'symmetric', 'short'),
    *('long', 'width', 'height', 'color', 'grayscale', 'uint8', 'float32'),
    *('horizontal', 'vertical', 'diagonal', 'img', 'img_shape', 'ori_shape'),
]
# Sizes at the end of what is allowed take seconds, so they are rare.
_POOL = [
    *(_SCALARS * 3),
    *(2048, 4096, -1000, 1000),
    *([], [32, 32], [48, 32], [32, 48], [1, 33], [8, 8, 16, 16], [0, 1]),
    *([0.5, 1.0], [0.2, 0.9], [0.75, 1.25], [-0.1, 0.1], [-30, 30]),
    *([128], [0.5, 0.5, 0.5], [100, 110, 120], [58.0, 57.0, 56.0]),
    *([0.1, 0.2, 0.3], ['horizontal'], ['horizontal', 'vertical']),
    *(['img_shape'], ['ori_shape', 'img_shape'], [4096, 4096], [1, 4096]),
    *({'type': 'Pad', 'pad_val': 7}, {'type': 'Pad', 'size_divisor': 8}),
    *({'img': 3}, {'img': [1, 2, 3], 'seg': 255}),
]


def accepted(check: Check) -> list:
    """What of the pool a closed list accepts for an argument."""
    return [value for value in _POOL if check(value)]


def _one_of(values: list) -> st.SearchStrategy:
    # A copy, as a later change may be made inside.
    return st.sampled_from(values).map(copy.deepcopy)


ACCEPTED = {
    name: {key: accepted(check) for key, check in arguments.items()}
    for name, arguments in allowed_transforms.TRANSFORMS.items()
}
_INNER = [
    name
    for name in ACCEPTED
    if name not in (allowed_transforms.LOAD, allowed_transforms.PACK)
]


@st.composite
def allowed_steps(draw: st.DrawFn) -> dict:
    """A transform of the closed list, with values that it accepts."""
    name = draw(st.sampled_from(_INNER))
    parameters = parameters_of(STEP_CLASSES[name])
    step = {'type': name}
    for key, allowed in ACCEPTED[name].items():
        parameter = parameters.get(key)
        required = parameter is not None and is_required(parameter)
        if required or draw(st.integers(0, 3)) == 0:
            step[key] = draw(_one_of(allowed))
    return step


def _insert_step(draw: st.DrawFn, config: dict) -> None:
    pipeline = _pipeline(config)
    # Most transforms want an image as the loading leaves it.
    at = st.just(1) | st.integers(1, len(pipeline) - 1)
    pipeline.insert(draw(at), draw(allowed_steps()))


def _change_step(draw: st.DrawFn, config: dict) -> None:
    step = draw(st.sampled_from(_pipeline(config)))
    arguments = ACCEPTED.get(step['type'])
    if arguments:
        key = draw(st.sampled_from(sorted(arguments)))
        step[key] = draw(_one_of(arguments[key]))


# What a wrapper hands on to timm.
TIMM = {key: accepted(check) for key, check in allowed_parts.TIMM.items()} | {
    'model_name': ['test_resnet', 'test_vit', 'test_efficientnet']
}


# --- mild: the model ---------------------------------------------------------


def typed_dicts(value: object) -> list[dict]:
    return [
        place
        for place in containers(value)
        if isinstance(place, dict) and place.get('type') in PART_CLASSES
    ]


def _similar(draw: st.DrawFn, value: object) -> object:
    """Another value of the same kind."""
    match value:
        case bool():
            return not value
        case int():
            others = {value - 1, value + 1, 2 * value, value // 2, 0, 1, -1}
            return draw(st.sampled_from(sorted(others - {value})))
        case float():
            return draw(st.sampled_from([0.0, 0.5, 1.0, -value, 2 * value]))
        case str():
            return draw(st.sampled_from([*DEFAULT_WORDS, *MODULE_WORDS]))
        case [*items] if items:
            at = draw(st.integers(0, len(items) - 1))
            other = _similar(draw, items[at])
            shapes = [[*items[:at], other, *items[at + 1 :]], [*items, other]]
            return draw(st.sampled_from([*shapes, items[:at], other]))
        case _:
            return draw(st.sampled_from([1, 8, True, 0.5, [8], 'Conv2d']))


def _change_value(draw: st.DrawFn, config: dict) -> None:
    """A number, flag or word becomes a similar one, a type a relative."""
    places = [c for c in containers(config['model']) if c]
    place = draw(st.sampled_from([*places, config['data_preprocessor']]))
    keys = list(place) if isinstance(place, dict) else range(len(place))
    key = draw(st.sampled_from(list(keys)))
    if key == 'type':
        place[key] = draw(st.sampled_from(relatives(place[key]) or ('GN',)))
    elif not isinstance(place[key], dict):
        place[key] = _similar(draw, place[key])


def _add_argument(draw: st.DrawFn, config: dict) -> None:
    """An argument that a part takes, of the kind of its default."""
    part = draw(st.sampled_from(typed_dicts(config['model'])))
    if part['type'] == 'TIMMBackbone':
        key = draw(st.sampled_from(sorted(TIMM)))
        part[key] = draw(_one_of(TIMM[key]))
        return
    parameters = parameters_of(PART_CLASSES[part['type']])
    if parameters:
        key = draw(st.sampled_from(sorted(parameters)))
        default = parameters[key].default
        if isinstance(default, tuple):
            default = list(default)
        part[key] = _similar(draw, default)


def _replace_part(draw: st.DrawFn, config: dict) -> None:
    """Another backbone, neck or head, with the same values where it can."""
    model = config['model']
    keys = [k for k in model if model[k] in typed_dicts(model)]
    if not keys:
        return
    key = draw(st.sampled_from(keys))
    part = filled(draw(st.sampled_from(relatives(model[key]['type']))))
    names = parameters_of(PART_CLASSES[part['type']])
    kept = {k: v for k, v in model[key].items() if k in names}
    part = part | (kept if draw(st.booleans()) else {})
    for argument, sizes in _sizes(part['type']).items():
        part[argument] = draw(st.sampled_from(sizes))
    model[key] = part


def _sizes(name: str) -> dict[str, list]:
    """The named sizes of a backbone, and the argument that takes them."""
    part = PART_CLASSES[name]
    settings = getattr(part, 'arch_zoo', getattr(part, 'arch_settings', None))
    if not isinstance(settings, dict):
        return {}
    names = parameters_of(part).keys() & {'arch', 'depth'}
    return dict.fromkeys(names, sorted(settings, key=str))


# --- all ---------------------------------------------------------------------

_MILD = (
    *(_insert_step, _insert_step, _change_step, _change_step),
    *(_change_value, _change_value, _add_argument, _add_argument),
    _replace_part,
)


@st.composite
def configs(draw: st.DrawFn) -> tuple[str, dict]:
    """The name of a base config, and that config changed, mostly once."""
    kind = draw(st.sampled_from(['mild', 'mild', 'mild', 'word', 'wild']))
    if kind == 'word':
        return draw(configs_with_a_word())
    name = draw(st.sampled_from(sorted(BASES)))
    config = copy.deepcopy(BASES[name])
    pipeline, model = _pipeline(config), config['model']
    for _ in range(draw(st.sampled_from([1, 1, 1, 1, 2, 3]))):
        if kind == 'mild':
            draw(st.sampled_from(_MILD))(draw, config)
        else:
            _wild(draw, config, pipeline, model)
    return name, config

"""Configs in best.pth, changed at random: a prediction or our error.

Python's audit events are watched meanwhile: nothing but the photo and the
file of the model is opened, and nothing is imported, sent or run.
"""

import copy
import inspect
import os
import socket
from pathlib import Path

import pytest
import torch
from helpers import CLASSES, draw_photo
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.registry import Registry
from rubbish import COUNTS, fuzz, only_ours
from watching import NotAllowedError, seen, watched

from flower_mm import Classifier
from flower_mm.errors import UserError
from flower_mm.registry import BATCH_AUGMENTS, HOOKS, MODELS, TRANSFORMS
from flower_mm.weights import allowed_parts, allowed_transforms
from flower_mm.weights.best_checkpoint import write_safetensors

CONFIG = {
    'default_scope': 'flower_mm',
    'model': {
        'type': 'ImageClassifier',
        'backbone': {
            'type': 'ResNet',
            'depth': 18,
            'stem_channels': 8,
            'base_channels': 8,
            'num_stages': 2,
            'strides': [1, 2],
            'dilations': [1, 1],
            'out_indices': [1],
            'norm_cfg': {'type': 'GN', 'num_groups': 4},
        },
        'neck': {'type': 'GlobalAveragePooling'},
        'head': {
            'type': 'LinearClsHead',
            'num_classes': 3,
            'in_channels': 16,
            'loss': {'type': 'CrossEntropyLoss'},
            'topk': [1],
        },
    },
    'data_preprocessor': {
        'mean': [123.675, 116.28, 103.53],
        'std': [58.395, 57.12, 57.375],
        'to_rgb': True,
        'num_classes': 3,
    },
    'test_dataloader': {
        'dataset': {
            'pipeline': [
                {'type': 'LoadImageFromFile'},
                {'type': 'ResizeEdge', 'scale': 32, 'edge': 'short'},
                {'type': 'CenterCrop', 'crop_size': 32},
                {'type': 'PackInputs'},
            ]
        }
    },
}
MODULE = 'imported_by_a_checkpoint'  # lies beside the file


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(('127.0.0.1', 0))
        return one.getsockname()[1]


URL = f'http://127.0.0.1:{closed_port()}/x'
# The real one is known when the test begins.
PLACES = {'canary': '/elsewhere/x'}
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


def names_of(*registries: Registry) -> dict[str, list[str]]:
    """Each registered name, and the arguments that it takes."""
    found = {}
    for registry in registries:
        while registry is not None:
            registry.import_from_location()
            for name, part in registry.module_dict.items():
                found[name] = arguments_of(part)
            registry = registry.parent
    return dict(sorted(found.items()))


def arguments_of(part: object) -> list[str]:
    part = getattr(part, 'keywords', {}).get('transform', part)
    if inspect.isclass(part):
        return sorted(allowed_parts.argument_names(part))
    return sorted(inspect.signature(part).parameters)


STEPS = names_of(TRANSFORMS)
PARTS = names_of(MODELS, BATCH_AUGMENTS)
ARGUMENTS = sorted(
    {name for names in (STEPS | PARTS).values() for name in names}
    | {'backend_args', 'file_client_args', 'init_cfg', 'pretrained', 'type'}
)
TYPES = [
    *('os.system', 'builtins.eval', 'torch.load', 'torch.hub.load', 'mc'),
    *('mmengine.load', 'subprocess.run', 'antigravity', MODULE, f'{MODULE}.x'),
    *('flower_mm.os.system', '', '.', 'torch.nn.Linear', *names_of(HOOKS)),
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
        st.sampled_from(BACKENDS),
        st.dictionaries(st.sampled_from(ARGUMENTS), inner, max_size=2),
        st.deferred(lambda: steps(depth + 1)),
        st.deferred(lambda: parts(depth + 1)),
        st.integers(10, 120).map(nest),
    )


def nest(depth: int) -> object:
    value: object = 'deep'
    for _ in range(depth):
        value = [value]
    return value


def places_in(value: object) -> list[dict | list]:
    """The dicts and lists inside that can be changed."""
    if isinstance(value, dict):
        return [value, *(p for v in value.values() for p in places_in(v))]
    if isinstance(value, list):
        return [value, *(p for v in value for p in places_in(v))]
    return []


@st.composite
def configs(draw: st.DrawFn) -> dict:
    config = copy.deepcopy(CONFIG)
    pipeline = config['test_dataloader']['dataset']['pipeline']
    model = config['model']
    for _ in range(draw(st.integers(1, 3))):
        match draw(st.integers(0, 5)):
            case 0 | 1:
                at = draw(st.integers(0, len(pipeline)))
                pipeline.insert(at, draw(steps()))
            case 2 if any(isinstance(step, dict) for step in pipeline):
                step = draw(
                    st.sampled_from(
                        [step for step in pipeline if isinstance(step, dict)]
                    )
                )
                names = STEPS.get(str(step.get('type'))) or ARGUMENTS
                key = draw(st.sampled_from(names) | st.sampled_from(ARGUMENTS))
                step[key] = draw(values(0))
            case 3:
                key = draw(st.sampled_from(['backbone', 'neck', 'head']))
                model[key] = draw(parts())
            case _:
                change(draw, draw(st.sampled_from(places_in(config))))
    return config


def change(draw: st.DrawFn, place: dict | list) -> None:
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


def placed(value: object) -> object:
    """With the places of this session for the words that stand for them."""
    if isinstance(value, dict):
        return {placed(key): placed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [placed(item) for item in value]
    return PLACES.get(value, value) if type(value) is str else value


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('configs')
    draw_photo(folder / 'photo.jpg', 0, 0)
    draw_photo(folder / 'other.jpg', 1, 0)
    os.mkfifo(folder / 'pipe')
    canary = folder / 'canary'
    code = f'open({str(canary)!r}, "w").close()\n'
    (folder / f'{MODULE}.py').write_text(code)
    (folder / 'mc.py').write_text(code)
    PLACES.update(
        canary=str(canary),
        pipe=str(folder / 'pipe'),
        file=f'file://{folder / "other.jpg"}',
    )
    return folder


class Weights(dict):
    """Of the model; an error need not show them all."""

    def __repr__(self) -> str:
        return 'weights'


@pytest.fixture(scope='module')
def weights(folder) -> Weights:
    import timm  # noqa: F401  so that it is there when it is watched

    config = copy.deepcopy(CONFIG)
    model = MODELS.build(Config(config).model)
    found = Weights(model.state_dict())
    # Libraries load some of their parts when they first need them.
    for path in (folder / 'good.pth', folder / 'good.safetensors'):
        write(path, CONFIG, found)
        for _ in range(2):
            assert predicted(path, folder / 'photo.jpg') in CLASSES
    return found


def predicted(path: Path, photo: Path) -> str:
    """The class, or a UserError; the tools make one of MemoryError."""
    try:
        return Classifier(path, 'cpu')(photo).label
    except MemoryError:
        raise UserError('not enough memory') from None


def write(path: Path, config: dict, weights: dict[str, torch.Tensor]) -> None:
    meta = {'cfg': config, 'dataset_meta': {'classes': CLASSES}}
    if path.suffix == '.pth':
        torch.save({'state_dict': dict(weights), 'meta': meta}, path)
    else:
        write_safetensors(path, weights, meta)


def test_the_good_one_predicts(folder, weights):
    for path in (folder / 'good.pth', folder / 'good.safetensors'):
        with watched(path, folder / 'photo.jpg'):
            assert predicted(path, folder / 'photo.jpg') in CLASSES


def test_the_hook_sees_what_must_not_happen(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    for act in (
        lambda: (folder / 'other.jpg').read_bytes(),
        lambda: (folder / 'photo.jpg').open('ab'),
        lambda: __import__(MODULE),
        lambda: socket.create_connection(('127.0.0.1', 9)),
        lambda: os.system('true'),  # noqa: S605
        lambda: eval('1 + 1'),  # noqa: S307
    ):
        with pytest.raises(NotAllowedError), watched(folder / 'photo.jpg'):
            act()
        seen.clear()


@fuzz(2.5)
@given(config=configs(), table=st.booleans())
def test_configs(folder, weights, config, table):
    path = folder / ('best.safetensors' if table else 'best.pth')
    try:
        write(path, placed(config), weights)
    except RecursionError:
        return
    with only_ours('configs'), watched(path, folder / 'photo.jpg'):
        assert predicted(path, folder / 'photo.jpg') in CLASSES
        COUNTS['configs that predict'] += 1
    assert not (folder / 'canary').exists()

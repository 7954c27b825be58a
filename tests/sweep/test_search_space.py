"""The parameters of a search, and the photos that decide in it."""

from pathlib import Path

import pytest
from fake_trainings import plan
from helpers import CLASSES, ROOT, draw_photo, mostly_nightly, tool

from flower_mm.config import resolve
from flower_mm.errors import UserError
from flower_mm.sweep.search_parameters import NAMED
from flower_mm.sweep.search_photos import split_validation
from flower_mm.sweep.search_space import own_values, settings_of

FLOWER = ROOT / 'configs' / 'flower'


@pytest.fixture
def planned(dataset, tmp_path):
    def planned(*names: str, **others: object):
        paths = [str(FLOWER / f'{name}.py') for name in names]
        return plan(
            paths[0], dataset, tmp_path / 'out', configs=paths,
            from_scratch=True, **{'epochs': None} | others,
        )  # fmt: skip

    return planned


def space_file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / 'space.toml'
    path.write_text(text, encoding='utf-8')
    return path


def test_default_space_of_backbones_with_and_without_layers(planned):
    mobilenet = planned('mobilenet_v2_flower')
    assert {*mobilenet.space} == {*NAMED} - {'layer_decay'}
    resnet = planned('resnet50_flower')
    assert {*resnet.space} == {*NAMED} - {'head_learning_rate'}
    both = planned('resnet50_flower', 'mobilenet_v2_flower')
    assert {*both.space} == {'config', *NAMED}


def test_own_values_leave_the_config_as_it_is(planned):
    for name in ('mobilenet_v2_flower', 'resnet50_flower'):
        plan = planned(name)
        (config,) = plan.configs.values()
        values = own_values(plan.space, config)
        changed = config.cfg.copy()
        changed.merge_from_dict(settings_of(config, values))
        changed.work_dir = 'unused'
        now, before = resolve(changed).cfg, config.resolved
        assert now.optim_wrapper.optimizer == before.optim_wrapper.optimizer
        assert now.train_cfg == before.train_cfg
        assert now.model == before.model
        pipelines = [
            part.val_dataloader.dataset.pipeline for part in (now, before)
        ]
        assert pipelines[0] == pipelines[1]
        for new, old in zip(
            now.train_dataloader.dataset.pipeline,
            before.train_dataloader.dataset.pipeline,
            strict=True,
        ):
            assert {k: pytest.approx(v) for k, v in old.items()} == new


def test_values_reach_the_config(planned):
    plan = planned('resnet50_flower')
    (config,) = plan.configs.values()
    values = {
        'learning_rate': 2.0, 'layer_decay': 0.7, 'weight_decay': 0.01,
        'mixup': 0.2, 'augmentation': 0.5, 'label_smoothing': 0,
        'image_size': 1.25, 'epochs': 2.0,
    }  # fmt: skip
    trial = plan.trial(3, values)
    assert trial.epochs == 2 * config.resolved.train_cfg.max_epochs
    cfg = plan.config(values)
    before = config.resolved.optim_wrapper.optimizer.lr
    assert cfg.optim_wrapper.optimizer.lr == 2 * before
    assert cfg.optim_wrapper.paramwise_cfg.layer_decay_rate == 0.7
    assert cfg.optim_wrapper.optimizer.weight_decay == 0.01
    assert cfg.model.train_cfg.augments == {'type': 'Mixup', 'alpha': 0.2}
    assert cfg.model.head.loss.label_smooth_val == 0.0
    crop = cfg.train_dataloader.dataset.pipeline[1]
    assert crop.crop_ratio_range == pytest.approx((0.675, 1.0))
    assert crop.scale == 288
    assert cfg.val_dataloader.dataset.pipeline[-2].crop_size == 288


@pytest.mark.parametrize(
    'name',
    mostly_nightly(
        sorted(path.stem for path in FLOWER.glob('*_flower.py')),
        {'mobilenet_v2_flower'},
    ),
)
def test_the_ends_of_the_default_space_pass_the_checks(
    name, planned, dataset, tmp_path
):
    plan = planned(name)
    for end in (0, -1):
        values = {
            key: parameter.choices[end]
            if hasattr(parameter, 'choices')
            else (parameter.low, parameter.high)[end]
            for key, parameter in plan.space.items()
        }
        mine = tmp_path / 'mine.py'
        mine.write_text(plan.trial(7, values).text, encoding='utf-8')
        tool('doctor', mine, '--data-root', dataset, '--from-scratch')


def test_space_file(planned, tmp_path):
    path = space_file(
        tmp_path,
        'learning_rate = {low = 0.5, high = 2, log = true}\n'
        'image_size = [0.75, 1]\n'
        'train_dataloader.batch_size = [16, 32]\n'
        'model.head.loss.label_smooth_val = {low = 0.0, high = 0.3}\n'
        # Not set in the config; its network accepts it.
        'model.backbone.widen_factor = [0.5, 1.0]\n'
        '[optim_wrapper.optimizer]\n'
        "type = ['AdamW', 'SGD']\n",
    )
    plan = planned('mobilenet_v2_flower', space=str(path))
    params = plan.params(5, [])
    assert {*params} == {*plan.space}
    cfg = plan.config(params)
    for key in ('train_dataloader.batch_size', 'model.backbone.widen_factor'):
        part = cfg
        for name in key.split('.'):
            part = part[name]
        assert part == params[key]


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('learning_rat = [1, 2]', 'Did you mean learning_rate'),
        ('optim_wrapper.optimiser.lr = [1, 2]', 'optim_wrapper.optimizer.lr'),
        ('model.head.loss.label_smoth_val = [0.1]', 'label_smooth_val'),
        ('learning_rate = {low = 2, high = 1}', 'invalid range'),
        ('learning_rate = {low = 0, high = 1, log = true}', 'invalid range'),
        ('learning_rate = {low = -1, high = 1}', 'at least 0, got -1'),
        ('learning_rate = {low = 1}', 'invalid range'),
        ('learning_rate = {low = 1, high = "2"}', 'must be numbers'),
        ('learning_rate = {low = 1, high = 2, lgo = true}', 'key lgo'),
        ('learning_rate = 3', '--cfg-options learning_rate=3'),
        ('learning_rate = ["a"]', 'invalid choices'),
        ('learning_rate = []', 'invalid range'),
        ('learning_rate = [[1], [2]]', 'choices must be'),
        ('learning_rate = {low = nan, high = 1}', 'invalid range'),
        ('image_size = [nan, 1]', 'invalid range'),
        ('epochs = [1, inf]', 'invalid range'),
        ('learning_rate = ', 'cannot be read'),
        ('', 'is empty'),
    ],
)
def test_invalid_space_files(text, words, planned, tmp_path):
    path = space_file(tmp_path, text)
    with pytest.raises(UserError) as error:
        planned('mobilenet_v2_flower', space=str(path))
    assert words in str(error.value)


def test_halves_of_validation(dataset):
    halves = split_validation(dataset)
    both = [*halves.deciding, *halves.measuring]
    assert sorted(both) == list(range(len(halves.photos.photos)))
    labels = halves.photos.labels
    for label in range(len(CLASSES)):
        counts = [
            sum(labels[i] == label for i in half)
            for half in (halves.deciding, halves.measuring)
        ]
        assert abs(counts[0] - counts[1]) <= 1
    assert split_validation(dataset) == halves


def test_near_duplicates_are_in_one_half(tmp_path):
    for label, name in enumerate(CLASSES):
        for number in range(40):
            photo = tmp_path / 'photos' / name / f'{number:03}.jpg'
            draw_photo(photo, label, number // 2)
    out = tmp_path / 'dataset'
    tool('prepare_dataset', tmp_path / 'photos', '--out', out, '--val', '0.5')
    halves = split_validation(out)
    names = [Path(photo).name for photo in halves.photos.photos]
    keys = [
        (label, int(name[:3]) // 2)
        for label, name in zip(halves.photos.labels, names, strict=True)
    ]
    deciding = {keys[i] for i in halves.deciding}
    assert deciding.isdisjoint(keys[i] for i in halves.measuring)


def test_too_few_validation_photos(photos, tmp_path):
    tool('prepare_dataset', photos, '--out', tmp_path / 'd', '--val', '0.2')
    with pytest.raises(UserError, match='at least 20'):
        split_validation(tmp_path / 'd')

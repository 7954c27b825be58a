"""Each name of weights has a config that starts from them."""

import pytest
import torch

from flower_mm.cli.training_flags import parse_training, read_training_config
from flower_mm.weights import pretrained_table
from flower_mm.weights.candidates import find_candidates

TABLE = pretrained_table.read_table()


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setenv('FLOWER_MM_CHECKPOINTS', str(tmp_path))
    return tmp_path


def weights_of(words: tuple[str, ...]) -> str:
    args = parse_training(list(words))
    cfg = read_training_config(args)
    return args.weights or cfg.default_hooks.pretrained.weights


@pytest.mark.parametrize('name', TABLE)
def test_the_config_loads_the_weights_of_the_name(name):
    (candidate,) = find_candidates([name])
    assert weights_of(candidate.words) == name
    args = parse_training(list(candidate.words))
    pipeline = read_training_config(args).val_dataloader.dataset.pipeline
    crop = next(step for step in pipeline if step.type == 'CenterCrop')
    assert crop.crop_size == candidate.image_size


def test_all_of_the_table_the_smallest_first(folder):
    found = find_candidates(None)
    assert {candidate.name for candidate in found} == set(TABLE)
    assert all(candidate.path() is None for candidate in found)
    costs = [candidate.cost for candidate in found]
    assert costs == sorted(costs)
    assert found[0].name == 'mobilenet_v3_small'


def test_a_name_of_timm(folder):
    (found,) = find_candidates(['timm/test_vit.r160_in1k'])
    assert found.words == ('timm', '--backbone', 'test_vit.r160_in1k')
    assert weights_of(found.words) == found.name
    assert found.image_size == 160
    assert found.entry.parameters > 100_000


def test_stored_weights_of_timm_are_found_by_their_name(folder):
    (folder / 'test_vit.r160_in1k.safetensors').touch()
    found = {candidate.name: candidate for candidate in find_candidates(None)}
    assert set(found) == {*TABLE, 'timm/test_vit.r160_in1k'}
    assert found['timm/test_vit.r160_in1k'].file is None


def test_files_are_recognised_by_their_parameters(folder, capsys):
    from mmpretrain.models import MobileNetV2

    state = {
        f'backbone.{key}': tensor
        for key, tensor in MobileNetV2().state_dict().items()
    }
    state['head.fc.weight'] = torch.zeros(7, 1280)
    torch.save({'state_dict': state}, folder / 'mine.pth')
    torch.save({'a': torch.zeros(3)}, folder / 'other.pth')
    (folder / 'torn.pth').write_bytes(b'PK')
    found = {candidate.name: candidate for candidate in find_candidates(None)}
    assert set(found) == {*TABLE, 'mine.pth'}
    assert found['mine.pth'].words == (
        'mobilenet_v2',
        '--weights',
        str(folder / 'mine.pth'),
    )
    said = capsys.readouterr().out
    assert 'other.pth has an unknown architecture' in said
    assert 'torn.pth' in said

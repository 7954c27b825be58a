"""The dataset folder that a config names is not the one that was meant."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from examining import STOP, Examined, look_at, write
from making import (
    FOLDERS,
    TINY_ON_BASE,
    custom,
    lines_of,
    make_dataset,
    write_lines,
)

PHOTOS = {'rose': 6, 'tulip': 6}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / 'data' / 'mine', train=PHOTOS, val=PHOTOS)


def stops(seen: Examined) -> list:
    return [finding for finding in seen.found if finding.level == STOP]


def test_imagenets_folder_of_the_base_is_still_in_force(tmp_path, monkeypatch):
    """Mistake 4: model and schedule were changed, the photos were not."""
    monkeypatch.chdir(tmp_path)
    config = write(
        tmp_path,
        """
_base_ = 'mmpretrain::mobilenet_v2/mobilenet-v2_8xb32_in1k.py'
model = dict(head=dict(num_classes=5, topk=(1,)))
data_root = 'data/flowers'
""",
    )
    (found,) = stops(look_at(config))
    assert "data/imagenet of MMPretrain's base config" in found.what
    assert '--data-root FOLDER' in found.mend


def test_only_train_was_changed(root, tmp_path, monkeypatch):
    """Mistake 4: val and test still read what the base reads."""
    monkeypatch.chdir(tmp_path)
    config = write(
        tmp_path,
        TINY_ON_BASE
        + f"train_dataloader['dataset'].update(data_root='{root}')\n"
        "val_dataloader['dataset'].update(data_root='data/imagenet')\n"
        "test_dataloader['dataset'].update(data_root='data/imagenet')\n",
    )
    (found,) = stops(look_at(config))
    assert f'train_dataloader from {root}' in found.what
    assert (
        'val_dataloader and test_dataloader from data/imagenet' in found.what
    )
    assert found.where == 'val_dataloader.dataset.data_root'
    assert f'--data-root {root}' in found.mend
    words = shlex.split(found.mend)[:2]
    assert stops(look_at(config, *words)) == []


def test_a_folder_relative_to_somewhere_else(root, tmp_path, monkeypatch):
    """Mistake 6: the config was written where the photos are."""
    config = write(tmp_path, TINY_ON_BASE)
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    seen = look_at(config, '--data-root', 'data/mine')
    (found,) = stops(seen)
    assert str(root) in found.what
    assert found.mend == f'--data-root {root}'
    assert stops(look_at(config, *shlex.split(found.mend))) == []


def test_no_folder_at_all(tmp_path):
    config = write(tmp_path, TINY_ON_BASE)
    (found,) = stops(look_at(config, '--data-root', tmp_path / 'nowhere'))
    assert 'does not exist' in found.what
    assert 'prepare PHOTOS' in found.what


def test_places_without_a_root(root, tmp_path):
    config = write(
        tmp_path,
        TINY_ON_BASE
        + f"""
train_dataloader['dataset'] = dict(
    _delete_=True, type='CustomDataset', ann_file='{root}/train.txt',
    data_prefix='{root}/train', pipeline=train_pipeline)
""",
    )
    (found,) = stops(look_at(config))
    assert 'train_dataloader has no data_root' in found.what
    assert f'{root}/train.txt' in found.what


def test_class_folders_without_a_list_of_classes(root, tmp_path):
    (root / 'classes.txt').unlink()
    (root / 'train' / '.ipynb_checkpoints').mkdir()
    config = write(tmp_path, TINY_ON_BASE)
    (found,) = stops(look_at(config, '--data-root', root))
    assert 'holds 2 class folders' in found.what
    assert found.where == str(root / 'classes.txt')
    assert found.mend.endswith('in this order: rose, tulip')


def test_classes_in_another_order(root, tmp_path):
    """One line, where FlowerDataset would name each photo."""
    (root / 'classes.txt').write_text('tulip\nrose\n')
    config = write(tmp_path, TINY_ON_BASE)
    seen = look_at(config, '--data-root', root)
    (found,) = stops(seen)
    assert 'in another order: label 0 is rose there, and tulip' in found.what
    assert found.where == str(root / 'classes.txt')
    assert found.mend.endswith('in the order of the labels: rose, tulip')
    (root / 'classes.txt').write_text('rose\ntulip\n')
    assert stops(look_at(config, '--data-root', root)) == []


@pytest.mark.parametrize('names', ['', "classes='ROOT/classes.txt',"])
def test_a_class_without_a_folder(names, tmp_path):
    """What is numbered are the folders that are found: tulip would be 1."""
    three = dict.fromkeys(('daisy', 'rose', 'tulip'), 6)
    root = make_dataset(tmp_path / 'three', train=three, val=three)
    shutil.rmtree(root / 'val' / 'rose')
    text = custom(root, names.replace('ROOT', str(root)), text=FOLDERS)
    config = write(tmp_path, text)
    (found,) = stops(look_at(config))
    assert f'class folders of {root / "val"}' in found.what
    assert 'there is none of rose' in found.what
    command = shlex.split(found.mend.partition(': ')[2])
    subprocess.run(command, check=True)
    seen = look_at(config)
    assert stops(seen) == []
    assert 'No photo of rose is in val' in seen.text


def test_a_list_says_what_the_photos_are(tmp_path):
    three = dict.fromkeys(('daisy', 'rose', 'tulip'), 6)
    root = make_dataset(
        tmp_path / 'three', train=three, val={**three, 'rose': 0}
    )
    seen = look_at(
        write(tmp_path, custom(root, f"classes='{root}/classes.txt',"))
    )
    assert stops(seen) == []


def test_a_folder_that_is_there(root, tmp_path, monkeypatch):
    config = write(tmp_path, TINY_ON_BASE)
    monkeypatch.chdir(tmp_path)
    assert stops(look_at(config, '--data-root', 'data/mine')) == []


# --- whose order? ------------------------------------------------------------


THREE = dict.fromkeys(('daisy', 'rose', 'tulip'), 6)
NAMED = "classes='ROOT/classes.txt',"


@pytest.fixture
def three(tmp_path) -> Path:
    return make_dataset(tmp_path / 'three', train=THREE, val=THREE)


@pytest.mark.parametrize('names', ['', NAMED])
@pytest.mark.parametrize('listed', [True, False])
def test_folders_are_numbered_by_the_alphabet(names, listed, three, tmp_path):
    """Whatever names a config gives them: the file has to follow."""
    (three / 'classes.txt').write_text('tulip\ndaisy\nrose\n')
    if not listed:
        (three / 'train.txt').unlink()
    names = names.replace('ROOT', str(three))
    text = custom(three, names, text=FOLDERS)
    config = write(tmp_path, text)
    (found,) = stops(look_at(config))
    assert 'label 0 is daisy, and tulip in classes.txt' in found.what
    assert found.where == str(three / 'classes.txt')
    assert 'in this order: daisy, rose, tulip. ' in found.mend
    command = found.mend.rpartition('. ')[2].removesuffix(' does it')
    subprocess.run(['env', *shlex.split(command)], check=True)
    named = custom(three, NAMED.replace('ROOT', str(three)), text=FOLDERS)
    assert stops(look_at(write(tmp_path, named))) == []


def test_a_list_in_the_order_of_classes_txt(three, tmp_path):
    """The lists mean what classes.txt says; the folders do not."""
    order = ['tulip', 'daisy', 'rose']
    write_lines(three / 'classes.txt', order)
    for side in ('train.txt', 'val.txt'):
        photos = [line.split()[0] for line in lines_of(three / side)]
        write_lines(
            three / side,
            [f'{p} {order.index(p.split("/")[0])}' for p in photos],
        )
    text = custom(three, NAMED.replace('ROOT', str(three)), text=FOLDERS)
    (found,) = stops(look_at(write(tmp_path, text)))
    assert "dataset=dict(type='flower_mm.FlowerDataset'" in found.mend
    config = write(tmp_path, TINY_ON_BASE)
    assert stops(look_at(config, '--data-root', three)) == []
    listed = custom(three, NAMED.replace('ROOT', str(three)))
    assert stops(look_at(write(tmp_path, listed))) == []


@pytest.mark.parametrize('prefix', ['train', ''])
def test_a_list_of_the_labels_that_classes_txt_has_not(
    prefix, three, tmp_path
):
    (three / 'classes.txt').write_text('tulip\ndaisy\nrose\n')
    text = custom(three, NAMED.replace('ROOT', str(three)))
    if not prefix:
        lines = [f'train/{line}' for line in lines_of(three / 'train.txt')]
        write_lines(three / 'train.txt', lines)
        text = text.replace("data_prefix='train'", "data_prefix=''")
    config = write(tmp_path, text)
    (found,) = stops(look_at(config))
    assert 'the classes of train.txt in another order' in found.what
    order = found.mend.rpartition(': ')[2]
    write_lines(three / 'classes.txt', order.split(', '))
    assert stops(look_at(config)) == []


# --- the folder above --------------------------------------------------------


@pytest.mark.parametrize('names', ['', NAMED])
def test_the_folder_of_the_splits(names, three, tmp_path):
    """data_prefix='' for train: the classes would be train and val."""
    text = custom(three, names.replace('ROOT', str(three)), text=FOLDERS)
    config = write(
        tmp_path, text.replace("data_prefix='train'", "data_prefix=''")
    )
    (found,) = stops(look_at(config))
    assert 'for its classes: train, val.' in found.what
    assert found.where == 'train_dataloader.dataset.data_prefix'
    assert found.mend.endswith('data_prefix=train')
    if names:
        assert stops(look_at(config, *shlex.split(found.mend))) == []


def test_the_folder_of_the_splits_elsewhere_and_repeated(three, tmp_path):
    three.rename(tmp_path / 'photos')
    three.mkdir()
    (three / 'classes.txt').write_text('daisy\nrose\ntulip\n')
    other = tmp_path / 'photos'
    text = custom(three, f"classes='{three}/classes.txt',", text=FOLDERS)
    for side in ('train', 'val'):
        text = text.replace(
            f"data_prefix='{side}'", f"data_prefix='{other / side}'"
        )
    text += f"""
train_dataloader = dict(
    dataset=dict(
        _delete_=True, type='RepeatDataset', times=2,
        dataset=dict(
            type='CustomDataset', data_root='{three}', data_prefix='{other}',
            classes='{three}/classes.txt', pipeline=train_pipeline)))
"""
    config = write(tmp_path, text)
    (found,) = stops(look_at(config))
    assert found.where == 'train_dataloader.dataset.dataset.data_prefix'
    assert stops(look_at(config, *shlex.split(found.mend))) == []

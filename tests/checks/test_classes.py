"""Parts of a config that disagree with classes.txt, and what they mean."""

import shlex
import shutil
from pathlib import Path

import pytest
from examining import NOTE, STOP, WARN, Examined, look_at, write
from making import (
    FOLDERS,
    TINY_ON_BASE,
    custom,
    lines_of,
    make_dataset,
    write_lines,
)

FIVE = ['daisy', 'dandelion', 'rose', 'sunflower', 'tulip']
# What a check of classes says, whatever it is about.
SAYINGS = ('class', 'label', 'Top-', 'accuracy/top', 'dataset (')


@pytest.fixture
def five(tmp_path: Path) -> Path:
    counts = dict.fromkeys(FIVE, 6)
    return make_dataset(tmp_path / 'five', train=counts, val=counts)


@pytest.fixture
def examine(tmp_path: Path, five: Path):
    def run(text: str, *words: str | Path) -> Examined:
        return look_at(write(tmp_path, text), '--data-root', five, *words)

    return run


def bad(seen: Examined) -> list:
    """Warnings and stops that are of classes and labels."""
    return [
        finding
        for finding in seen.found
        if finding.level > NOTE
        and any(saying in finding.what for saying in SAYINGS)
    ]


def pasted(finding) -> list[str]:
    """The words of a mend, as one pastes them."""
    return shlex.split(finding.mend[finding.mend.index('--cfg-options') :])


# --- mistake 3, as people had it ---------------------------------------------


def test_numbers_left_at_imagenets(examine):
    """The head was changed, the preprocessor and the metric were not."""
    seen = examine(
        """
_base_ = ['mmpretrain::_base_/models/mobilenet_v2_1x.py', 'BASE']
model = dict(head=dict(num_classes=5))
data_preprocessor = dict(num_classes=1000)
val_evaluator = [
    dict(type='Accuracy', topk=(1, 5)),
    dict(type='SingleLabelMetric', num_classes=1000)]
"""
    )
    found = seen.one('1000 classes')
    assert found.level == NOTE  # classes.txt puts them right
    assert 'data_preprocessor.num_classes' in found.what
    assert 'val_evaluator.1.num_classes' in found.what
    assert 'names 5' in found.what
    assert seen.one('Top-5 of 5 classes').level == NOTE
    assert bad(seen) == []


def test_order_of_listdir(examine, five):
    """Labels by the sorted folders, names by os.listdir."""
    order = ('tulip', 'rose', 'daisy', 'sunflower', 'dandelion')
    names = f'metainfo=dict(classes={order}),'
    seen = examine(custom(five, names))
    found = seen.one("Label 0 is 'tulip' for train_dataloader")
    assert found.level == STOP
    assert "'daisy' in classes.txt" in found.what
    words = [word for finding in bad(seen) for word in pasted(finding)[1:]]
    assert bad(examine(custom(five, names), '--cfg-options', *words)) == []


def test_a_notebooks_folder_is_a_class(examine, five):
    """.ipynb_checkpoints is sorted before all letters and counts."""
    hidden = five / 'train' / '.ipynb_checkpoints'
    hidden.mkdir()
    text = custom(five, text=FOLDERS)
    seen = examine(text)
    found = seen.one('have a label that is not of their folder')
    assert found.level == STOP
    assert '30 of 30 photos of train' in found.what
    assert found.mend == f'rm -r {hidden}'
    hidden.rmdir()
    assert bad(examine(text)) == []


# --- numbers -----------------------------------------------------------------


def test_a_number_for_another_dataset(examine):
    seen = examine(TINY_ON_BASE + "model['head']['num_classes'] = 17\n")
    found = seen.one('17 classes in model.head.num_classes')
    assert found.level == NOTE
    assert '--data-root' in found.mend


def test_the_number_of_a_base_is_no_word_worth(examine):
    seen = examine(TINY_ON_BASE + "model['head']['num_classes'] = 1000\n")
    assert seen.about('num_classes') == []
    assert bad(seen) == []


def test_metrics_of_an_evaluator_follow_classes_txt(examine):
    text = (
        TINY_ON_BASE
        + """
val_evaluator = dict(
    _delete_=True, type='Evaluator', metrics=[
        dict(type='Accuracy', topk=(1, 6)),
        dict(type='ConfusionMatrix', num_classes=3)])
test_evaluator = val_evaluator
"""
    )
    seen = examine(text)
    number = seen.one('3 classes', 'val_evaluator.metrics.1.num_classes')
    assert number.level == NOTE
    assert seen.about('Top-6') == []  # what is left is top-1
    assert bad(seen) == []


def test_weights_of_classes_in_the_loss(examine):
    text = TINY_ON_BASE + (
        "model['head']['loss'] = dict(\n"
        "    type='CrossEntropyLoss', class_weight=[1.0, 2.0, 1.0])\n"
    )
    found = examine(text).one('weights for 3 classes')
    assert found.level == STOP
    assert found.where == 'model.head.loss.class_weight'
    seen = examine(text.replace('2.0,', '2.0, 1.0, 1.0,'))
    assert bad(seen) == []


def test_waiting_for_top_5_of_five_classes(examine):
    text = TINY_ON_BASE + (
        "default_hooks = dict(checkpoint=dict(save_best='accuracy/top5'))\n"
    )
    seen = examine(text)
    found = seen.one('accuracy/top5')
    assert found.level == STOP
    assert bad(examine(text, *pasted(found))) == []


def test_best_by_an_accuracy_that_nothing_measures(examine):
    text = TINY_ON_BASE + (
        "val_evaluator = [dict(type='SingleLabelMetric', num_classes=5)]\n"
    )
    found = examine(text).one('accuracy/top1 is waited for')
    assert found.level == STOP
    assert "dict(type='Accuracy', topk=(1,))" in found.mend
    stock = "default_hooks = dict(checkpoint=dict(type='mmengine.'\n"
    stock += "    'CheckpointHook', save_best='auto'))\n"
    assert examine(text + stock).about('accuracy/top1 is waited') == []


def test_top_5_of_six_classes_is_a_figure(tmp_path):
    counts = {f'class {i}': 6 for i in range(6)}
    root = make_dataset(tmp_path / 'six', train=counts, val=counts)
    text = TINY_ON_BASE + (
        "default_hooks = dict(checkpoint=dict(save_best='accuracy/top5'))\n"
    )
    seen = look_at(write(tmp_path, text), '--data-root', root)
    assert seen.about('top5') == seen.about('Top-5') == []


# --- names -------------------------------------------------------------------


def test_names_that_flower_dataset_does_not_heed(examine):
    text = TINY_ON_BASE + (
        "train_dataloader['dataset']['classes'] = "
        "['tulip', 'rose', 'daisy', 'sunflower', 'dandelion']\n"
    )
    found = examine(text).one('are not heeded')
    assert found.level == WARN
    assert found.where == 'train_dataloader.dataset.classes'
    same = text.replace(
        "['tulip', 'rose', 'daisy', 'sunflower', 'dandelion']", str(FIVE)
    )
    assert bad(examine(same)) == []


def test_imagenets_names_for_five_flowers(examine, five):
    text = custom(five).replace('CustomDataset', 'ImageNet')
    seen = examine(text)
    found = seen.one('train_dataloader calls its 1000 classes tench')
    assert found.level == WARN
    words = [word for finding in bad(seen) for word in pasted(finding)[1:]]
    assert bad(examine(text, '--cfg-options', *words)) == []


def test_imagenet_on_five_folders_cannot_be_built(examine, five):
    text = (
        TINY_ON_BASE
        + f"""
for split, loader in (('train', train_dataloader), ('val', val_dataloader)):
    loader['dataset'] = dict(
        _delete_=True, type='ImageNet', data_root='{five}', split=split,
        pipeline=test_pipeline)
"""
    )
    seen = examine(text)
    found = seen.one('train_dataloader.dataset (ImageNet) cannot be read')
    assert found.level == STOP
    assert 'number of subfolders (5)' in found.what
    mend = 'dataset.type=flower_mm.FlowerDataset'
    assert f'train_dataloader.{mend}' in found.what
    words = [f'{loader}_dataloader.{mend}' for loader in ('train', 'val')]
    assert bad(examine(text, '--cfg-options', *words)) == []


def test_a_dataset_without_names(examine, five):
    """The run record and best.pth want them."""
    seen = examine(custom(five))
    found = seen.one('does not name its classes', 'train_dataloader')
    assert found.level == STOP
    words = [word for finding in bad(seen) for word in pasted(finding)[1:]]
    assert bad(examine(custom(five), '--cfg-options', *words)) == []


# --- labels ------------------------------------------------------------------


def named(five: Path) -> str:
    return custom(five, f"classes='{five}/classes.txt',")


def test_labels_from_one_on(examine, five):
    for side in ('train.txt', 'val.txt'):
        lines = [line.rsplit(' ', 1) for line in lines_of(five / side)]
        write_lines(five / side, [f'{n} {int(i) + 1}' for n, i in lines])
    found = examine(named(five)).one('train', 'not of their folder')
    assert found.level == STOP
    assert "has 1, which classes.txt calls 'dandelion'" in found.what


def test_a_label_beyond_the_last(examine, five):
    lines = lines_of(five / 'train.txt')
    shutil.copy(five / 'train/rose/000.jpg', five / 'train/strange.jpg')
    write_lines(five / 'train.txt', [*lines, 'strange.jpg 5'])
    found = examine(named(five)).one('1 of 31 photos')
    assert found.level == STOP
    assert 'has 5, and classes.txt ends at 4' in found.what


def test_a_class_folder_that_classes_txt_lacks(examine, five):
    """Its photos are not to be deleted."""
    shutil.copytree(five / 'train/daisy', five / 'train/aster')
    text = custom(five, text=FOLDERS)
    found = examine(text).one('not of their folder')
    assert found.level == STOP
    assert 'the folder aster beside them' in found.what
    assert 'rm' not in found.mend.split()


def test_photos_in_no_class_folder(examine, five):
    """A list alone says what they are."""
    for side in ('train', 'val'):
        lines = []
        for i, line in enumerate(lines_of(five / f'{side}.txt')):
            name, label = line.rsplit(' ', 1)
            (five / side / name).rename(five / side / f'{i}.jpg')
            lines.append(f'{i}.jpg {label}')
        write_lines(five / f'{side}.txt', lines)
    assert bad(examine(named(five))) == []


def test_our_own_dataset_is_in_order(examine):
    seen = examine(TINY_ON_BASE)
    assert bad(seen) == []
    assert seen.about('could not be checked') == []

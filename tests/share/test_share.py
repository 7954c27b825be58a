"""The folder that `share` makes of a run."""

import copy
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from helpers import CLASSES, ROOT, tool
from PIL import Image

from flower_mm import Classifier
from flower_mm.errors import UserError
from flower_mm.report.formatting import one_decimal
from flower_mm.share import share_folder
from flower_mm.share.model_card import Model, licence_of, model_card
from flower_mm.weights.file_hash import sha256_of
from flower_mm.weights.pretrained_table import read_table
from flower_mm.weights.read_checkpoint import read_checkpoint


@pytest.fixture(scope='module')
def run(plain_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy that may be written to."""
    return shutil.copytree(
        plain_run, tmp_path_factory.mktemp('shared') / 'my_flowers'
    )


@pytest.fixture(scope='module')
def shared(run: Path) -> Path:
    out = run.parent / 'for others' / 'flowers'
    tool('share', run, out, '--examples', '2')
    return out


@pytest.fixture(scope='module')
def facts(run: Path, shared: Path) -> dict:
    return json.loads((run / 'report.json').read_text('utf-8'))


MODEL = Model('ResNet-18', 11_000_000, None)


def test_predictions_of_the_folder(shared, run, dataset):
    photos = sorted((dataset / 'val').glob('*/*.jpg'))
    copied, original = (
        Classifier(path)(photos) for path in (shared, run / 'best.pth')
    )
    assert copied == original
    assert len(copied) == len(photos) > 10


def test_the_card_has_the_figures_of_the_report(shared, facts):
    text = (shared / 'README.md').read_text('utf-8')
    result = facts['metrics']
    assert (
        f'{one_decimal(result["top1"])} % of {result["photos"]} validation'
        in text
    )
    low, high = result['top1_interval']
    assert f'{one_decimal(low)} to {one_decimal(high)} %' in text
    for row in facts['per_class']:
        assert (
            f'| {row["class"]} | {row["photos"]} | {row["correct"]} |' in text
        )
    counts = facts['dataset']['counts']
    for name in CLASSES:
        assert (
            f'| {name} | {counts["train"][name]} | {counts["val"][name]} |'
            in text
        )
    assert facts['run']['dataset_sha256'] in text
    assert 'No pretrained weights are recorded' in text
    rows = re.findall(r'\| `(\S+)` \| [^|]+ \| \S+ \| `(\w+)` \|', text)
    assert {'best.safetensors', 'config.json', 'best.onnx'} <= {
        name for name, _ in rows
    }
    for name, digest in rows:
        assert sha256_of(shared / name) == digest


def test_paths_of_this_machine_stay_out(shared, dataset, run):
    paths = [str(dataset), str(run.parent), str(ROOT), str(Path.home())]
    for file in filter(Path.is_file, shared.rglob('*')):
        content = file.read_bytes()
        for path in paths:
            assert path.encode() not in content, (file, path)


@pytest.mark.skipif(os.name == 'nt', reason='modes are of POSIX')
def test_mode_of_the_folder(run, shared, tmp_path):
    """That of any new folder."""
    tmp_path.chmod(0o777)
    share_folder.share(run, tmp_path / 'out', device='cpu')
    (tmp_path / 'new').mkdir()
    wanted = (tmp_path / 'new').stat().st_mode
    assert (tmp_path / 'out').stat().st_mode == wanted


def test_the_config_is_data(shared):
    config = json.loads((shared / 'config.json').read_text('utf-8'))
    assert config['model']['backbone']['type'] == 'ResNet'
    assert 'data_root' not in json.dumps(config)


def test_examples_are_small_and_without_exif(shared):
    text = (shared / 'README.md').read_text('utf-8')
    photos = sorted((shared / 'examples').iterdir())
    assert photos
    for photo in photos:
        assert f'![](examples/{photo.name})' in text
        with Image.open(photo) as image:
            assert not image.getexif()
            assert max(image.size) <= 512
    of_class = [photo.name.split('_')[0] for photo in photos]
    assert max(map(of_class.count, of_class)) <= 2


def test_photos_stay_out_by_default(run, tmp_path, monkeypatch):
    monkeypatch.setattr(share_folder, '_verify', lambda *_: None)
    files = share_folder.share(run, tmp_path / 'out', device='cpu')
    assert not [file for file in files if file.suffix in ('.jpg', '.png')]
    assert '`examples/`' not in (tmp_path / 'out' / 'README.md').read_text()


def test_existing_folder_stays(run, shared, tmp_path):
    (tmp_path / 'kept').write_text('mine')
    done = tool('share', run, tmp_path, check=False)
    assert done.returncode == 2
    assert 'exists' in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ['kept']


def test_error_leaves_nothing(run, shared, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(share_folder, 'model_card', full)
    with pytest.raises(OSError, match='No space'):
        share_folder.share(run, tmp_path / 'a' / 'out', device='cpu')
    assert list((tmp_path / 'a').iterdir()) == []


def test_another_best_pth_is_measured_again(run, dataset, tmp_path):
    other = shutil.copytree(run, tmp_path / 'other')
    found = read_checkpoint(other / 'best.pth')
    for key in ('head.fc.weight', 'head.fc.bias'):
        found['state_dict'][key].zero_()  # always the first class
    torch.save(found, other / 'best.pth')
    with pytest.raises(UserError, match='--data'):
        share_folder.share(other, tmp_path / 'x', str(tmp_path), device='cpu')
    share_folder.share(other, tmp_path / 'out', str(dataset), device='cpu')
    facts = json.loads((other / 'report.json').read_text('utf-8'))
    assert facts['metrics']['top1'] < 60
    text = (tmp_path / 'out' / 'README.md').read_text('utf-8')
    assert f'{one_decimal(facts["metrics"]["top1"])} % of' in text


@pytest.mark.parametrize('names', [[], ['run.json', 'report.json']])
def test_folder_without_best_pth(names, run, tmp_path):
    work = tmp_path / 'work'
    work.mkdir()
    for name in names:
        shutil.copy(run / name, work)
    with pytest.raises(UserError, match=r'best\.pth'):
        share_folder.share(work, tmp_path / 'out')


def test_markup_in_class_names(facts):
    names = ['a|b', '<img src=x>', '`*c*` _d_ [e](f) snake_case\x1b[31m']
    strange = dict(zip(CLASSES, names, strict=True))
    found = copy.deepcopy(facts)
    found['classes'] = names
    for row in found['per_class']:
        row['class'] = strange[row['class']]
    written = model_card(found, MODEL, [], [])
    assert 'a\\|b' in written
    assert '\\<img src=x\\>' in written
    assert '\\`\\*c\\*\\` \\_d\\_ \\[e\\](f) snake_case?\\[31m' in written
    assert '\x1b' not in written


def test_modules_of_the_user(facts):
    assert 'imports=' not in model_card(facts, MODEL, [], [])
    model = Model('Mine', 1, None, modules=['mine', 'pkg.parts'])
    text = model_card(facts, model, [], [])
    top = text[: text.index('## ')]
    assert "imports=['mine', 'pkg.parts']" in top
    assert '--import mine --import pkg.parts' in top
    assert text.count("imports=['mine', 'pkg.parts']") == 2


def test_warning_of_the_report_is_on_the_card(facts):
    found = copy.deepcopy(facts)
    found['evaluation']['dataset_changed'] = True
    assert '**Caution:** The dataset has changed' in model_card(
        found, MODEL, [], []
    )
    assert 'Caution' not in model_card(facts, MODEL, [], [])


def test_the_licence_of_the_weights(facts):
    home = read_table()['resnet50'].homes[0]
    known = Model('ResNet-50', 1, {'file': 'x.pth', 'sha256': home.sha256})
    assert f'license: {home.licence.lower()}\n' in model_card(
        facts, known, [], []
    )
    other = Model('ResNet-50', 1, {'file': 'x.pth', 'sha256': 'ab' * 32})
    text = model_card(facts, other, [], [])
    assert 'license: other\n' in text
    assert 'ab' * 32 in text


def test_unknown_weights_have_no_licence():
    assert licence_of('ab' * 32) is None
    assert licence_of('') is None


def test_run_records_its_weights(train, plain_run):
    weights = plain_run / 'best.pth'
    noted = {'file': 'best.pth', 'sha256': sha256_of(weights)}
    run = train('begun', '--weights', weights)
    (run / 'epoch_2.pth').unlink()
    for last in (['--resume'], []):
        assert read_checkpoint(run / 'best.pth')['meta']['pretrained'] == noted
        record = json.loads((run / 'run.json').read_text('utf-8'))
        assert record['pretrained'] == noted
        if last:
            train('begun', '--weights', weights, *last)


def test_report_of_another_format_is_refused(run, dataset, tmp_path):
    other = shutil.copytree(run, tmp_path / 'other')
    (other / 'report.json').write_text('{"format": 1}')
    with pytest.raises(UserError, match=f'report {other}'):
        share_folder.share(other, tmp_path / 'out', str(dataset))
    tool('report', other)
    share_folder.share(other, tmp_path / 'out', str(dataset), device='cpu')
    assert (tmp_path / 'out' / 'README.md').is_file()


def test_counts_of_another_dataset_are_not_on_the_card(facts):
    found = copy.deepcopy(facts)
    found['dataset']['sha256'] = 'cd' * 32
    text = model_card(found, MODEL, [], [])
    assert '| class | train |' not in text
    assert f'{facts["run"]["photos"]["train"]} training photos.' in text


def test_weights_without_a_record(facts):
    older = Model('ResNet-18', 1, None, records_pretrained=False)
    assert 'are not recorded' in model_card(facts, older, [], [])


def test_the_card_says_whether_unknown_photos_are_found(facts):
    finds = Model('ResNet-18', 1, None, finds_unknown=True)
    assert 'marked as unknown' in model_card(facts, finds, [], [])
    assert 'marked as unknown' not in model_card(facts, MODEL, [], [])

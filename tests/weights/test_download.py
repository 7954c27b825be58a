import hashlib
import os
import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from home_server import CONTENT, DIGEST, running

from flower_mm.errors import UserError
from flower_mm.weights import download, file_hash, http_transfer
from flower_mm.weights.download import fetch
from flower_mm.weights.pretrained_table import Entry, Home


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_good_file_is_alone_under_its_name(entry, serve, tmp_path):
    said = []
    path = fetch(entry('good'), tmp_path, say=said.append)
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == ['file.pth']
    assert 'verified: sha256' in said[-1]


def test_what_is_here_is_not_fetched_again(entry, serve, tmp_path):
    fetch(entry('good'), tmp_path)
    before = len(serve.seen)
    said = []
    fetch(entry('good'), tmp_path, say=said.append)
    assert len(serve.seen) == before
    assert 'here already, verified: sha256' in said[0]


def test_a_break_is_resumed_where_it_was(entry, serve, tmp_path):
    path = fetch(entry('half_first'), tmp_path)
    assert path.read_bytes() == CONTENT
    assert serve.seen == [
        ('half_first', None),
        ('half_first', f'bytes={len(CONTENT) // 2}-'),
    ]


def interrupted(folder, content=CONTENT[:1000]):
    (folder / 'file.pth.part').write_bytes(content)
    (folder / 'file.pth.part.tag').write_text('"first"')


@pytest.mark.parametrize('way', ['good', 'no_range', 'changed'])
def test_an_earlier_run_is_continued_or_begun_anew(
    way, entry, serve, tmp_path
):
    # Only the server that knows ranges and the same file may append: with
    # the others, a wrong beginning has to vanish.
    right = way == 'good'
    interrupted(tmp_path, CONTENT[:1000] if right else b'?' * 1000)
    path = fetch(entry(way), tmp_path)
    assert path.read_bytes() == CONTENT
    assert serve.seen == [(way, 'bytes=1000-')]
    assert names(tmp_path) == ['file.pth']


def test_a_complete_part_needs_only_its_name(entry, serve, tmp_path):
    interrupted(tmp_path, CONTENT)
    assert fetch(entry('good'), tmp_path).read_bytes() == CONTENT
    assert len(serve.seen) == 1


def test_a_part_that_is_too_long_is_dropped(entry, serve, tmp_path):
    interrupted(tmp_path, CONTENT + b'more')
    assert fetch(entry('good'), tmp_path).read_bytes() == CONTENT
    assert len(serve.seen) == 2


def test_a_part_without_a_mark_is_not_trusted(entry, serve, tmp_path):
    (tmp_path / 'file.pth.part').write_bytes(b'?' * 1000)
    assert fetch(entry('good'), tmp_path).read_bytes() == CONTENT
    assert serve.seen == [('good', None)]


def test_a_mark_over_two_lines_is_not_sent_back(entry, serve, tmp_path):
    """Servers refuse such a header, and would do so for ever."""
    with pytest.raises(UserError, match='No home gave'):
        fetch(entry('odd_mark'), tmp_path)
    assert serve.seen == 3 * [('odd_mark', None)]


@pytest.mark.parametrize('sha256', [DIGEST, DIGEST[:8]])
def test_a_forged_file_never_stands(sha256, entry, tmp_path):
    with pytest.raises(UserError, match='another file than the table knows'):
        fetch(entry('forged', 'forged', sha256=sha256), tmp_path)
    assert names(tmp_path) == []


def test_what_was_kept_of_a_forged_file_is_not_gone_on_with(
    entry, serve, tmp_path
):
    """As after a power cut, which leaves zeros that nobody wrote."""
    interrupted(tmp_path, bytes(1000))
    said = []
    path = fetch(entry('good'), tmp_path, say=said.append)
    assert path.read_bytes() == CONTENT
    assert serve.seen == [('good', 'bytes=1000-'), ('good', None)]
    assert 'all of it anew' in said[1]
    assert names(tmp_path) == ['file.pth']


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


def test_a_wrong_length_never_stands(entry, serve, tmp_path):
    said = []
    with pytest.raises(UserError, match='No home gave'):
        fetch(entry('short'), tmp_path, say=said.append)
    assert not (tmp_path / 'file.pth').exists()
    assert '1000 of 1048576 bytes came' in said[-1]
    assert len(serve.seen) == 3


@pytest.mark.parametrize(
    'way', ['short', 'garbage', 'wrong_piece', 'odd_span']
)
def test_the_next_home_is_tried(way, entry, tmp_path):
    if way in ('wrong_piece', 'odd_span'):
        interrupted(tmp_path)
    said = []
    path = fetch(entry(way, 'good'), tmp_path, say=said.append)
    assert path.read_bytes() == CONTENT
    assert sum('trying the next home' in line for line in said) == 1


@pytest.mark.parametrize('way', ['silent', 'trickle', 'trickle_before'])
def test_a_slow_home_is_left_after_a_time(way, entry, monkeypatch, tmp_path):
    monkeypatch.setattr(http_transfer, 'TIMEOUT', 0.2)
    monkeypatch.setattr(download, 'PAUSES', ())
    said = []
    path = fetch(entry(way, 'good'), tmp_path, say=said.append)
    assert path.read_bytes() == CONTENT
    what = 'only ' if way == 'trickle' else 'no answer within 0.2 s'
    assert what in said[1]


def test_a_length_that_is_none_is_not_heeded(entry, tmp_path):
    assert fetch(entry('odd_length'), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize('way', ['endless', 'vast'])
def test_no_more_is_taken_than_a_file_can_have(
    way, entry, monkeypatch, tmp_path
):
    monkeypatch.setattr(download, 'LARGEST', 2.0)
    said = []
    with pytest.raises(UserError, match='No home gave'):
        fetch(entry(way), tmp_path, say=said.append)
    assert 'more than the 2.2 MB expected' in said[-1]
    assert names(tmp_path) == []


def test_a_home_that_does_not_exist_is_left(entry, tmp_path):
    there = entry('good')
    lapsed = Home('x', 'http://weights.invalid/x.pth', 'MIT', 'x.pth', DIGEST)
    both = Entry('thing', '', 1, (lapsed, *there.homes))
    said = []
    assert fetch(both, tmp_path, say=said.append).read_bytes() == CONTENT
    assert 'no connection' in said[1]


def test_a_busy_server_gets_a_second_chance(entry, serve, tmp_path):
    assert fetch(entry('busy_once'), tmp_path).read_bytes() == CONTENT
    assert len(serve.seen) == 2


def test_a_missing_file_gets_no_second_chance(entry, serve, tmp_path):
    with pytest.raises(UserError, match='by hand at'):
        fetch(entry('missing'), tmp_path)
    assert len(serve.seen) == 1


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


def test_https_works_and_is_never_left(https, serve, tmp_path):
    https.plain = f'{serve.url}/good/file.pth'
    homes = [
        Home(way, f'{https.url}/{way}/{way}.pth', 'MIT', f'{way}.pth', DIGEST)
        for way in ('to_plain', 'good')
    ]
    said = []
    out = tmp_path / 'out'
    fetch(Entry('thing', '', 1, tuple(homes)), out, say=said.append)
    assert names(out) == ['good.pth']
    assert 'redirects from https to http' in said[1]
    assert serve.seen == []


def test_a_stranger_s_certificate_is_refused(https, monkeypatch, tmp_path):
    monkeypatch.delenv('SSL_CERT_FILE')
    home = Home('x', f'{https.url}/good/x.pth', 'MIT', 'x.pth', DIGEST)
    said = []
    with pytest.raises(UserError):
        fetch(Entry('thing', '', 1, (home,)), tmp_path, say=said.append)
    assert 'CERTIFICATE_VERIFY_FAILED' in said[-1]
    assert https.seen == []


@pytest.mark.parametrize(
    ('sha256', 'lapsed'), [('', ''), (DIGEST[:8], '2026-06-06')]
)
def test_unverified_only_when_asked_for(
    sha256, lapsed, entry, serve, tmp_path
):
    thing = entry('good', sha256=sha256, lapsed=lapsed)
    said = []
    with pytest.raises(UserError, match='thing --accept-unverified'):
        fetch(thing, tmp_path, say=said.append)
    assert serve.seen == []
    assert 'cannot be verified' in said[0]
    said.clear()
    path = fetch(thing, tmp_path, accept_unverified=True, say=said.append)
    assert f'NOT verified; sha256 {DIGEST} recorded' in said[-1]
    assert DIGEST in (tmp_path / 'file.pth.sha256').read_text()
    # From now on it has to stay what it was.
    fetch(thing, tmp_path)
    path.write_bytes(b'other')
    with pytest.raises(UserError, match=r'changed since|not the file'):
        fetch(thing, tmp_path)


def test_what_was_recorded_outweighs_eight_digits(entry, tmp_path):
    thing = entry('good', sha256=DIGEST[:1], lapsed='2026-06-06')
    path = fetch(thing, tmp_path, accept_unverified=True)
    forged = next(
        text
        for text in (str(i).encode() for i in range(1000))
        if hashlib.sha256(text).hexdigest().startswith(DIGEST[:1])
    )
    path.write_bytes(forged)
    with pytest.raises(UserError, match='has changed since'):
        fetch(thing, tmp_path)


def test_a_lapsed_domain_with_the_whole_hash_is_no_matter(entry, tmp_path):
    fetch(entry('good', lapsed='2026-06-06'), tmp_path)


def test_a_file_by_hand_may_be_of_any_home(serve, tmp_path):
    homes = tuple(
        Home(name, f'{serve.url}/good/{name}', 'MIT', f'{name}.pth', digest)
        for name, digest in (
            ('one', hashlib.sha256(b'1').hexdigest()),
            ('two', hashlib.sha256(b'2').hexdigest()[:8]),
        )
    )
    thing = Entry('thing', '', 1, homes)
    (tmp_path / 'one.pth').write_bytes(b'2')
    said = []
    fetch(thing, tmp_path, say=said.append)
    assert 'first 8 digits of sha256, from two' in said[0]
    (tmp_path / 'one.pth').write_bytes(b'3')
    with pytest.raises(UserError, match='not the file of that name'):
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
    # Accepting again must not overwrite what was recorded.
    with pytest.raises(UserError, match='has changed since'):
        fetch(thing, tmp_path, accept_unverified=True)


@pytest.mark.parametrize(
    'note', [b'', b'\n', b'\xff\xfe', b'f' * 63, b'f' * 65, b'F' * 64]
)
def test_a_note_that_holds_no_hash(note, entry, tmp_path):
    thing = entry('good', sha256=DIGEST[:8], lapsed='2026-06-06')
    path = fetch(thing, tmp_path, accept_unverified=True)
    assert file_hash.recorded(path) == DIGEST
    (tmp_path / 'file.pth.sha256').write_bytes(note)
    with pytest.raises(UserError, match=r'file\.pth\.sha256 should hold'):
        fetch(thing, tmp_path)

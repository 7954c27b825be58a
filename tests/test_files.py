import pytest

from flower_mm.files import replacing


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / 'result.txt'
    path.write_text('old')

    def fail() -> None:
        with replacing(path, 'w') as file:
            file.write('half of the new')
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_the_new_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / 'new' / 'résultat.txt'
    with replacing(path, 'w') as file:
        file.write('é\n')
        assert not path.exists()
    assert path.read_bytes() == 'é\n'.encode()
    assert path.stat().st_mode & 0o444 == 0o444

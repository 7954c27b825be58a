"""Cores of a container, which may be less than the machine's."""

from flower_mm import cores


def test_the_cores_of_a_container(monkeypatch, tmp_path):
    there = cores.cores()
    assert there >= 1
    limit = tmp_path / 'cpu.max'
    monkeypatch.setattr(cores, 'QUOTA', limit)
    for text, count in (
        ('100000 100000', 1),
        ('max 100000', there),
        ('99900000 100000', there),
        ('nonsense', there),
    ):
        limit.write_text(f'{text}\n')
        assert cores.cores() == count

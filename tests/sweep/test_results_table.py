"""The table of a comparison, from made-up rows."""

from flower_mm.sweep.results_table import config_results, markdown, rank


def rows(config: str, *accuracies: float, **others: object) -> list[dict]:
    return [
        {
            'config': config,
            'seed': seed,
            'status': 'finished',
            'epochs': 3,
            'best_top1': accuracy,
            'last_top1': accuracy - 1,
            'seconds': 10.0 + seed,
            'at_once': 1,
            'parameters': 2_230_277,
            'trained_parameters': 6405,
            'folder': f'out/{config}/seed_{seed}',
            'error': None,
            **others,
        }
        for seed, accuracy in enumerate(accuracies)
    ]


def ranks(*groups: list[dict]) -> dict[str, str]:
    results = config_results([row for group in groups for row in group])
    return {result.config: rank(result, results) for result in results}


def test_best_mean_comes_first():
    results = config_results(rows('wide', 95, 70) + rows('narrow', 90, 91))
    assert [result.config for result in results] == ['narrow', 'wide']


def test_separate_ranges_have_separate_ranks():
    assert ranks(rows('a', 90, 92), rows('b', 80, 82), rows('c', 70, 79)) == {
        'a': '1',
        'b': '2',
        'c': '3',
    }


def test_overlapping_ranges_leave_the_ranks_open():
    assert ranks(
        rows('a', 90, 94),
        rows('b', 85, 91),
        rows('c', 80, 86),
        rows('d', 60, 61),
    ) == {'a': '1 to 2', 'b': '1 to 3', 'c': '2 to 3', 'd': '4'}


def cells_of(text: str, config: str) -> list[str]:
    lines = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in text.splitlines()
        if line.startswith('|')
    ]
    (found,) = (cells for cells in lines if cells[1] == config)
    return found


def test_overlaps():
    """Configs with a common rank may have separate ranges."""
    text = markdown(
        rows('a', 90, 94)
        + rows('b', 85, 91)
        + rows('c', 80, 86)
        + rows('d', 60, 61)
        + rows('e', 88)  # a single run
    )
    found = {config: cells_of(text, config)[3] for config in 'abcde'}
    assert found == {'a': 'b', 'b': 'a, c', 'c': 'b', 'd': '', 'e': ''}
    assert 'ranges that overlap' in ' '.join(text.split())


def test_ranges_that_touch_overlap():
    groups = rows('a', 90, 92), rows('b', 88, 90)
    assert ranks(*groups) == {'a': '1 to 2', 'b': '1 to 2'}
    text = markdown([one for group in groups for one in group])
    assert (cells_of(text, 'a')[3], cells_of(text, 'b')[3]) == ('b', 'a')


def test_equal_ranges_share_their_ranks():
    assert ranks(rows('a', 90, 91), rows('b', 90, 91)) == {
        'a': '1 to 2',
        'b': '1 to 2',
    }


def test_single_run_has_no_rank():
    found = ranks(rows('a', 90, 91), rows('b', 80), rows('c', 70, 71))
    assert found == {'a': '1 to 2', 'b': '', 'c': '2 to 3'}
    assert ranks(rows('a', 90), rows('b', 80)) == {'a': '', 'b': ''}


def test_single_runs_are_explained():
    text = markdown([*rows('a', 90, 91), *rows('b', 80)])
    assert '--seeds' in text
    assert '--seeds' not in markdown(rows('a', 90, 91))


def test_mean_range_and_cost():
    assert cells_of(markdown(rows('a', 90, 92, 91.5)), 'a') == [
        '1', 'a', '91.17 (90.00 to 92.00)', '', '90.17 (89.00 to 91.00)', '3',
        '3', '11 (10 to 12)', '2,230,277', '6,405',
    ]  # fmt: skip


def test_number_of_simultaneous_trainings():
    assert 'at the same time' not in markdown(rows('a', 90))
    text = markdown(rows('a', 90) + rows('b', 80, at_once=2))
    assert 'Up to 2 trainings ran at the same time' in text


def test_a_failed_run_is_named_and_not_counted():
    failed = rows(
        'a', 0.0, status='failed', best_top1=None, error='the disk is full'
    )
    text = markdown(rows('b', 90) + failed)
    assert '| a |' not in text
    assert 'Failed: a, seed 0: the disk is full' in text
    assert 'out/a/seed_0/train.log' in text


def test_run_without_validation():
    found = rows('a', 0.0, best_top1=None)
    assert config_results(found) == []
    assert markdown(found).startswith('No accuracies to compare.')

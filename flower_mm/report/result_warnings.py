"""What limits the trust in a run's figures, as codes with their values.

The text of each code is in templates/text.j2.
"""

from flower_mm.report.baselines import below_solved_head

RANDOM = 'random'  # initial_weights in run.json


def warnings_of(report: dict) -> list[dict]:
    """The warnings about a run, the most serious first.

    Args:
        report: The content of report.json, or a run in comparison.json.
    """
    run, measured = report['run'], report['measured']
    found = []
    if measured:
        found += _about_photos(measured, report['result'])
        found += _about_checkpoint(run, measured)
    # A report.json of an earlier version lacks these keys.
    if run.get('initial_weights') == RANDOM:
        found.append({'code': 'random-weights'})
    if line := below_solved_head(report.get('solved_head')):
        text = f'{line[0].upper()}{line[1:]}'
        found.append({'code': 'below-solved-head', 'text': text})
    for fold in (report.get('folds') or {}).get('solved_heads', []):
        if line := below_solved_head(fold):
            text = f'{fold["run"]}: {line}'
            found.append({'code': 'below-solved-head', 'text': text})
    return found + _about_training(run)


def _about_photos(measured: dict, result: dict) -> list[dict]:
    found = []
    if count := measured.get('other_photos'):
        found.append({'code': 'photos-replaced', 'count': count})
    if measured['dataset_changed']:
        photos = result['photos']
        found.append({'code': 'dataset-changed', 'photos': photos})
    return found


def _about_training(run: dict) -> list[dict]:
    found = []
    status = run['status'] or 'no-record'
    if status in ('failed', 'interrupted', 'running', 'no-record'):
        found.append(
            {
                'code': status,
                'epochs': run['result']['epochs'],
                'max_epochs': run['result']['max_epochs'],
                'error': run['error'] or '',
            }
        )
    if count := run['skipped_photos']['count']:
        found.append({'code': 'skipped-photos', 'count': count})
    if run['went_back']:
        count = len(run['went_back'])
        found.append({'code': 'loss-not-finite', 'count': count})
    if changes := run['resumed_although']:
        found.append({'code': 'resumed-with-changes', 'changes': changes})
    return found


def _about_checkpoint(run: dict, measured: dict) -> list[dict]:
    """Whether best.pth is from another run than run.json."""
    noted = run['result']
    epoch, top1 = measured['best_epoch'], measured['best_top1']
    if None in (epoch, top1, run['status']):
        return []
    if run['status'] != 'finished' and epoch > (noted['epochs'] or 0):
        # The run was stopped before run.json was written, or resumed from
        # before its best epoch.
        return []
    best = noted['best_epoch'], noted['best_top1']
    if None not in best and best[0] == epoch and abs(best[1] - top1) < 1e-6:
        return _about_origin(run, measured)
    is_known = None not in best
    return [
        {
            'code': 'other-checkpoint',
            'epoch': epoch,
            'top1': top1,
            'noted_epoch': best[0] if is_known else None,
            'noted_top1': best[1] if is_known else None,
        }
    ]


def _about_origin(run: dict, measured: dict) -> list[dict]:
    """Whether a best.pth of the same epoch and accuracy has another origin."""
    if run['resumed_although']:
        return []  # best.pth may be older than the changed settings
    pairs = {
        'seed': (run['seed'], measured['best_seed']),
        'dataset': (run['dataset_sha256'], measured['best_dataset_sha256']),
    }
    differing = [
        name
        for name, (noted, actual) in pairs.items()
        if None not in (noted, actual) and noted != actual
    ]
    if not differing:
        return []
    return [{'code': 'other-origin', 'differing': differing}]

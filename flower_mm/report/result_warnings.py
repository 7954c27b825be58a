"""What limits the trust in a run's figures, as codes with their values.

The text of each code is in templates/text.j2.
"""

from flower_mm.report.baselines import below_linear_probe

RANDOM = 'random'  # initial_weights in run.json


def warnings_of(report: dict) -> list[dict]:
    """The warnings about a run, the most serious first.

    Args:
        report: The content of report.json, or a run in comparison.json.
    """
    run, evaluation = report['run'], report['evaluation']
    warnings = []
    if evaluation:
        if count := evaluation['replaced_photos']:
            warnings.append({'code': 'photos-replaced', 'count': count})
        if evaluation['dataset_changed']:
            photos = report['metrics']['photos']
            warnings.append({'code': 'dataset-changed', 'photos': photos})
        warnings += _about_checkpoint(run, evaluation)
    if run['initial_weights'] == RANDOM:
        warnings.append({'code': 'random-weights'})
    folds = report.get('folds') or {}
    for probe in (report['linear_probe'], *folds.get('linear_probes', [])):
        fold = probe and probe.get('run')
        if text := below_linear_probe(probe, is_fold=bool(fold)):
            warnings.append(
                {
                    'code': 'below-linear-probe',
                    'text': f'{fold}: {text}'
                    if fold
                    else text[0].upper() + text[1:],
                }
            )
    return warnings + _about_training(run)


def _about_training(run: dict) -> list[dict]:
    warnings = []
    status = run['status'] or 'no-record'
    if status in ('failed', 'interrupted', 'running', 'no-record'):
        warnings.append(
            {
                'code': status,
                'epochs': run['result']['epochs'],
                'max_epochs': run['result']['max_epochs'],
                'error': run['error'] or '',
            }
        )
    if count := run['skipped_photos']['count']:
        warnings.append({'code': 'skipped-photos', 'count': count})
    if run['went_back']:
        count = len(run['went_back'])
        warnings.append({'code': 'loss-not-finite', 'count': count})
    if changes := run['resumed_although']:
        warnings.append({'code': 'resumed-with-changes', 'changes': changes})
    return warnings


def _about_checkpoint(run: dict, evaluation: dict) -> list[dict]:
    """Whether best.pth is from another run than run.json."""
    result, epoch = run['result'], evaluation['checkpoint_epoch']
    if None in (epoch, run['status']):
        return []
    if run['status'] != 'finished' and epoch > (result['epochs'] or 0):
        # The run was stopped before run.json was written, or resumed from
        # before its best epoch.
        return []
    pairs = {
        'epoch': (result['best_epoch'], epoch),
        'accuracy': (result['best_top1'], evaluation['checkpoint_top1']),
    }
    if not run['resumed_although']:  # else best.pth may be older than these
        sha256 = evaluation['checkpoint_dataset_sha256']
        pairs['seed'] = run['seed'], evaluation['checkpoint_seed']
        pairs['dataset'] = run['dataset_sha256'], sha256
    differing = [
        name
        for name, (expected, actual) in pairs.items()
        if None not in (expected, actual) and expected != actual
    ]
    if not differing:
        return []
    return [{'code': 'other-checkpoint', 'differing': differing}]

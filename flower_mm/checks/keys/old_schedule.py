"""The `lr_config` of MMClassification 0.x as schedulers of MMEngine."""

# What a policy had besides, and what that is called now.
POLICIES = {
    'step': ('MultiStepLR', {'step': 'milestones', 'gamma': 'gamma'}),
    'exp': ('ExponentialLR', {'gamma': 'gamma'}),
    'poly': ('PolyLR', {'power': 'power', 'min_lr': 'eta_min'}),
    'cosineannealing': (
        'CosineAnnealingLR',
        {'min_lr': 'eta_min', 'min_lr_ratio': 'eta_min_ratio'},
    ),
    'cosinerestart': (
        'CosineRestartLR',
        {
            'periods': 'periods',
            'restart_weights': 'restart_weights',
            'min_lr': 'eta_min',
            'min_lr_ratio': 'eta_min_ratio',
        },
    ),
}
NEEDED = {'step': 'step', 'exp': 'gamma', 'cosinerestart': 'periods'}


def schedulers_of(old: dict) -> list[dict] | None:
    """None where MMEngine has no such policy, or a value is lacking.

    None of them names its end: MMEngine fills in train_cfg.max_epochs.
    """
    policy = str(old.get('policy')).lower()
    by_epoch = bool(old.get('by_epoch', True))
    if policy == 'fixed':
        return _warmup(old)
    needed = NEEDED.get(policy)
    if policy not in POLICIES or (needed and old.get(needed) is None):
        return None
    name, keys = POLICIES[policy]
    main = {'type': name}
    main |= {keys[key]: old[key] for key in keys if old.get(key) is not None}
    if isinstance(main.get('milestones'), int):
        main['type'] = 'StepLR'
        main['step_size'] = main.pop('milestones')
    if policy == 'cosineannealing' and 'eta_min_ratio' in main:
        main.pop('eta_min', None)  # one of the two
    main['by_epoch'] = by_epoch
    before = _warmup(old)
    if policy == 'cosineannealing' and by_epoch:
        # It begins where a rise over epochs ends.
        for rise in before:
            if rise['by_epoch']:
                main['begin'] = rise['end']
    return [*before, main]


def _warmup(old: dict) -> list[dict]:
    """The steps before, where the rate rises; 'exp' becomes linear too."""
    if not old.get('warmup') or not old.get('warmup_iters'):
        return []
    ratio = old.get('warmup_ratio', 0.1)
    by_epoch = bool(old.get('warmup_by_epoch'))
    if old['warmup'] == 'constant':
        scheduler = {'type': 'ConstantLR', 'factor': ratio}
    else:
        scheduler = {'type': 'LinearLR', 'start_factor': ratio}
    scheduler |= {'by_epoch': by_epoch, 'end': old['warmup_iters']}
    if by_epoch:
        scheduler['convert_to_iter_based'] = True
    return [scheduler]

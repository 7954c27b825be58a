"""What the figures mean, in sentences: report.json in, words out."""

import shlex
from datetime import datetime

from flower_mm.report.baselines import below_solved_head
from flower_mm.report.confidence import SHARES
from flower_mm.report.formatting import TOP1, value_of

NBSP = '\u00a0'
MOST_PAIRS = 12
RANDOM = 'random'  # initial_weights in run.json
JUDGE = 60  # per cent right that a judge of labels has to be
MOST_DOUBTED = 0.2  # of all labels


def one(value: float) -> str:
    """One decimal; what is less than 100 does not look like it."""
    if 99.95 <= value < 100:
        return f'{int(value * 100) / 100:.2f}'
    return '100' if value == 100 else f'{value:.1f}'


def percent(value: float) -> str:
    return f'{one(value)}{NBSP}%'


def plural(count: int, word: str) -> str:
    return f'{count} {word}' if count == 1 else f'{count} {word}s'


def be(count: int) -> str:
    return 'is' if count == 1 else 'are'


def duration(seconds: float) -> str:
    if seconds < 100:
        return f'{seconds:.0f}{NBSP}s'
    minutes = round(seconds / 60)
    if minutes < 100:
        return f'{minutes}{NBSP}min'
    return f'{minutes // 60}{NBSP}h {minutes % 60}{NBSP}min'


def headline(facts: dict) -> str:
    """One line below the name: which config, when, on what."""
    run = facts['run']
    parts = [run['config'] or 'config unknown']
    epochs = run['result']['epochs']
    if epochs is not None:
        each = (
            f'{len(facts["folds"]["each"])} folds, ' if facts['folds'] else ''
        )
        parts.append(each + plural(epochs, 'epoch'))
    if run['started']:
        parts.append(_date(run['started']))
    if run['device']:
        parts.append(run['device'])
    return ' · '.join(parts)


def _date(text: str) -> str:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f'{when.day} {when:%B %Y}, {when:%H:%M}'


def alarms(facts: dict) -> list[list[str]]:
    """What has to be known before a figure of this run is believed."""
    run, measured, result = facts['run'], facts['measured'], facts['result']
    found = []
    if measured and (others := measured.get('other_photos')):
        found.append(
            [
                f'{plural(others, "photo")} of these {be(others)} not what '
                'dataset.json lists under the same name: changed or '
                'exchanged since the dataset was prepared. See which: '
                'python tools/prepare_dataset.py --check --out DATASET'
            ]
        )
    if measured and measured['dataset_changed']:
        asked = result['photos']
        which = f'any of these {asked} photos' if asked > 1 else 'this photo'
        found.append(
            [
                f'The dataset has changed since this run: {which} may have '
                'been learned from. Train again, or name the dataset as it '
                'was: --data-root FOLDER'
            ]
        )
    if measured and (text := _other_best(run, measured)):
        found.append([text])
    # A report.json of an earlier version has neither.
    if run.get('initial_weights') == RANDOM:
        found.append(
            [
                'The backbone started from random weights; pretrained ones '
                'need far fewer photos.',
                'Train with --weights FILE, or with a name that python '
                'tools/get_weights.py --list shows. --from-scratch says that '
                'random weights are wanted.',
            ]
        )
    if line := below_solved_head(facts.get('solved_head')):
        found.append([f'{line[0].upper()}{line[1:]}.'])
    done, planned = run['result']['epochs'], run['result']['max_epochs']
    where = f' after {done} of {planned} epochs' if planned else ''
    if run['status'] == 'failed':
        error = (run['error'] or '').splitlines()
        found.append([f'This run failed{where}.', *error])
    elif run['status'] == 'interrupted':
        found.append(
            [
                f'This run was interrupted{where}. The same command with '
                '--resume goes on from there.'
            ]
        )
    elif run['status'] == 'running':
        found.append(
            [
                'run.json says that this run is still going on'
                f'{where and f", {where.strip()}"}; this is what is there so '
                'far. If it was killed, the same command with --resume goes '
                'on.'
            ]
        )
    elif run['status'] is None:
        found.append(['There is no run.json that says how this run ended.'])
    if skipped := run['skipped_photos']['count']:
        found.append(
            [
                f'{plural(skipped, "photo")} could not be loaded while '
                'training; others of the same class stood in.'
            ]
        )
    if run['went_back']:
        found.append(
            [
                'The loss was no number '
                f'{plural(len(run["went_back"]), "time")}; the run went back '
                'to a checkpoint and on at a lower rate.'
            ]
        )
    if run['resumed_although']:
        found.append(
            [
                'Resumed under other settings than it began with:',
                *map(str, run['resumed_although']),
            ]
        )
    return found


def _other_best(run: dict, measured: dict) -> str | None:
    """That best.pth is of another run than run.json, if it is."""
    noted = run['result']
    epoch, top1 = measured['best_epoch'], measured['best_top1']
    if None in (epoch, top1, run['status']):
        return None
    if run['status'] != 'finished' and epoch > (noted['epochs'] or 0):
        # It was stopped before run.json was written, or was resumed from
        # before its best epoch.
        return None
    best = noted['best_epoch'], noted['best_top1']
    if None not in best and best[0] == epoch and abs(best[1] - top1) < 1e-6:
        return _other_origin(run, measured)
    says = (
        'of no best epoch'
        if None in best
        else f'of epoch {best[0]} with {percent(best[1])}'
    )
    return (
        f'best.pth is not the one of this run.json: it is of epoch {epoch} '
        f'with {percent(top1)}, run.json tells {says}. The figures are of '
        'best.pth; what is said of the training is of another.'
    )


def _other_origin(run: dict, measured: dict) -> str | None:
    """That a best.pth of the same epoch and top-1 is of another run."""
    if run['resumed_although']:
        return None  # of before it went on otherwise, perhaps
    differ = [
        name
        for name, noted, says in (
            ('seed', run['seed'], measured['best_seed']),
            (
                'dataset',
                run['dataset_sha256'],
                measured['best_dataset_sha256'],
            ),
        )
        if None not in (noted, says) and noted != says
    ]
    if not differ:
        return None
    return (
        f'best.pth is not the one of this run.json: it notes another '
        f'{" and another ".join(differ)}. The figures are of best.pth; what '
        'is said of the training is of another.'
    )


def measured_on(measured: dict) -> str:
    """What kind of photos, before the word "photos"."""
    if measured['folds']:
        return 'out-of-fold'
    return 'test' if measured['split'] == 'test' else 'validation'


def result_sentences(facts: dict) -> list[str]:
    """What the top-1 figure means, and what it does not."""
    result, measured = facts['result'], facts['measured']
    low, high = result['top1_interval']
    photos, different = result['photos'], result['different']
    changed = measured['dataset_changed']
    aside = '' if measured['folds'] or changed else ' kept aside'
    asked = plural(photos, 'photo') + aside
    if result['correct'] == photos:
        sentences = [
            (f'The only photo{aside}' if photos == 1 else f'All {asked}')
            + f' {be(photos)} named right. That is not {percent(100)} of all '
            f'photos there are: with so few, {percent(low)} or more is what '
            'can be said.'
        ]
    else:
        sentences = [
            f'Of {asked}, {result["correct"] or "none"} '
            f'{be(result["correct"] or 1)} named right. The true rate, over '
            'all photos of this kind, most likely lies between '
            f'{one(low)} and {percent(high)}: 19 of 20 such intervals hold '
            'it.'
        ]
    if different < photos:
        worth = result['top1_interval_photos']
        sentences.append(
            f'Of the {photos} photos {different} are different: equal or '
            'nearly equal ones prove no more than one of them, so the '
            f'interval is as wide as that of {worth:.0f} photos.'
        )
    if measured['folds']:
        sentences.append(
            f'Each was asked of the one of {measured["folds"]} models that '
            'had not been trained on it.'
        )
    largest = result['always_largest']
    if low <= largest['top1']:
        sentences.append(
            f'That is not clearly better than always saying '
            f'“{largest["class"]}”, which gets {percent(largest["top1"])}.'
        )
    if (fair := _how_fair(facts)) and not changed:
        sentences.append(fair)
    run = facts['run']
    noted = run['result']['best_top1']
    one_photo = 100 / photos
    if (
        measured['split'] == 'val'
        and not measured['folds']
        and noted is not None
        and abs(noted - result['top1']) > one_photo / 2
    ):
        sentences.append(
            f'Training itself noted {percent(noted)}: measured on other '
            'photos, or with other precision.'
        )
    return sentences


def _how_fair(facts: dict) -> str | None:
    """Whether the photos had a say in what they now judge."""
    epochs = facts['run']['result']['epochs'] or 0
    split = facts['measured']['split']
    if split == 'val' and epochs > 1:
        return (
            'The same photos also chose which of '
            f'{plural(epochs, "epoch")} to keep, so the figure flatters a '
            'little. Only photos without a say in that, a test split, give '
            'one that does not (prepare_dataset.py --test 0.15, train '
            'again, then report.py --split test).'
        )
    if split == 'test':
        return (
            'These are the test photos, which had no say in the training: '
            'the figure is fair as long as no decision is made by it.'
        )
    return None


def average(result: dict, name: str) -> str:
    """The interval of an average over the classes."""
    interval = result[f'{name}_interval']
    if interval is None:
        why = result['why_no_averages_interval']
        return f'{why}: too few for an interval'
    return f'{one(interval[0])} to {one(interval[1])} (bootstrap)'


def tiles(facts: dict) -> list[tuple[str, str, str]]:
    run = facts['run']
    found = []
    if facts['result']:
        trained = run['photos']['train']
        others = ' in each fold' if facts['folds'] else ' others'
        if facts['measured']['dataset_changed']:
            others = ''
        found.append(
            (
                'Photos',
                str(facts['result']['photos']),
                f'trained on {trained}{others}' if trained else '',
            )
        )
    if facts['folds']:
        return found
    best, epochs = run['result']['best_epoch'], run['result']['epochs']
    if best is not None:
        chosen_by = best_metric(run)
        by = f', by {chosen_by}' if chosen_by else ''
        found.append(('Best epoch', str(best), f'of {epochs}{by}'))
    spent = (run['seconds']['train'] or 0) + (run['seconds']['validate'] or 0)
    if spent:
        resumed = run['resumed_at_epoch']
        found.append(
            (
                'Time',
                duration(spent),
                f'from epoch {resumed + 1} on'
                if resumed
                else 'training and validation',
            )
        )
    return found


def best_metric(run: dict) -> str:
    """The metric that chose the best epoch; empty for accuracy."""
    result = run['result']
    metric, score = result.get('best_metric'), result.get('best_score')
    if metric in (None, TOP1) or score is None:
        return ''
    return f'{metric} {value_of(metric, score)}'


def folds(found: dict | None) -> dict | None:
    """How far the folds agree."""
    if not found:
        return None
    return {
        'sentence': f'On average {percent(found["mean_top1"])}, from '
        f'{one(found["lowest_top1"])} to {percent(found["highest_top1"])}: '
        'so much comes from which photos are learned and which are asked. '
        'Each fold was asked with the weights of its last epoch, which '
        'nothing was chosen by.',
        'each': found['each'],
    }


def pairs(found: list[dict]) -> list[str]:
    """The most confused pairs of classes."""
    sentences = []
    for pair in found[:MOST_PAIRS]:
        text = (
            f'{pair["class"]} taken for {pair["taken_for"]}: '
            f'{pair["times"]} of {pair["of"]} '
            f'({percent(100 * pair["times"] / pair["of"])})'
        )
        if pair['the_other_way']:
            text += (
                f'; the other way round {pair["the_other_way"]} of '
                f'{pair["of_the_other"]}'
            )
        sentences.append(text)
    return sentences


def wrong(facts: dict, cards: list[dict]) -> str:
    count, photos = len(facts['wrong']), facts['result']['photos']
    if len(cards) < count:
        text = f'here are the {len(cards)} that the model was surest of.'
    else:
        text = 'those first that the model was surest of.'
    text = (
        f'{count} of {plural(photos, "photo")} got another name than '
        f'{"its" if photos == 1 else "their"} label: {text}'
    )
    if any(card['heat'] for card in cards):
        text += (
            ' Left, what the model saw of the photo; right, bright where it '
            'found what it said (Grad-CAM).'
        )
    return text


def cannot_judge(facts: dict) -> str | None:
    """Why this model's word against a label is worth nothing, if it is."""
    top1, photos = facts['result']['top1'], facts['result']['photos']
    named = len(facts['suspects'])
    if top1 < JUDGE:
        return (
            f'No list: a model that is right in {percent(top1)} is no judge '
            'of labels.'
        )
    if named > MOST_DOUBTED * photos:
        return (
            f'No list: the model doubts {named} of {photos} labels. So many '
            'say more about the model than about the labels.'
        )
    return None


def suspects(facts: dict) -> str:
    photos = facts['result']['photos']
    text = (
        f'{len(facts["suspects"])} of {plural(photos, "photo")}: '
        'the model is as sure of another class as it normally is of photos '
        'with that label (confident learning). Some of these labels may '
        "be wrong, others are the model's mistakes: look, the most probable "
        'come first.'
    )
    measured = facts['measured']
    if not (measured['folds'] or measured['dataset_changed']):
        text += (
            ' Only photos that the model was not trained on can be judged; '
            'train.py --folds 5 judges all.'
        )
    return text


def data(found: dict, trained_on: str | None) -> dict:
    """What prepare_dataset.py found: sentences, and lists to unfold."""
    if not found:
        return {'sentences': ['The dataset is not at hand.'], 'lists': []}
    if found.get('error'):
        return {'sentences': found['error'].splitlines(), 'lists': []}
    if not found['prepared']:
        return {
            'sentences': [
                'Nobody looked: the dataset was made by hand. '
                'tools/prepare_dataset.py keeps equal photos on one side of '
                'the split and finds those that lie in two classes.'
            ],
            'lists': [],
        }
    groups, conflicts = found['duplicates'], found['conflicts']
    kept = 'kept' if found['conflicts_kept'] else 'left out'
    sentences = [
        f'{plural(len(groups), "group")} of near-duplicates, each on one side '
        'of the split.'
        if groups
        else 'The photos of a class have no near-duplicates.',
        f'{plural(len(conflicts), "photo")} in two classes at once, {kept}.'
        if conflicts
        else 'No photo lies in two classes.',
    ]
    label_errors = found.get('label_errors', [])
    if label_errors:
        sentences.append(
            f'{plural(len(label_errors), "group")} of near-duplicates under '
            'two classes: possible label errors.'
        )
    if trained_on and found['sha256'] != trained_on:
        sentences.append(
            'The dataset has changed since this run: these are the findings '
            'of today.'
        )
    others = {
        path: why
        for path, why in found['left_out'].items()
        if not str(why).startswith('conflict')
    }
    lists = [
        ('Near-duplicates', groups),
        ('Possible label errors', label_errors),
        (f'In two classes, {kept}', conflicts),
        ('Not used', [f'{path}: {why}' for path, why in others.items()]),
    ]
    return {
        'sentences': sentences,
        'lists': [(title, lines) for title, lines in lists if lines],
    }


def calibration(found: dict, top1: float) -> list[str]:
    stated = found['mean_confidence']
    gap = stated - top1
    bins = plural(len(found['bins']), 'bin')
    sentences = [
        f'On average it states {percent(stated)} and is right in '
        f'{percent(top1)}.',
        f'Expected calibration error: {percent(found["ece"])}, over {bins} '
        'of equally many photos. A model whose confidence is perfect shows '
        f'{percent(found["ece_by_chance"])} on so few photos, and more than '
        f'{percent(found["ece_by_chance_95"])} in one case of twenty.',
    ]
    if found['ece'] <= found['ece_by_chance_95']:
        sentences.append('So these photos give no reason to distrust it.')
    else:
        kind = 'surer' if gap > 0 else 'less sure'
        sentences.append(f'It is {kind} than it should be.')
    if found['temperature'] is None:
        sentences.append(
            f'No temperature is fitted: {found["why_no_temperature"]}.'
        )
        return sentences
    better = found['ece_after'] < found['ece']
    sentences.append(
        f'Dividing its logits by a temperature of {found["temperature"]:.2f} '
        f'{"brings" if better else "does not help:"} the error '
        f'{"to" if better else "is then"} {percent(found["ece_after"])}, '
        'measured on photos that the temperature was not fitted on (two '
        'halves, crosswise).'
    )
    return sentences


def handed_over(found: dict, result: dict) -> str:
    photos, top1 = result['photos'], result['top1']
    wrong = photos - result['correct']
    if not found['table']:
        return (
            f'Of {plural(photos, "photo")} even {SHARES[-1]}{NBSP}% are none.'
        )
    if found['says_little']:
        return (
            f'With {plural(photos, "photo")}, {wrong or "none"} of them '
            'wrong, these figures say little.'
        )
    least, *_, most = found['table']
    text = (
        f'If a person takes the {plural(least["photos"], "photo")} '
        f'({least["share"]}{NBSP}%) that the model is least sure of, it is '
        f'right on {percent(least["top1_of_the_rest"])} of the rest; with '
        f'{most["share"]}{NBSP}%, on {percent(most["top1_of_the_rest"])}.'
    )
    if most['top1_of_the_rest'] <= top1 < 100:
        text += ' So its confidence does not tell which ones are wrong.'
    return text


def speed(found: dict) -> list[tuple[str, str]]:
    rows = []
    if value := found['train_seconds_per_epoch']:
        rows.append(('Training', f'{value:.1f}{NBSP}s an epoch'))
    if value := found['train_photos_per_second']:
        rows.append(('', f'{value:.0f} photos a second'))
    if value := found['validation_photos_per_second']:
        rows.append(('Validation', f'{value:.0f} photos a second'))
    if value := found['prediction_photos_per_second']:
        where = found['prediction_device']
        rows.append(('Prediction', f'{value:.0f} photos a second on {where}'))
    return rows


def environment(facts: dict) -> list[tuple[str, str]]:
    run, measured = facts['run'], facts['measured']
    versions = ', '.join(
        f'{name} {version}'
        for name, version in (run['versions'] or {}).items()
    )
    processes = run['processes'] or 1
    rows = [
        ('Seed', run['seed']),
        ('Device', run['device']),
        ('Processes', processes if processes > 1 else None),
        ('Versions', versions),
        ('Commit of flower_mm', run['git_commit']),
        ('Dataset', run['data_root']),
        ('Dataset sha256', run['dataset_sha256']),
        ('best.pth sha256', measured['best_sha256'] if measured else None),
    ]
    return [
        (name, str(value))
        for name, value in rows
        if value is not None and value != ''
    ]


def command(text: str | None) -> str | None:
    """The command, a flag a line where it is long."""
    if not text or len(text) < 72:
        return text
    try:
        words = shlex.split(text)
    except ValueError:
        return text
    lines = [[]]
    for word in words:
        if word.startswith('--') and lines[-1]:
            lines.append([])
        lines[-1].append(shlex.quote(word))
    return ' \\\n  '.join(' '.join(line) for line in lines)


def command_caution(run: dict) -> str | None:
    """That the command does not give this run, where it does not."""
    if not run['resumed_although']:
        return None
    return (
        'This began the run, which then went on under other settings '
        '(--resume-anyway, see above): no one command repeats it.'
    )


def footer(facts: dict) -> str:
    return (
        f'{written(facts)} The figures of this page are in report.json, '
        'what the model said of each photo in predictions.csv. This file '
        'fetches nothing from anywhere.'
    )


def written(facts: dict) -> str:
    return f'Written by {facts["written_by"]}, {_date(facts["written"])}.'

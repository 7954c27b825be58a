"""Configs with a word wherever code of the libraries takes one.

A registry imports a module of a name that it does not have, and not for the
key `type` alone: `patch_cfg={'conv_type': 'evil'}` did so.
"""

import copy
from collections.abc import Iterator

from base_configs import BASES
from hypothesis import strategies as st
from registered_parts import (
    ALLOWED_PARTS,
    PART_CLASSES,
    filled,
    parameters_of,
    relatives,
    takes_dict,
    takes_word,
    words_near,
)

MODULE = 'imported_by_a_checkpoint'  # lies beside the file
# Words that the closed lists accept and that a registry would look up.
MODULE_WORDS = (MODULE, f'{MODULE}1.2')
NAMED = {k: BASES['ResNet']['model'][k]['type'] for k in ('neck', 'head')}


def word_places(model: dict) -> Iterator[tuple[str, ...]]:
    """Where code of the libraries takes a word, as paths in the model.

    The arguments of each part, and the keys of the dicts that it takes
    without a `type`.
    """
    for path, part in _paths(model):
        owner = part.get('type')
        if owner not in PART_CLASSES:
            continue
        places = [inner for inner, free in _paths(part) if 'type' not in free]
        for name, parameter in parameters_of(PART_CLASSES[owner]).items():
            if takes_word(parameter):
                yield (*path, name)
            if takes_dict(parameter) and (name,) not in places:
                places.append((name,))
        for place in places:
            for key in words_near(owner):
                yield (*path, *place, key)


def _paths(value: object, path: tuple = ()) -> Iterator[tuple[tuple, dict]]:
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            yield from _paths(item, (*path, key))


def with_word(config: dict, path: tuple[str, ...], word: str) -> dict:
    changed = copy.deepcopy(config)
    place = changed['model']
    for key in path[:-1]:
        if not isinstance(place.get(key), dict):
            place[key] = {}
        place = place[key]
    place[path[-1]] = word
    return changed


def word_examples() -> Iterator[tuple[str, dict]]:
    """Each place of each base config, and of each other part in its place."""
    for base, config in sorted(BASES.items()):
        for path in word_places(config['model']):
            yield base, with_word(config, path, MODULE)
    config = BASES['ResNet']
    for name in ALLOWED_PARTS:
        part = filled(name)
        if 'in_channels' in part:
            part['in_channels'] = 3
        place = next(
            (p for p in ('neck', 'head') if name in relatives(NAMED[p])),
            'backbone',
        )
        for path in word_places({place: part}):
            other = config | {'model': config['model'] | {place: part}}
            yield 'ResNet', with_word(other, path, MODULE)


@st.composite
def configs_with_a_word(draw: st.DrawFn) -> tuple[str, dict]:
    """A base config with the name of a module in one of its places."""
    name = draw(st.sampled_from(sorted(BASES)))
    places = list(word_places(BASES[name]['model']))
    word = draw(st.sampled_from(MODULE_WORDS))
    return name, with_word(BASES[name], draw(st.sampled_from(places)), word)

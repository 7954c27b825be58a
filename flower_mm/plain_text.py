"""Foreign text that neither steers a terminal nor pretends to be another."""

import re
import unicodedata

LONGEST_CLASS = 255  # characters; no folder can have a longer name
# They turn the direction of what follows, so that it reads as something else.
BIDI = '\u202a-\u202e\u2066-\u2069'
# All control characters but tab, line feed and carriage return.
_STEERING = re.compile(
    f'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029{BIDI}]'
)


def visible(text: str) -> str:
    """The text with what would steer a terminal as escape sequences."""
    return _STEERING.sub(lambda found: escaped(found[0]), text)


def escaped(text: str) -> str:
    """As in a Python string: ASCII, on one line."""
    return text.encode('unicode_escape').decode()


def class_name_fault(name: str) -> str:
    """Why this cannot be the name of a class; '' if it can."""
    if len(name) > LONGEST_CLASS:
        return f'longer than {LONGEST_CLASS} characters'
    for char in name:
        if unicodedata.category(char) in ('Cc', 'Cs', 'Zl', 'Zp'):
            return f'control character {escaped(char)}'
        if re.match(f'[{BIDI}]', char):
            return f'character {escaped(char)}, which turns text around'
    return ''


def shown_name(name: str) -> str:
    """A refused name for a message, escaped and cut."""
    text = ''.join(c if c.isprintable() else escaped(c) for c in name[:80])
    return text + '…' * (len(name) > 80)

"""Text from strangers, made harmless for terminals, lists and messages."""

import re
import unicodedata

MAX_CLASS_NAME = 255  # characters; file systems allow no longer folder names
# Characters that change the direction of the text that follows them.
BIDI = '\u202a-\u202e\u2066-\u2069'
# All control characters but tab, line feed and carriage return.
_CONTROLS = re.compile(
    f'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029{BIDI}]'
)


def visible(text: str) -> str:
    """Escape the characters that control a terminal or the text direction."""
    return _CONTROLS.sub(lambda match: escaped(match[0]), text)


def escaped(text: str) -> str:
    """Return the text as in a Python string: ASCII, on one line."""
    return text.encode('unicode_escape').decode()


def escape_controls(name: str) -> str:
    """Escape the characters of a name that cannot stand in a line of text."""
    return ''.join(escaped(c) if is_control(c) else c for c in name)


def shorten(text: str, most: int = 200) -> str:
    """Return the start of a foreign text for a message, escaped."""
    return escape_controls(text[:most]) + '…' * (len(text) > most)


def class_name_fault(name: str) -> str:
    """Return why this is an invalid name of a class, or ''."""
    if len(name) > MAX_CLASS_NAME:
        return f'longer than {MAX_CLASS_NAME} characters'
    for char in name:
        if is_control(char):
            return f'control character {escaped(char)}'
        if re.match(f'[{BIDI}]', char):
            return f'character {escaped(char)}, which changes text direction'
    return ''


def is_control(char: str) -> bool:
    """Return whether it is a control, a line separator or not UTF-8."""
    return unicodedata.category(char) in ('Cc', 'Cs', 'Zl', 'Zp')

"""The one exception that people are meant to see."""


class UserError(Exception):
    """Something that the person at the keyboard can mend.

    The text says what is wrong, where, and the command that mends it, in one
    to three lines. The tools print it without a traceback and exit with 2.
    """


def printable(text: str, most: int = 200) -> str:
    """What of a stranger's text fits a line and does not steer a terminal."""
    plain = ''.join(c if c.isprintable() else '?' for c in text[:most])
    return plain + '…' * (len(text) > most)

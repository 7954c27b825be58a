"""The one exception that people are meant to see."""


class UserError(Exception):
    """Something that the person at the keyboard can mend.

    The text says what is wrong, where, and the command that mends it, in one
    to three lines. The tools print it without a traceback and exit with 2.
    """

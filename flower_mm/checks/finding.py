"""What a check has to say."""

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad it is; `stop` only for what cannot work or trains on wrong data.

    A bad recipe is a `warn`: somebody may want to measure just that.
    """

    NOTE = 0
    WARN = 1
    STOP = 2


@dataclass(frozen=True)
class Finding:
    """One sentence, the place in the config or file, and what mends it.

    The last two are empty where the sentence is an error's, which says all.
    """

    level: Level
    what: str
    where: str
    mend: str

    @property
    def text(self) -> str:
        """All but the level."""
        if not self.where:
            return self.what
        return f'{self.what}\n{self.where}: {self.mend}'

    def __str__(self) -> str:
        lines = self.text.replace('\n', '\n      ')
        return f'{self.level.name.lower():4}  {lines}'


def note(what: str, where: str, mend: str) -> Finding:
    return Finding(Level.NOTE, what, where, mend)


def warn(what: str, where: str, mend: str) -> Finding:
    return Finding(Level.WARN, what, where, mend)


def stop(what: str, where: str, mend: str) -> Finding:
    return Finding(Level.STOP, what, where, mend)

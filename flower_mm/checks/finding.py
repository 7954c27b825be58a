"""A finding of a check: code, place, message and fix."""

from dataclasses import dataclass

from flower_mm.checks.codes import CODES, Severity
from flower_mm.errors import UserError


@dataclass(frozen=True)
class Finding:
    """One finding.

    Args:
        code: A key of `codes.CODES`.
        where: The config key, flag or file.
        message: One sentence.
        fix: What to change; empty where the message says it.
        severity: Where it differs from that of the code.
    """

    code: str
    where: str
    message: str
    fix: str = ''
    severity: Severity | None = None

    def __post_init__(self) -> None:
        if self.severity is None:
            object.__setattr__(self, 'severity', CODES[self.code][1])

    @property
    def level(self) -> Severity:
        """The severity, which is set when the finding is made."""
        assert self.severity is not None
        return self.severity

    @property
    def text(self) -> str:
        """All but the severity."""
        fix = f'\n  fix: {self.fix}' if self.fix else ''
        message = self.message.replace('\n', '\n  ')
        return f'{self.where}: {self.code} {message}{fix}'

    def __str__(self) -> str:
        code = f'{self.code} {self.level.name.lower()}: '
        return self.text.replace(f'{self.code} ', code, 1)


class FindingError(UserError):
    """A finding that keeps a check from going on."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding

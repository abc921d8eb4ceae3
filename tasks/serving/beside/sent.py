"""What endpoints have sent, on its way to the thread that counts it."""

from dataclasses import dataclass, field

from tasks.scoring.rows import Finding
from tasks.serving.asking import Answered
from tasks.serving.served import Served


@dataclass(frozen=True)
class Sent:
    """One request."""

    served: Served
    endpoint: str
    rows: int
    at: float
    """Seconds since 1970."""
    findings: tuple[Finding, ...] = ()
    """Why it could not be scored; none where it was."""
    answered: Answered | None = field(default=None, compare=False)
    """The rows and their predictions, where there was room for them."""

    @property
    def rejected(self) -> int:
        """Rows that could not be scored; those that came along with them are not among these."""
        rows = {finding.row for finding in self.findings}
        return self.rows if None in rows else len(rows)

    @property
    def reasons(self) -> list[str]:
        """Why, the first reason of each row."""
        first: dict[int | None, str] = {}
        for finding in self.findings:
            first.setdefault(finding.row, finding.reason)
        return [*first.values()]

"""The word of a person, which a model file may ask for after the gates have said yes."""

from dataclasses import dataclass

from models.errors import RefusedError
from tasks.registry.history import whoami
from tasks.registry.versions import Version, find_version

ASKED = "approval.asked"
"""Tag of a version that waits for a person: since when."""


@dataclass(frozen=True)
class Word:
    """What a person has said about a version."""

    approve: bool
    reason: str
    by: str

    @property
    def text(self) -> str:
        """In one line."""
        said = "approved" if self.approve else "refused"
        return f"{said} by {self.by}{': ' if self.reason else ''}{' '.join(self.reason.split())}"


def word_of(approve: str | None, reject: str | None) -> Word | None:
    """The word of whoever runs this process, where a reason for or against is given; against it counts."""
    if reject is not None:
        return Word(False, reject, whoami())
    return None if approve is None else Word(True, approve, whoami())


def require_awaiting(model: str, number: str) -> None:
    """Passes where the version still waits for a person. Raises RefusedError: an answer may come long after another."""
    if not awaits_approval(find_version(model, number)):
        told = f"`perennial history {model} {number}` tells what became of it"
        raise RefusedError(f"{model}: version {number} no longer waits for approval; {told}")


def awaits_approval(version: Version) -> bool:
    """Whether the gates have let the version through, and nobody has said a word yet."""
    return ASKED in version.tags

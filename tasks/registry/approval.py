"""The word of a person, which a model file may ask for after the gates have said yes."""

from dataclasses import dataclass

from tasks.registry.history import whoami
from tasks.registry.versions import Version

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


def awaits_approval(version: Version) -> bool:
    """Whether the gates have let the version through, and nobody has said a word yet."""
    return ASKED in version.tags

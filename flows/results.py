"""What flows return: small, frozen, and what the command line prints as JSON."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Trained:
    """A new version."""

    model: str
    version: str
    run_id: str
    metrics: dict[str, float]


@dataclass(frozen=True)
class Promoted:
    """A verdict and what followed from it."""

    model: str
    version: str
    promoted: bool
    outcome: str
    reasons: list[str]


@dataclass(frozen=True)
class Retrained:
    """A retraining: nothing to do, or a new version and its verdict."""

    model: str
    version: str
    unchanged: bool
    promoted: bool
    outcome: str
    reasons: list[str]


@dataclass(frozen=True)
class Scored:
    """A scoring run whose counts add up."""

    model: str
    version: str
    run_id: str
    rows: int
    scored: int
    rejected: int
    reasons: dict[str, int]
    labels: dict[str, int]
    predictions: Path
    rejects: Path

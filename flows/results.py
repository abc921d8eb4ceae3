"""What flows return: small, frozen, and what the command line prints as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.actions.deliver import Delivered
    from tasks.data.snapshot import Ingested
    from tasks.monitoring.alarm import Alarm
    from tasks.monitoring.drift import Drift
    from tasks.monitoring.window import Window
    from tasks.registry.versions import Version
    from tasks.scoring.score import Scores


@dataclass(frozen=True, kw_only=True)
class OnRows:
    """Rows that were read for a version, those that were used, and those that were set aside with reasons."""

    read: int
    rows: int
    """Those that were used."""
    rejected: int
    reject_reasons: dict[str, int]
    rejects: Path | None


def rows_of(data: "Ingested") -> dict[str, Any]:
    """The fields of `OnRows`, as keyword arguments."""
    return {
        "read": data.read,
        "rows": data.rows,
        "rejected": data.rejected,
        "reject_reasons": data.reasons,
        "rejects": data.rejects,
    }


@dataclass(frozen=True)
class Trained(OnRows):
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
class Retrained(OnRows):
    """A retraining: nothing to do, or a new version and its verdict."""

    model: str
    version: str
    unchanged: bool
    promoted: bool
    outcome: str
    reasons: list[str]

    @classmethod
    def without(cls, model: str, why: str) -> "Retrained":
        """One that has read nothing, for a reason."""
        return cls(
            model, "", False, False, "skipped", [why], read=0, rows=0, rejected=0, reject_reasons={}, rejects=None
        )


def scored(
    version: "Version",
    second: "Version | None",
    scores: "Scores",
    delivered: "Sequence[Delivered]",
    window: "Monitored | None",
) -> "Scored":
    """What a scoring run came to."""
    beside = f"{second.model} version {second.number}" if second else None
    return Scored(
        version.model, version.number, scores.run_id, scores.rows, scores.scored, scores.rejected, scores.passed,
        scores.reasons, scores.labels, scores.predictions, scores.rejects, beside,
        dict(scores.shadow), list(delivered), window,
    )  # fmt: skip


@dataclass(frozen=True)
class Scored:
    """A scoring run whose counts add up."""

    model: str
    version: str
    run_id: str
    rows: int
    scored: int
    rejected: int
    passed: int
    """Rows outside of the period that was asked for."""
    reasons: dict[str, int]
    labels: dict[str, int]
    predictions: Path | str
    rejects: Path | str
    also: str | None
    """A second version that scored the same rows."""
    shadow: dict[str, float]
    """How far it is from the first: shares and means over the rows that both scored."""
    actions: list["Delivered"]
    window: "Monitored | None"
    """What has drifted, where that was asked for."""


def monitored(
    version: "Version", run_id: str, window: "Window", drift: "Drift", report: str, alarm: "Alarm", event: str | None
) -> "Monitored":
    """What a monitoring came to."""
    found = [change.as_dict() for change in drift.drifted]
    return Monitored(
        version.model, version.number, run_id, window.rows, window.rejected, found, report, len(alarm.windows),
        alarm.breaches, event,
    )  # fmt: skip


@dataclass(frozen=True)
class Monitored:
    """A window that was compared with a training."""

    model: str
    version: str
    run_id: str
    rows: int
    rejected: int
    drifted: list[dict[str, Any]]
    """Facets of columns or predictions, the largest change first."""
    report: str
    """Path or URI."""
    windows: int
    """The last ones of the version, this one included, that are looked at together."""
    breaches: int
    """Those of them that have drifted."""
    event: str | None
    """What was emitted, as enough of them have."""
    skipped: str = ""
    """Why nothing was looked at."""

    @classmethod
    def without(cls, version: "Version", why: str) -> "Monitored":
        """One that has read nothing, for a reason."""
        return cls(version.model, version.number, "", 0, 0, [], "", 0, 0, None, why)

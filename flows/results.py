"""What flows return: small, frozen, and what the command line prints as JSON."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.actions.deliver import Delivered
    from tasks.data.snapshot import Ingested
    from tasks.hardware.results import Result
    from tasks.hardware.steps import Written
    from tasks.hardware.variant import Kept
    from tasks.importing.imported import Imported
    from tasks.monitoring.alarm import Alarm
    from tasks.monitoring.drift import Drift
    from tasks.monitoring.window import Window
    from tasks.registry.standing import Standing
    from tasks.registry.versions import Version
    from tasks.scoring.score import Scores
    from tasks.tuning.ended import Ended
    from tasks.tuning.plan import Asked


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
class ImportedVersion(Trained):
    """A new version of a graph that was made elsewhere."""

    framework: str
    opsets: dict[str, int]
    operators: dict[str, int]
    notes: list[str]
    """What was changed in the graph."""
    recorded: str
    """How far its answers are from those of the framework that it comes from, where these are recorded."""


def imported_version(
    version: "Version", run_id: str, metrics: dict[str, float], imported: "Imported", data: "Ingested"
) -> ImportedVersion:
    """What an import came to."""
    facts, compared = imported.facts, imported.recorded
    return ImportedVersion(
        version.model, version.number, run_id, metrics, facts.framework, dict(facts.opsets), dict(facts.operators),
        [*facts.notes], compared.line() if compared else "not compared with recorded ones", **rows_of(data),
    )  # fmt: skip


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
    def of(cls, promoted: Promoted) -> "Retrained":
        """One that went on with a version that was trained before it was suspended."""
        told = (promoted.model, promoted.version, False, promoted.promoted, promoted.outcome, promoted.reasons)
        return cls(*told, read=0, rows=0, rejected=0, reject_reasons={}, rejects=None)

    @classmethod
    def standing(cls, standing: "Standing", data: "Ingested") -> "Retrained":
        """One that has found no reason to train."""
        version, unchanged = standing.version, standing.outcome == "unchanged"
        return cls(version.model, version.number, unchanged, False, standing.outcome, standing.reasons, **rows_of(data))

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
    found, performance = [change.as_dict() for change in drift.drifted], drift.performance
    return Monitored(
        version.model, version.number, run_id, window.rows, window.rejected, found, report, len(alarm.windows),
        alarm.breaches, event, performance.as_dict() if performance else None,
        [each.metric for each in performance.worse] if performance else [],
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
    performance: dict[str, Any] | None
    """Metrics of the rows that have labels, beside what was promised."""
    worse: list[str]
    """Metrics that are worse than promised."""
    skipped: str = ""
    """Why nothing was looked at."""

    @classmethod
    def without(cls, model: str, version: str, why: str) -> "Monitored":
        """One that has read nothing, for a reason; `version` is empty where there is none yet."""
        return cls(model, version, "", 0, 0, [], "", 0, 0, None, None, [], why)


def tuned(asked: "Asked", run_id: str, ended: "Sequence[Ended]", file: Path) -> "Tuned":
    """What a search came to."""
    from tasks.tuning.ended import best_of
    from tasks.tuning.space import present_values

    best = best_of(ended)
    settings, loss = (best.values, best.loss) if best else ({}, None)
    pruned, failed = (sum(map(bool, found)) for found in zip(*((t.pruned, t.reason) for t in ended), strict=True))
    first = ended[0].loss if ended[0].values == present_values(asked.model_file, asked.space) else None
    return Tuned(asked.model_file.name, run_id, len(ended), pruned, failed, settings, loss, first, file)


@dataclass(frozen=True)
class Tuned:
    """A search, and the best that was found."""

    model: str
    run_id: str
    trials: int
    """Those that have ended, the pruned and failed ones included."""
    pruned: int
    failed: int
    best: dict[str, bool | int | float | str]
    validation_loss: float | None
    before: float | None
    """Validation loss of the settings as they were; None where the search does not hold them."""
    file: Path


def measured(
    version: "Version", run_id: str, result: "Result", written: "Written", kept: "Kept", variant: "Version | None",
) -> "Measured":  # fmt: skip
    """What a measurement came to."""
    best, settings = result.best, asdict(kept.execution) if kept.execution else None
    chosen = {"name": best.name, **best.model_dump(mode="json")} if best else None
    return Measured(
        version.model, version.number, run_id, result.metric, result.choice.model_dump(), result.test.model_dump(),
        len(result.points), chosen, result.why, result.refused, settings, kept.why,
        variant.number if variant else None, result.price.currency if result.price else None,
        {each.what: each.why for each in result.not_measured}, result.was_busy, written.report, written.result,
        bool(result.price and result.price.example),
    )  # fmt: skip


@dataclass(frozen=True)
class Measured:
    """A measurement, and the way to run the version that it has chosen."""

    model: str
    version: str
    run_id: str
    metric: str
    choice: dict[str, Any]
    """Of which split the rows were that the points were chosen by, how many, and drawn of how many."""
    test: dict[str, Any]
    """The same of the rows that tell what they lose."""
    points: int
    chosen: dict[str, Any] | None
    """The cheapest point within the limits, with all of its figures."""
    why: str
    refused: str | None
    """What the test rows say against it, where they do: it is not registered then."""
    settings: dict[str, Any] | None
    """What the version is scored and served with from here on."""
    unkept: str
    """Why the version has the settings that it had, where there are no new ones."""
    registered: str | None
    """Number of the new version, where the chosen graph was registered."""
    currency: str | None
    not_measured: dict[str, str]
    """What, and why."""
    busy: bool
    """Whether so much else ran on the machine that speeds can't be trusted."""
    report: Path
    result: Path
    example: bool = False
    """Whether the cost comes from the prices that are an example."""

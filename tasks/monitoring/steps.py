"""Prefect tasks of this package."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.contract import SplitSpec, read_contract
from models.errors import InputError
from models.modelfile import METRICS
from models.packaged import read_model_settings
from models.profile import Profile, read_profile, write_profile
from models.sections import Monitor
from tasks.data.snapshot import Ingested
from tasks.export.exported import Packaged
from tasks.monitoring import alarm, drift, window
from tasks.monitoring.alarm import Alarm
from tasks.monitoring.drift import Drift
from tasks.monitoring.outcomes import LabelFiles, read_labels
from tasks.monitoring.performance import Figure, compare_performance, promised_by
from tasks.monitoring.vocabulary import vocabularies_of
from tasks.monitoring.window import Window
from tasks.policy import TRIED_AGAIN
from tasks.registry import runs, versions, windows
from tasks.registry.record import slug
from tasks.registry.runs import RunTitle
from tasks.registry.steps import emit_model_event
from tasks.registry.versions import Version
from tasks.scoring.inputs import Sources
from tasks.scoring.predictor import Predictor
from tasks.scoring.request import Options
from tasks.training.job import Job

MOST_COLUMNS = 100
"""Names that an event holds."""


@dataclass(frozen=True)
class Expected:
    """What rows of a version should look like, and what counts as drift from it."""

    profile: Profile
    rules: Monitor
    promised: Mapping[str, Figure]
    """The metrics of its test rows; none where its training is no longer on record."""
    judged: frozenset[str]
    """Metrics that say whether it has become worse."""
    fewest: int
    """Rows with labels from which on they do."""


@task(name="profile", cache_policy=NO_CACHE)
def profile_version(job: Job, data: Ingested, split: SplitSpec, exported: Packaged) -> None:
    """How training rows and predictions are distributed, in a file beside the contract."""
    # Late: it is of no use to whoever compares.
    from tasks.monitoring.training import profile_training

    profile_training(exported.folder, job.snapshot, split, data, job.model_file.training.seed)


@task(name="find files read", cache_policy=NO_CACHE, **TRIED_AGAIN)
def files_read(model: str) -> list[dict[str, Any]]:
    """What the files of earlier windows of the model looked like when they were read."""
    return windows.files_read(model)


@task(name="look at inputs", cache_policy=NO_CACHE)
def look_at_window(inputs: Sequence[str], options: Options, known: Sequence[Mapping[str, Any]], new: bool) -> Sources:
    """All files and queries of a window, with `new` those that are not `known` yet; `inputs` may hold credentials."""
    return window.find_sources(inputs, options, known, new)


@task(name="find profile", cache_policy=NO_CACHE, **TRIED_AGAIN)
def expected_of(version: Version) -> Expected:
    """The version's profile and rules. Raises InputError where it has none."""
    with versions.downloaded(version) as folder:
        profile = read_profile(folder)
        if profile is None:
            raise InputError(
                f"{version.model} version {version.number} has no profile to compare with: it was trained by an "
                "earlier release; train again"
            )
        model_file, task = read_model_settings(folder), read_contract(folder).task
    recorded = runs.read_json(version.run_id, "evaluation.json") if version.run_id else None
    judged = frozenset({METRICS[task][0], *model_file.gates})
    promised, fewest = promised_by(recorded) if recorded else {}, model_file.promotion.min_rows
    return Expected(profile, model_file.monitor, promised, judged, fewest)


@task(name="open monitoring run", cache_policy=NO_CACHE, **TRIED_AGAIN)
def open_monitoring_run(version: Version, inputs: Sequence[str], home: Path) -> str:
    """The MLflow run of this window, beneath the training of the version."""
    title = RunTitle(version.model, f"monitor v{version.number}", "monitor", version.run_id or None)
    return runs.start_run(title, home, {"version": version.number, "inputs": ", ".join(inputs)[:500]})


@task(name="profile window", cache_policy=NO_CACHE)
def profile_window(
    version: Version, expected: Expected, sources: Sources, options: Options, labels: LabelFiles | None
) -> Window:
    """How the rows and the version's predictions for them are distributed, and how true these are."""
    with versions.downloaded(version) as folder:
        predictor = Predictor.load(folder, version.sha256)
        known = vocabularies_of(folder, predictor.contract)
    truth = read_labels(labels, predictor.contract) if labels else None
    return window.profile_window(predictor, known, expected.profile, sources, options, truth)


@task(name="compare", cache_policy=NO_CACHE)
def compare(expected: Expected, seen: Window) -> Drift:
    """What has changed from the training to the window."""
    found = drift.compare(expected.profile, seen.profile, expected.rules)
    if seen.measured is None:
        return found
    performance = compare_performance(seen.measured, expected.promised, expected.judged, expected.fewest)
    return replace(found, performance=performance)


@task(name="record drift", cache_policy=NO_CACHE, **TRIED_AGAIN)
def record_drift(
    run_id: str, version: Version, expected: Expected, seen: Window, found: Drift, inputs: Sequence[str]
) -> str:
    """Where the report is, after it, the window's profile and all figures are on the run."""
    # Late: figures take a second to load, which runs beside all else.
    from tasks.monitoring.report import WindowFacts, render_report

    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    facts = WindowFacts(version.model, version.number, inputs, made, run_id)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        report = render_report(facts, expected.profile, seen, found, expected.rules)
        (folder / "report.html").write_text(report, encoding="utf-8")
        _write(folder / "drift.json", [change.as_dict() for change in found.changes])
        if found.performance:
            _write(folder / "performance.json", found.performance.as_dict())
        write_profile(seen.profile, folder)
        runs.log_files(run_id, folder)
    indices = {f"psi.{slug(f'{c.name}.{c.facet}')}": c.psi for c in found.changes if c.psi is not None}
    now = {c.metric: c.now.value for c in found.performance.compared} if found.performance else {}
    counts = {"rows": seen.rows, "rejected": seen.rejected, "drifted": len(found.drifted)}
    runs.log_metrics(run_id, {**counts, **indices, **now})
    worse = ", worse" if found.performance and found.performance.worse else ""
    runs.rename_run(run_id, f"{seen.rows:,} rows, {len(found.drifted)} drifted{worse}")
    return runs.place_of(run_id, "report.html")


@task(name="find alarm", cache_policy=NO_CACHE, **TRIED_AGAIN)
def find_alarm(
    run_id: str,
    version: Version,
    expected: Expected,
    seen: Window,
    found: Drift,
    options: Options,
    known: Sequence[Mapping[str, Any]],
    sources: Sources,
) -> Alarm:
    """What the window and those before it, which had read the `known` files, say together; it is on record then."""
    digest, files = window.window_digest(sources, options, seen), window.read_by_now(known, sources)
    windows.record_window(run_id, found.breach, digest, files)
    return alarm.find_alarm(windows.last_windows(version, run_id), expected.rules)


@task(name="emit event", cache_policy=NO_CACHE)
def emit_drifted(run_id: str, version: Version, found: Drift, raised: Alarm) -> str:
    """The name of an event that Prefect's automations can act upon, after it was sent and noted at the window's run."""
    names = dict.fromkeys(change.name for change in found.drifted)
    payload = {
        "model": version.model,
        "version": version.number,
        "run_id": run_id,
        "columns": list(names)[:MOST_COLUMNS],
        "worse": [each.metric for each in found.performance.worse] if found.performance else [],
        "breaches": raised.breaches,
        "windows": [{"run_id": w.run_id, "at": _iso(w.at), "drifted": w.drifted} for w in raised.windows],
    }
    sent = emit_model_event(version.model, "drifted", payload)
    windows.note_event(run_id, sent)
    return sent


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")

"""Prefect tasks of this package."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.contract import SplitSpec
from models.errors import InputError
from models.profile import Profile, read_profile, write_profile
from models.sections import Monitor
from tasks.data.snapshot import Ingested
from tasks.export.exported import Exported
from tasks.monitoring import drift, window
from tasks.monitoring.drift import Drift
from tasks.monitoring.vocabulary import vocabularies_of
from tasks.monitoring.window import Window
from tasks.policy import TRIED_AGAIN
from tasks.registry import runs, versions
from tasks.registry.package import read_model_settings
from tasks.registry.record import slug
from tasks.registry.runs import RunTitle
from tasks.registry.versions import Version
from tasks.scoring.inputs import Sources, look_at
from tasks.scoring.predictor import Predictor
from tasks.scoring.request import Options
from tasks.training.job import Job


@dataclass(frozen=True)
class Expected:
    """What rows of a version should look like, and what counts as drift from it."""

    profile: Profile
    rules: Monitor


@task(name="profile", cache_policy=NO_CACHE)
def profile_version(job: Job, data: Ingested, split: SplitSpec, exported: Exported) -> None:
    """How training rows and predictions are distributed, in a file beside the contract."""
    # Late: it is of no use to whoever compares.
    from tasks.monitoring.training import profile_training

    profile_training(exported.folder, job.snapshot, split, data, job.model_file.training.seed)


@task(name="look at inputs", cache_policy=NO_CACHE)
def look_at_window(inputs: Sequence[str], options: Options) -> Sources:
    """All files and queries of a window; `inputs` may hold credentials."""
    return look_at(inputs, None, options.partitions, (), options.asked)


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
        return Expected(profile, read_model_settings(folder).monitor)


@task(name="open monitoring run", cache_policy=NO_CACHE, **TRIED_AGAIN)
def open_monitoring_run(version: Version, inputs: Sequence[str], home: Path) -> str:
    """The MLflow run of this window, beneath the training of the version."""
    title = RunTitle(version.model, f"monitor v{version.number}", "monitor", version.run_id or None)
    return runs.start_run(title, home, {"version": version.number, "inputs": ", ".join(inputs)[:500]})


@task(name="profile window", cache_policy=NO_CACHE)
def profile_window(version: Version, expected: Expected, sources: Sources, options: Options) -> Window:
    """How the rows and the version's predictions for them are distributed."""
    with versions.downloaded(version) as folder:
        predictor = Predictor.load(folder, version.sha256)
        known = vocabularies_of(folder, predictor.contract)
    return window.profile_window(predictor, known, expected.profile, sources, options)


@task(name="compare", cache_policy=NO_CACHE)
def compare(expected: Expected, seen: Window) -> Drift:
    """What has changed from the training to the window."""
    return drift.compare(expected.profile, seen.profile, expected.rules)


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
        told = json.dumps([change.as_dict() for change in found.changes], indent=1, ensure_ascii=False)
        (folder / "drift.json").write_text(told, encoding="utf-8")
        write_profile(seen.profile, folder)
        runs.log_files(run_id, folder)
    indices = {f"psi.{slug(f'{c.name}.{c.facet}')}": c.psi for c in found.changes if c.psi is not None}
    runs.log_metrics(run_id, {"rows": seen.rows, "rejected": seen.rejected, "drifted": len(found.drifted), **indices})
    runs.rename_run(run_id, f"{seen.rows:,} rows, {len(found.drifted)} drifted")
    return runs.place_of(run_id, "report.html")

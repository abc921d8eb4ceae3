"""What a training leaves in MLflow, from its first epoch to its report."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

from models.columns import KINDS, ColumnSettings
from models.modelfile import ModelFile
from tasks.data.snapshot import Ingested
from tasks.export.exported import Exported, Packaged
from tasks.registry import runs
from tasks.registry.history import new_event, record
from tasks.registry.promotion import Contest
from tasks.registry.runs import RunTitle
from tasks.registry.start import START, keep_weights
from tasks.registry.versions import (
    CODE_DIGEST,
    COMMIT,
    MODEL_FILE_DIGEST,
    PARITY,
    SNAPSHOT,
    Version,
    list_versions,
    register,
)
from tasks.training.job import Job, git_commit

if TYPE_CHECKING:
    from tasks.registry.gates import Verdict


@dataclass(frozen=True)
class Origin:
    """What a version was made from."""

    snapshot: str
    model_file: str
    code: str
    commit: str | None

    @classmethod
    def of(cls, job: Job) -> "Origin":
        """The origin of what the job makes."""
        return cls(job.snapshot_digest, job.model_file.digest(), job.code, git_commit())

    def tags(self) -> dict[str, str]:
        """As tags of runs and versions."""
        known = {SNAPSHOT: self.snapshot, MODEL_FILE_DIGEST: self.model_file, CODE_DIGEST: self.code}
        return {**known, COMMIT: self.commit} if self.commit else known


def open_run(
    model_file: ModelFile, origin: Origin, data: Ingested, home: Path, earlier: str | None, job: str = "train"
) -> str:
    """The run of this training or import: an interrupted one is taken up again, otherwise a new one starts."""
    if earlier and runs.resume_run(earlier):
        return earlier
    title = RunTitle(model_file.name, f"{job} on {data.rows:,} rows", job)
    run_id = runs.start_run(title, home, origin.tags())
    runs.log_params(run_id, _parameters(model_file))
    runs.log_metrics(run_id, {"rows": data.rows, "rejected_rows": data.rejected})
    files = {file.path: file.rows for file in data.files}
    columns = {name: _type(settings) for name, settings in model_file.columns.items()}
    columns[model_file.target.column] = "double" if data.task == "regression" else "string"
    runs.log_dataset(run_id, model_file.name, origin.snapshot, files, columns, data.rows)
    return run_id


def _type(settings: ColumnSettings) -> str:
    """MLflow's word for the values of a column."""
    values = KINDS[settings.kind].arrow_type(settings)
    words = ((pa.types.is_floating, "double"), (pa.types.is_boolean, "boolean"), (pa.types.is_timestamp, "datetime"))
    return next((word for holds, word in words if holds(values)), "string")


def _parameters(model_file: ModelFile) -> dict[str, Any]:
    """The settings that one would compare runs by."""
    learnt = set() if model_file.graph else {"network", "training"}
    settings = model_file.model_dump(mode="json", include={"split", "target", "data"} | learnt)
    return {**settings, "columns": len(model_file.columns)}


@contextmanager
def system_metrics(run_id: str) -> Iterator[None]:
    """Logs processor, memory, disk and network use to the run for as long as the block runs."""
    monitor: Any = SystemMetricsMonitor(run_id, resume_logging=True)  # type: ignore[no-untyped-call]
    monitor.start()
    try:
        yield
    finally:
        monitor.finish()


def register_training(
    job: Job, exported: Exported, metrics: Mapping[str, float], origin: Origin, run_id: str
) -> Version:
    """The exported graph as challenger, described in words, with its figures and report on the run."""
    weights = keep_weights(run_id, job.heritage)
    begun = {START: job.start.version} if job.start and job.start.version else {}
    made = Made("trained", exported.parity.rows, {**weights, **begun, PARITY: f"{exported.parity.difference:.3g}"})
    return register_made(job, exported, made, metrics, origin, run_id)


@dataclass(frozen=True)
class Made:
    """How a version came about, for the record."""

    how: str
    """Such as trained."""
    rows: int
    """Unseen rows that it was judged on."""
    tags: Mapping[str, str]
    about: str = ""
    """A sentence more of its description."""


def register_made(
    job: Job, packaged: Packaged, made: Made, metrics: Mapping[str, float], origin: Origin, run_id: str
) -> Version:
    """The packaged graph as challenger, described in words, with its figures and report on the run."""
    runs.log_files(run_id, job.results)
    primary = next(iter(metrics))
    tags = {**origin.tags(), **made.tags, "test." + primary: f"{metrics[primary]:.4f}"}
    description = (
        f"Predicts {job.model_file.target.column!r} from {len(job.model_file.columns)} columns. "
        f"On {made.rows:,} unseen rows: {_in_words(metrics)}. {made.about}"
        f"Data {origin.snapshot[:12]}, model file {origin.model_file[:12]}; the run holds report.html."
    )
    version = register(packaged.folder, job.model_file, run_id, tags, description)
    measured = {f"test_{name}": value for name, value in metrics.items()}
    runs.log_metrics(run_id, measured, model_id=version.model_id)
    record(job.model_file.name, new_event("registered", version.number, None, made.how, (_in_words(metrics),), run_id))
    runs.rename_run(run_id, f"v{version.number}: {metrics[primary]:.4f} {primary.replace('_', ' ')}")
    runs.note_run(run_id, description)
    runs.set_tags(run_id, {"version": version.number})
    return version


def _in_words(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in list(metrics.items())[:3])


def find_same_recipe(model: str, origin: Origin) -> Version | None:
    """The newest version, if it was made by the same model file and code, from whatever data."""
    newest = next(iter(list_versions(model)), None)
    recipe = {MODEL_FILE_DIGEST: origin.model_file, CODE_DIGEST: origin.code}
    same = newest is not None and all(newest.tags.get(key) == value for key, value in recipe.items())
    return newest if same else None


def find_unchanged(model: str, origin: Origin) -> Version | None:
    """The newest version, if it was made from the same data, model file and code."""
    newest = find_same_recipe(model, origin)
    return newest if newest and newest.tags.get(SNAPSHOT) == origin.snapshot else None


def log_verdict(contest: Contest, verdict: "Verdict", home: Path) -> str:
    """The run that holds the verdict with every number, beneath the training that made the challenger."""
    challenger, champion = contest.challenger, contest.champion
    against = (
        f"v{challenger.number} against v{champion.number}" if champion else f"v{challenger.number}, no champion yet"
    )
    title = RunTitle(challenger.model, f"{verdict.outcome}: {against}", "promote", challenger.run_id)
    run_id = runs.start_run(title, home, {"version": challenger.number})
    with runs.finishing(run_id):
        numbers = {f"{i}.{slug(c.gate)}": c.value for i, c in enumerate(verdict.checks) if c.value is not None}
        runs.log_metrics(run_id, numbers)
        runs.log_json(run_id, verdict.as_dict(), "verdict.json")
        runs.note_run(run_id, "\n".join(f"- {check.outcome}: {check.text}" for check in verdict.checks))
    return run_id


def slug(text: str) -> str:
    """The text in characters that MLflow allows anywhere in a metric's name; some stores take '/' for folders."""
    return re.sub(r"[^\w\-. ]", "_", text, flags=re.ASCII)[:200]

"""Prefect tasks of this package."""

import time
from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.data.query import Asked
from tasks.policy import TRIED_AGAIN
from tasks.progress import progress
from tasks.registry import runs, versions
from tasks.registry.runs import RunTitle
from tasks.registry.versions import Version
from tasks.scoring.batch import Stamp
from tasks.scoring.inputs import Sources, look_at
from tasks.scoring.ledger import Pinned
from tasks.scoring.outputs import Output
from tasks.scoring.predictor import Predictor
from tasks.scoring.request import Request
from tasks.scoring.score import Scores, score_into
from tasks.scoring.shadow import Shadow
from tasks.scoring.sinks import Sink


@task(name="look at inputs", cache_policy=NO_CACHE)
def look_at_inputs(inputs: Sequence[str], wanted: Output, asked: Asked) -> Sources:
    """All files and queries, each with what it looks like now."""
    return look_at(inputs, wanted, asked)


@task(name="resolve version to score with", cache_policy=NO_CACHE, **TRIED_AGAIN)
def resolve_pinned(model: str, left: Pinned | None) -> Version:
    """The version that an unfinished run has pinned, else the one that the name stands for now."""
    return versions.find_version(left.model, left.version) if left else versions.resolve(model)


@task(name="resolve second version", cache_policy=NO_CACHE, **TRIED_AGAIN)
def resolve_second(also: str | None, left: Pinned | None) -> Version | None:
    """As `resolve_pinned`, for the version that scores the same rows; None where none is asked for."""
    if left and left.also:
        return versions.find_version(*left.also)
    return versions.resolve(also) if also else None


@task(name="open scoring run", cache_policy=NO_CACHE, **TRIED_AGAIN)
def open_scoring_run(version: Version, left: Pinned | None, inputs: Sequence[str], home: Path) -> str:
    """The MLflow run of this scoring, beneath the training of the version; that of an unfinished one goes on."""
    if left and runs.resume_run(left.run_id):
        return left.run_id
    title = RunTitle(version.model, f"score with v{version.number}", "score", version.run_id or None)
    return runs.start_run(title, home, {"version": version.number, "inputs": ", ".join(inputs)[:500]})


@task(name="score", cache_policy=NO_CACHE)
def score_inputs(
    sink: Sink, version: Version, also: Version | None, sources: Sources, request: Request, run_id: str
) -> Scores:
    """Every row of the inputs in predictions or rejects."""
    predictor = _loaded(version)
    shadow = Shadow(_loaded(also), also.model, also.number) if also else None
    stamp = Stamp(version.model, version.number, run_id, request.options.why)
    started = time.monotonic()
    with progress(f"scoring with {version.model} v{version.number}", sources.rows, time_left=True) as advance:
        return score_into(
            sink, predictor, sources, stamp, request,
            lambda done: advance(done, progress_text(done, sources.rows, time.monotonic() - started)), shadow,
        )  # fmt: skip


def _loaded(version: Version) -> Predictor:
    with versions.downloaded(version) as files:
        return Predictor.load(files, version.sha256)


def progress_text(done: int, total: int | None, seconds: float) -> str:
    """Rows done, of how many where that is known, and rows per second."""
    rows = f"{done:,} rows" if total is None else f"{done:,} of {total:,} rows"
    return f"{rows}  {done / max(seconds, 1e-3):,.0f} rows/s"


@task(name="record scores", cache_policy=NO_CACHE, **TRIED_AGAIN)
def record_scores(run_id: str, scores: Scores) -> None:
    """Counts, reasons and labels on the run."""
    counts = {"rows": scores.rows, "scored": scores.scored, "rejected": scores.rejected, "seconds": scores.seconds}
    runs.log_metrics(run_id, counts)
    runs.log_json(run_id, {"rejected by reason": scores.reasons, "scored by label": scores.labels}, "scores.json")
    runs.rename_run(run_id, f"{scores.rows:,} rows, {scores.rejected:,} rejected")

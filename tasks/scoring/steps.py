"""Prefect tasks of this package."""

import time
from collections.abc import Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.policy import TRIED_AGAIN
from tasks.progress import progress
from tasks.registry import runs, versions
from tasks.registry.runs import RunTitle
from tasks.registry.versions import Version
from tasks.scoring.inputs import count_rows, resolve_inputs
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import Scores, Stamp, score_resolved
from tasks.scoring.sinks import destination


@task(name="open scoring run", cache_policy=NO_CACHE, **TRIED_AGAIN)
def open_scoring_run(version: Version, inputs: Sequence[str], home: Path) -> str:
    """The MLflow run of this scoring, beneath the training of the version."""
    title = RunTitle(version.model, f"score with v{version.number}", "score", version.run_id or None)
    return runs.start_run(title, home, {"version": version.number, "inputs": ", ".join(inputs)[:500]})


@task(name="score", cache_policy=NO_CACHE)
def score_inputs(
    version: Version,
    inputs: Sequence[str],
    output: Path,
    run_id: str,
    keep: Sequence[str] | None,
    overwrite: bool,
    why: bool = False,
) -> Scores:
    """Every row of the inputs in predictions or rejects."""
    with versions.downloaded(version) as files:
        predictor = Predictor.load(files, version.sha256)
    stamp = Stamp(version.model, version.number, run_id, why)
    wanted = destination(output)
    sources = resolve_inputs(inputs, wanted)
    total, started = count_rows(sources), time.monotonic()
    with progress(f"scoring with {version.model} v{version.number}", total, time_left=True) as advance:
        return score_resolved(
            predictor, sources, wanted, stamp, keep, overwrite,
            lambda done: advance(done, progress_text(done, total, time.monotonic() - started)),
        )  # fmt: skip


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

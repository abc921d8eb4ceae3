"""Prefect tasks of this package. What trains loads torch: a run that finds nothing to do doesn't wait for it."""

from typing import TYPE_CHECKING

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE

from models.contract import SplitSpec
from models.modelfile import ModelFile
from tasks.data.snapshot import Ingested, open_snapshot
from tasks.data.splits import fit_split
from tasks.policy import patiently
from tasks.progress import progress
from tasks.registry import runs
from tasks.registry.history import LONGEST_TAG
from tasks.registry.record import system_metrics
from tasks.registry.start import START, fetch_start
from tasks.training.fitted import Fitted, Inherited
from tasks.training.job import Job, Start

if TYPE_CHECKING:
    from tasks.training.loop import EpochReport


@task(name="split", cache_policy=NO_CACHE)
def split_rows(model_file: ModelFile, data: Ingested) -> SplitSpec:
    """How the snapshot's rows are assigned."""
    return fit_split(model_file, open_snapshot(data.manifest))


@task(name="train network", cache_policy=NO_CACHE)
def train_network(job: Job, split: SplitSpec, run_id: str) -> Fitted:
    """Trained weights in the job's folder; each epoch is in MLflow as it ends."""
    from tasks.training import fit

    epochs = job.model_file.training.epochs
    runs.log_params(run_id, {"engine": job.engine.name, "workers": job.engine.workers})
    with system_metrics(run_id), progress("training", epochs) as advance:

        def on_epoch(report: "EpochReport") -> None:
            patiently(lambda: runs.log_metrics(run_id, _metrics(report), step=report.epoch))
            advance(report.epoch, _line(report))

        snapshot, begin_with = open_snapshot(job.snapshot), fetch_start(job)
        fitted = fit.fit_model(
            job.model_file, snapshot, split, job.checkpoint, job.weights, on_epoch, job.engine, begin_with
        )
    if job.start:
        said = _start_line(job.start, fitted.inherited)
        get_run_logger().info(said)
        runs.set_tags(run_id, {START: said[:LONGEST_TAG]})
    runs.log_metrics(run_id, {"best_epoch": fitted.best_epoch, "parameters": fitted.parameters})
    return fitted


def _start_line(start: Start, inherited: Inherited | None) -> str:
    """What a warm start came to."""
    if inherited is None:
        return f"began with random weights: {start.why}"
    if not inherited.kept:
        return f"began with random weights and not with those of version {start.version}; new: {inherited.news[0]}"
    anew = f"; anew: {', '.join(inherited.anew)}" if inherited.anew else ""
    return f"began with the weights of version {start.version}: {inherited.line()}{anew}"


def _metrics(report: "EpochReport") -> dict[str, float]:
    return {
        "train_loss": report.train_loss,
        "validation_loss": report.validation_loss,
        "learning_rate": report.learning_rate,
        "rows_per_second": report.rows_per_second,
    }


def _line(report: "EpochReport") -> str:
    loss = f"epoch {report.epoch}  loss {report.train_loss:.4f}  validation {report.validation_loss:.4f}"
    left = f"at most {report.longest_seconds_left:.0f} s left, {report.seconds_left:.0f} s if it gets no better"
    return f"{loss}  {report.rows_per_second:,.0f} rows/s  {left}"

"""Prefect tasks of this package."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.errors import RefusedError
from tasks.policy import TRIED_AGAIN
from tasks.progress import progress
from tasks.registry import runs
from tasks.registry.runs import RunTitle
from tasks.training.loop import EpochReport
from tasks.tuning import search as searching
from tasks.tuning.ended import Ended, best_of
from tasks.tuning.plan import Plan, write_best
from tasks.tuning.search import Tell
from tasks.tuning.space import Value

Running = Callable[[str], AbstractContextManager[None]]


@task(name="open search", cache_policy=NO_CACHE, **TRIED_AGAIN)
def open_search(plan: Plan) -> str:
    """The MLflow run of the search; that of an earlier start where there was one."""
    earlier, asked = plan.interrupted_run(), plan.asked
    if earlier and runs.resume_run(earlier):
        # A kill between a run and its note leaves one that no sweep finds.
        runs.mark_left(earlier, "the search was killed in the middle of this trial, and tries its settings again")
        return earlier
    model = asked.model_file.name
    run_id = runs.start_run(RunTitle(model, f"tune {', '.join(asked.space)}", "tune"), plan.home)
    space = {key: asdict(dimension) for key, dimension in asked.space.items()}
    runs.log_params(run_id, {"search": space, "seed": asked.seed, "data": plan.snapshot_digest})
    plan.remember_run(run_id)
    return run_id


@task(name="search", cache_policy=NO_CACHE)
def search(plan: Plan, run_id: str, running: Running) -> list[Ended]:
    """All trials that have ended; each is a run of MLflow beneath that of the search."""
    model, home = plan.asked.model_file.name, plan.home
    losses: list[float] = []

    @contextmanager
    def watch(number: int, values: dict[str, Value]) -> Iterator[tuple[str, Tell]]:
        trial = runs.start_run(RunTitle(model, f"trial {number}", "trial", run_id), home)
        runs.log_params(trial, values)
        with running(trial), runs.finishing(trial):
            yield trial, lambda report: runs.log_metrics(trial, _metrics(report), step=report.epoch)

    with progress("trials", plan.asked.trials) as advance:

        def done(ended: Ended) -> None:
            _tell(ended)
            if ended.loss is not None and not ended.pruned:
                losses.append(ended.loss)
                runs.log_metrics(run_id, {"validation_loss": ended.loss}, step=ended.number)
            advance(ended.number, f"best so far {min(losses):.4f}" if losses else "")

        return searching.search(plan, watch, done)


@task(name="write best", cache_policy=NO_CACHE)
def write_tuned(plan: Plan, ended: list[Ended], run_id: str) -> Path:
    """The model file with the best settings. Raises RefusedError where no trial came to its end."""
    best = best_of(ended)
    if best is None or best.loss is None:
        why = next((f": {trial.reason}" for trial in ended if trial.reason), "; give it more time, and it goes on")
        raise RefusedError(f"{plan.asked.model_file.name}: no trial has come to its end{why}")
    tags = {f"best.{key}": str(value) for key, value in best.values.items()}
    runs.set_tags(run_id, {**tags, "best.trial": str(best.number)})
    runs.log_json(run_id, [asdict(trial) for trial in ended], "trials.json")
    runs.rename_run(run_id, f"tuned: {best.loss:.4f} validation loss, {len(ended)} trials")
    written = write_best(plan.asked, best.values, best.loss)
    if len(ended) >= plan.asked.trials:
        plan.forget_rows()
    return written


def _metrics(report: EpochReport) -> dict[str, float]:
    return {"train_loss": report.train_loss, "validation_loss": report.validation_loss}


def _tell(ended: Ended) -> None:
    """Names the trial's run for what came of it."""
    if ended.reason:
        runs.rename_run(ended.run_id, f"trial {ended.number}: failed")
        runs.note_run(ended.run_id, ended.reason)
        runs.end_run(ended.run_id, "FAILED")
    elif ended.pruned:
        runs.rename_run(ended.run_id, f"trial {ended.number}: pruned after {ended.epochs} epochs")
        runs.set_tags(ended.run_id, {"pruned": "true"})
    else:
        runs.rename_run(ended.run_id, f"trial {ended.number}: {ended.loss:.4f}")

"""Prefect tasks of this package."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit
from uuid import UUID

from httpx import HTTPError
from prefect import get_client, task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import PREFECT_API_URL
from prefect.states import Crashed

from models.errors import InputError
from models.profile import Profile
from tasks.actions.deliver import Delivered, require_tokens
from tasks.actions.steps import outboxes_of
from tasks.monitoring.vocabulary import vocabularies_of
from tasks.monitoring.watching import Watching, share_of
from tasks.policy import TRIED_AGAIN
from tasks.progress import Advance, progress
from tasks.registry import runs, versions
from tasks.registry.runs import RunTitle
from tasks.registry.versions import Version
from tasks.scoring.batch import Stamp
from tasks.scoring.execution import Execution, ProviderError, execution_of, not_here
from tasks.scoring.inputs import Sources, about_rows, look_at
from tasks.scoring.ledger import Pinned
from tasks.scoring.on_ray import Kept, RayCrew, ray_crew
from tasks.scoring.outputs import Output, scored_before, wanted_output
from tasks.scoring.predictor import Predictor
from tasks.scoring.request import Options, Request
from tasks.scoring.score import Scores, score_into
from tasks.scoring.shadow import Shadow
from tasks.scoring.shards import Span
from tasks.scoring.sinks import Sink
from tasks.scoring.spread import Crew
from tasks.scoring.work import Done
from tasks.training.engine import Engine


class Expected(Protocol):
    """What rows should look like."""

    @property
    def profile(self) -> Profile:
        """Of the training."""


SECONDS_BETWEEN = 2.0
"""Of progress in Prefect."""


@task(name="look at inputs", cache_policy=NO_CACHE)
def look_at_inputs(inputs: Sequence[str], request: Request, wanted: Output) -> Sources:
    """All files and queries that are to be read, each with what it looks like now; `inputs` may hold credentials."""
    options = request.options
    if options.new_since and wanted_output(options.new_since) == wanted:
        raise InputError(f"{options.new_since}: is the output and that of --new-since; choose another output")
    known = scored_before(options.new_since) if options.new_since else ()
    return look_at(inputs, wanted, options.partitions, known, options.asked)


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


@task(name="look for tokens", cache_policy=NO_CACHE, **TRIED_AGAIN)
def require_tokens_of(version: Version) -> None:
    """Passes when all tokens that the version's actions need are there. Raises InputError for each that is not."""
    require_tokens(versions.contract_of(version).actions)


@task(name="open scoring run", cache_policy=NO_CACHE, **TRIED_AGAIN)
def open_scoring_run(
    version: Version, also: Version | None, left: Pinned | None, inputs: Sequence[str], home: Path
) -> str:
    """The MLflow run of this scoring, beneath the training of the version; that of an unfinished one goes on."""
    if left and runs.resume_run(left.run_id):
        return left.run_id
    title = RunTitle(version.model, f"score with v{version.number}", "score", version.run_id or None)
    second = {runs.ALSO: f"{also.model}/{also.number}"} if also else {}
    return runs.start_run(title, home, {"version": version.number, "inputs": ", ".join(inputs)[:500], **second})


@task(name="score shards", task_run_name="score {span}", cache_policy=NO_CACHE, persist_result=False)
def score_span(work: Kept, span: Span) -> Done:
    """A worker's part of a run."""
    return work.get().do(span)


def mark_crashed(task_run_ids: Sequence[UUID], why: str) -> None:
    """Tells Prefect of task runs that could not do so themselves, where it knows them and answers."""
    with suppress(HTTPError, PrefectException), get_client(sync_client=True) as client:
        for each in task_run_ids:
            with suppress(ObjectNotFound):
                client.set_task_run_state(each, Crashed(message=why), force=True)


@contextmanager
def crew_of(engine: Engine) -> Iterator[RayCrew | None]:
    """Workers for as long as the block runs; None where this process scores by itself."""
    if engine.name == "ray":
        with ray_crew(engine.address, score_span, mark_crashed) as crew:
            _require_common_server(crew.elsewhere)
            yield crew
    else:
        yield None


def _require_common_server(elsewhere: Collection[str]) -> None:
    """Passes where workers on other machines can reach Prefect. Raises InputError otherwise."""
    url = PREFECT_API_URL.value() or "http://127.0.0.1"
    if elsewhere and urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1"):
        raise InputError(
            f"--engine ray: workers on {min(elsewhere)} can't reach Prefect at {url}, which is this machine's own; set "
            "PREFECT_API_URL to a server that all machines of the cluster reach"
        )


def scoring_by(crew: Crew | None) -> Callable[..., Scores]:
    """`score_inputs` as one Prefect task, or as it is where each span of a crew is a task of its own."""
    # Prefect hands a task's arguments on to the tasks within it, and an output that is kept to a process can't travel.
    return score_inputs if crew else task(name="score", cache_policy=NO_CACHE)(score_inputs)


def score_inputs(
    sink: Sink,
    version: Version,
    also: Version | None,
    sources: Sources,
    request: Request,
    run_id: str,
    home: Path,
    crew: Crew | None,
    expected: Expected | None,
) -> Scores:
    """Every row of the inputs in predictions or rejects; counted too, where it is known what they should look like."""
    known, known_of_second = pinned_executions(sink.pinned, version, also)
    predictor = _loaded(version, known)
    watching = (
        _watching(version, predictor, expected.profile, rows_to_count(sources, request.options)) if expected else None
    )
    shadow = Shadow(_loaded(also, known_of_second), also.model, also.number) if also else None
    stamp = Stamp(version.model, version.number, run_id, request.options.why)
    title, started = f"scoring with {version.model} v{version.number}", time.monotonic()
    about = about_rows(sources)
    with progress(title, about, time_left=True) as advance, shown_in_prefect(title, about) as show:

        def on_rows(done: int) -> None:
            text = progress_text(done, about, sources.rows is None, time.monotonic() - started)
            advance(done, text)
            show(done, text)

        return score_into(
            sink, predictor, sources, stamp, request, on_rows, shadow, lambda run: outboxes_of(run, home), crew,
            watching,
        )  # fmt: skip


@contextmanager
def shown_in_prefect(title: str, total: int | None) -> Iterator[Advance]:
    """A progress artifact of the flow run for as long as the block runs, told every few seconds.

    There is none where the total is not known.
    """
    if not total:
        yield lambda done, text="": None
        return
    artifact = UUID(str(create_progress_artifact(0.0, key="scoring-progress", description=title)))
    told = time.monotonic()

    def show(done: int, text: str = "") -> None:
        nonlocal told
        if time.monotonic() - told >= SECONDS_BETWEEN:
            told = time.monotonic()
            update_progress_artifact(artifact, min(100 * done / total, 100.0), f"{title}: {text}")

    yield show
    update_progress_artifact(artifact, 100.0, title)


def pinned_executions(pinned: Pinned | None, version: Version, also: Version | None) -> tuple[Execution, Execution]:
    """How the graph of the version is run, and that of the second one: as an unfinished run began, else as measured."""
    if pinned:
        first, second, *_ = [*map(Execution.of, pinned.executions), Execution(), Execution()]
        return first, second
    return execution_of(version), execution_of(also) if also else Execution()


def _loaded(version: Version, execution: Execution) -> Predictor:
    try:
        with versions.downloaded(version) as files:
            return Predictor.load(files, version.sha256, execution=execution)
    except ProviderError as error:
        raise not_here(version.model, version.number, error) from None


def _watching(version: Version, predictor: Predictor, frame: Profile, rows: int | None) -> Watching:
    with versions.downloaded(version) as files:
        known = vocabularies_of(files, predictor.contract)
    return Watching(predictor.contract, frame, known, share_of(rows))


def rows_to_count(sources: Sources, options: Options) -> int | None:
    """Rows of which a share is counted, about; None where nobody knows, as of a period."""
    return None if options.since or options.until else about_rows(sources)


def progress_text(done: int, total: int | None, estimated: bool, seconds: float) -> str:
    """Rows done, of how many where that is known or `estimated`, and rows per second."""
    of = "" if total is None else f" of about {total:,}" if estimated else f" of {total:,}"
    rows = f"{done:,}{of} rows"
    return f"{rows}  {done / max(seconds, 1e-3):,.0f} rows/s"


@task(name="record scores", cache_policy=NO_CACHE)
def record_scores(run_id: str, scores: Scores, delivered: Sequence[Delivered]) -> None:
    """Counts, reasons, distribution of the predictions, seconds by phase and what was acted upon, on the run.

    The output is whole by now: that MLflow can't be told does not undo it.
    """
    metrics = {
        "rows": scores.rows, "scored": scores.scored, "rejected": scores.rejected, "seconds": scores.seconds,
        "score_mean": scores.mean, "score_deviation": scores.deviation,
        **{f"seconds_{phase}": seconds for phase, seconds in scores.phases.items()},
        **{f"shadow_{what}": value for what, value in scores.shadow.items()},
        **{f"{what}_{act.action}": getattr(act, what) for act in delivered for what in ("delivered", "dead")},
    }  # fmt: skip
    told = {"rejected by reason": scores.reasons, "scored by label": scores.labels}
    with runs.leniently():
        runs.log_metrics(run_id, metrics)
        runs.log_json(run_id, {**told, "actions": [asdict(act) for act in delivered]}, "scores.json")
        runs.rename_run(run_id, f"{scores.rows:,} rows, {scores.rejected:,} rejected")

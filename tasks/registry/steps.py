"""Prefect tasks of this package. What judges loads scikit-learn: scoring, which needs it not, doesn't wait for it."""

from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from models.errors import AbsentError
from tasks.data.snapshot import Ingested
from tasks.export.exported import Exported
from tasks.policy import TRIED_AGAIN
from tasks.registry import promotion, record, standing, start, versions
from tasks.registry.history import SUBJECT, Event
from tasks.registry.promotion import Contest
from tasks.registry.record import Origin
from tasks.registry.standing import Standing
from tasks.registry.versions import Version
from tasks.training.job import Job

if TYPE_CHECKING:
    from tasks.registry.approval import Word
    from tasks.registry.gates import Verdict

PATIENCE_SECONDS = 10.0
"""How long is waited until an event is sent."""


@task(name="find start", cache_policy=NO_CACHE, **TRIED_AGAIN)
def with_start(job: Job) -> Job:
    """The job with the weights that a warm start begins with, where the model file asks for one."""
    return start.with_start(job)


@task(name="open run", cache_policy=NO_CACHE, **TRIED_AGAIN)
def open_training_run(job: Job, data: Ingested, origin: Origin, fresh: bool) -> str:
    """The MLflow run of the job; that of an interrupted attempt unless everything is to start anew."""
    if fresh:
        job.forget()
    run_id = record.open_run(job.model_file, origin, data, job.home, job.interrupted_run())
    job.remember_run(run_id)
    return run_id


@task(name="register", cache_policy=NO_CACHE, **TRIED_AGAIN)
def register_version(job: Job, exported: Exported, metrics: dict[str, float], origin: Origin, run_id: str) -> Version:
    """The exported graph as challenger, with its report and figures on the run."""
    return record.register_training(job, exported, metrics, origin, run_id)


@task(name="find contest", cache_policy=NO_CACHE, **TRIED_AGAIN)
def find_contest(model: str, version: str | None) -> Contest:
    """Challenger and champion."""
    return promotion.find_contest(model, version)


@task(name="judge", cache_policy=NO_CACHE, **TRIED_AGAIN)
def judge_challenger(contest: Contest, home: Path, word: "Word | None" = None) -> "Verdict":
    """Whether the challenger may become champion, and why, by both versions on the rows that neither has seen.

    `word` is what a person has said about it.
    """
    from tasks.registry.evidence import gather
    from tasks.registry.serving import judge_case

    return judge_case(gather(contest, home), word)


@task(name="apply verdict", cache_policy=NO_CACHE)
def apply_verdict(contest: Contest, verdict: "Verdict", why: str, home: Path, word: "Word | None" = None) -> Event:
    """What is on record of the verdict, as that of who has the last word."""
    run_id = record.log_verdict(contest, verdict, home)
    return promotion.apply_verdict(contest, verdict, why, run_id, word.by if word else None)


@task(name="find standing version", cache_policy=NO_CACHE, **TRIED_AGAIN)
def find_standing(job: Job, data: Ingested, origin: Origin) -> Standing | None:
    """The newest version, if data, model file and code are the same, or too few rows came since; or one that waits."""
    return standing.find_standing(job.model_file, data, origin, job.home)


@task(name="resolve version", cache_policy=NO_CACHE, **TRIED_AGAIN)
def resolve_version(name_or_uri: str) -> Version:
    """The version that the name, alias or URI means now."""
    return versions.resolve(name_or_uri)


@task(name="resolve version if there", cache_policy=NO_CACHE, **TRIED_AGAIN)
def resolve_version_if_there(name_or_uri: str) -> "Version | str":
    """As `resolve_version`, or why there is none yet: no model, or no champion of it."""
    try:
        return versions.resolve(name_or_uri)
    except AbsentError as error:
        return str(error)


@task(name="find challenger", cache_policy=NO_CACHE, **TRIED_AGAIN)
def waiting_challenger(name_or_uri: str) -> Version | None:
    """The version that waits for a verdict, if any."""
    return promotion.waiting_challenger(name_or_uri)


@task(name="roll back", cache_policy=NO_CACHE)
def roll_back(model: str, why: str) -> tuple[Version, Version, Event]:
    """The champion put back, the version it replaced, and what is on record of it."""
    return promotion.roll_back(model, why)


def emit_model_event(model: str, name: str, payload: Mapping[str, Any]) -> str:
    """The whole name of an event of the model that Prefect's automations can act upon, after it was sent.

    An event that could not be sent within `PATIENCE_SECONDS` is left to the thread that sends it.
    """
    resource = {"prefect.resource.id": f"{SUBJECT}{model}", "prefect.resource.name": model}
    emit_event(event=f"{SUBJECT}{name}", resource=resource, payload=dict(payload))
    # It is sent by another thread, which a process that is killed takes along.
    sending = Thread(target=EventsWorker.instance().wait_until_empty, daemon=True)
    sending.start()
    sending.join(PATIENCE_SECONDS)
    return f"{SUBJECT}{name}"

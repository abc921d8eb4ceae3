"""Runs that nobody needs: those that come too late after an outage, and those whose work another run is at."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TypeVar, cast
from uuid import UUID

from prefect import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterDeploymentId,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.runtime import deployment, flow_run
from prefect.states import Completed

from tasks.training.job import BusyError, Job, alone

T = TypeVar("T")
AT_WORK = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.COMPLETED]
"""States of a run that will do the work, does it or has done it."""
OF_A_SCHEDULE = "auto-scheduled"
"""Prefect's tag of the runs that it has scheduled."""


def newer_run() -> str | None:
    """Why nothing is to be done: another run of this run's schedule is due, and was to start after it.

    A run that somebody has started has no schedule: it gives way to none, and none gives way to it, which may do
    something else.
    """
    with get_client(sync_client=True) as client:
        me = client.read_flow_run(UUID(flow_run.id))
        if not me.auto_scheduled:
            return None
        newest = client.read_flow_runs(
            flow_run_filter=_due_after(me), sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1
        )
    due = newest[0].expected_start_time if newest else None
    return f"the run of the same schedule that was due at {due:%Y-%m-%d %H:%M} UTC does the work" if due else None


@contextmanager
def claimed(job: Job) -> Iterator[str | None]:
    """Holds the training for this block, and yields why nothing is to be done: another run is at it.

    From the question to the answer nobody else can take it, so that of runs that start at once one does the work.
    Whoever gives a command is told as an error.
    """
    with ExitStack() as stack:
        yield _claim(stack, job)


def is_deployed() -> bool:
    """Whether this is a run of a deployment, which may be there before what it looks for."""
    return deployment.id is not None


def skipped(result: T, why: str) -> T:
    """The result of a flow, in a state that Prefect shows as skipped, with the reason."""
    # Who calls the flow gets the result: Prefect takes it out of the state.
    return cast(T, Completed(name="Skipped", message=why, data=result))


def _claim(stack: ExitStack, job: Job) -> str | None:
    try:
        stack.enter_context(alone(job))
    except BusyError:
        if deployment.id is None:
            raise
        return "another run trains the same model on the same data now"
    return None


def _due_after(me: FlowRun) -> FlowRunFilter:
    after = cast(datetime, me.expected_start_time) + timedelta(microseconds=1)
    return FlowRunFilter(
        deployment_id=FlowRunFilterDeploymentId(any_=[cast(UUID, me.deployment_id)]),
        expected_start_time=FlowRunFilterExpectedStartTime(after_=after, before_=datetime.now(UTC)),
        tags=FlowRunFilterTags(all_=[OF_A_SCHEDULE]),
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=AT_WORK)),
    )

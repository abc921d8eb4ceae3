"""What happened to a model as Prefect events, for automations to listen to."""

from typing import TYPE_CHECKING

from prefect.events import emit_event
from prefect.logging import get_run_logger

from tasks.registry.history import Event, newest_decision

if TYPE_CHECKING:
    from tasks.registry.gates import Verdict

SUBJECT = "perennial.model."
"""Beginning of the events' names, and of the resource's id, which ends with the model's name."""


def tell_decision(model: str, verdict: "Verdict | None" = None) -> None:
    """Emits what the newest decision on record says; one that can't be told is logged, and stands nevertheless.

    The names are perennial.model.promoted, .refused, .undecided, .awaits-approval and .rolled-back.
    """
    try:
        found = newest_decision(model)
        if found:
            _emit(model, found, verdict)
    except Exception as error:
        get_run_logger().warning("the event of %s could not be emitted: %s", model, error)


def _emit(model: str, found: Event, verdict: "Verdict | None") -> None:
    numbers = {check.gate: check.value for check in verdict.checks if check.value is not None} if verdict else {}
    emit_event(
        event=f"{SUBJECT}{found.event.replace(' ', '-')}",
        resource={"prefect.resource.id": f"{SUBJECT}{model}", "prefect.resource.name": model},
        payload={
            "model": model,
            "version": found.version,
            "previous_champion": found.before,
            "who": found.who,
            "when": found.when,
            "why": found.why,
            "reasons": list(found.reasons),
            "metrics": numbers,
            "run_id": found.run_id,
        },
    )

"""What happened to a model as Prefect events, for automations to listen to."""

from typing import TYPE_CHECKING

from prefect.logging import get_run_logger

from tasks.registry.history import Event
from tasks.registry.steps import emit_model_event

if TYPE_CHECKING:
    from tasks.registry.gates import Verdict


def tell_decision(model: str, decided: Event, verdict: "Verdict | None" = None) -> None:
    """Emits what was decided; an event that can't be told is logged, and the decision stands nevertheless.

    The names are perennial.model.promoted, .refused, .undecided, .awaits-approval and .rolled-back.
    """
    numbers = {check.gate: check.value for check in verdict.checks if check.value is not None} if verdict else {}
    payload = {
        "model": model,
        "version": decided.version,
        "previous_champion": decided.before,
        "who": decided.who,
        "when": decided.when,
        "why": decided.why,
        "reasons": list(decided.reasons),
        "metrics": numbers,
        "run_id": decided.run_id,
    }
    try:
        emit_model_event(model, decided.event.replace(" ", "-"), payload)
    except Exception as error:
        get_run_logger().warning("the event of %s could not be emitted: %s", model, error)

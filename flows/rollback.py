"""Back to the previous champion."""

from dataclasses import dataclass

from prefect import flow

from flows.locks import promotion_lock
from flows.told import tell_decision
from tasks.registry.steps import roll_back


@dataclass(frozen=True)
class RolledBack:
    """Who is champion again, and who was."""

    model: str
    version: str
    replaced: str


@flow(name="rollback", flow_run_name="roll back {model}", timeout_seconds=600)
def rollback(model: str, why: str = "by hand") -> RolledBack:
    """Swaps champion and previous; the replaced version is not promoted again by itself.

    Args:
        model: The registered model.
        why: Goes into the history.
    """
    with promotion_lock(model):
        good, bad, event = roll_back(model, why)
    tell_decision(model, event)
    return RolledBack(model, good.number, bad.number)

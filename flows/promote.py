"""From a waiting challenger to a verdict, and to a new champion if the verdict is yes."""

from contextlib import suppress

from prefect import flow

from flows.artifacts import show_verdict
from flows.environment import state_folder
from flows.locks import promotion_lock
from flows.results import Promoted
from models.errors import RefusedError
from tasks.registry.steps import apply_verdict, find_contest, judge_challenger
from tasks.registry.versions import Version


@flow(name="promote", flow_run_name="promote {model}", timeout_seconds=3600)
def promote(model: str, version: str | None = None, why: str = "promote") -> Promoted:
    """Judges the challenger against the champion on rows that neither has seen.

    Args:
        model: The registered model.
        version: The version to judge; the challenger if not given.
        why: Goes into the history.
    """
    return promote_challenger(model, version, why)


def promote_challenger(model: str, version: str | None, why: str) -> Promoted:
    """The steps of a promotion, shared by all flows that promote. One promotion of a model runs at a time."""
    with promotion_lock(model):
        contest = find_contest(model, version)
        verdict = judge_challenger(contest, state_folder())
        promoted = apply_verdict(contest, verdict, why, state_folder())
    show_verdict(contest, verdict)
    return Promoted(model, contest.challenger.number, promoted, verdict.outcome, verdict.reasons)


def promote_if_free(challenger: Version) -> None:
    """Judges a waiting challenger; while somebody else promotes, the champion of the moment has to do."""
    with suppress(RefusedError):
        promote_challenger(challenger.model, challenger.number, "score --promote")

"""From a waiting challenger to a verdict, and to a new champion if the verdict is yes."""

from contextlib import suppress

from prefect import flow

from flows.approval import Answer, answer_given, ask_for_approval
from flows.artifacts import show_verdict
from flows.environment import state_folder
from flows.locks import promotion_lock
from flows.results import Promoted
from flows.told import tell_decision
from models.errors import RefusedError
from tasks.registry.approval import Word, word_of
from tasks.registry.steps import apply_verdict, find_contest, judge_challenger
from tasks.registry.versions import Version


@flow(name="promote", flow_run_name="promote {model}", timeout_seconds=3600)
def promote(
    model: str, version: str | None = None, why: str = "promote", approve: str | None = None, reject: str | None = None
) -> Promoted:
    """Judges the challenger against the champion on rows that neither has seen.

    Where the model file asks for approval, a run of a deployment is suspended until somebody fills in its form.

    Args:
        model: The registered model.
        version: The version to judge; the challenger if not given.
        why: Goes into the history.
        approve: Why the version is approved, where the model file asks for that.
        reject: Why it is refused, whatever its gates say.
    """
    said = answer_given(model) or Answer(version, word_of(approve, reject))
    return promote_challenger(model, said.version, why, said.word)


def promote_challenger(model: str, version: str | None, why: str, word: Word | None = None) -> Promoted:
    """The steps of a promotion, with the question to a person at its end where only that is missing."""
    decided = judge_and_move(model, version, why, word)
    if decided.outcome == "waiting":
        ask_for_approval(decided)
    return decided


def judge_and_move(model: str, version: str | None, why: str, word: Word | None = None) -> Promoted:
    """The steps of a promotion, shared by all flows that promote. One promotion of a model runs at a time."""
    with promotion_lock(model):
        contest = find_contest(model, version)
        verdict = judge_challenger(contest, state_folder(), word)
        event = apply_verdict(contest, verdict, why, state_folder(), word)
    # Not within the lock: telling may take a while.
    tell_decision(model, event, verdict)
    show_verdict(contest, verdict)
    promoted = verdict.outcome == "yes"
    return Promoted(model, contest.challenger.number, promoted, verdict.outcome, verdict.reasons)


def promote_if_free(challenger: Version) -> None:
    """Judges a waiting challenger; while somebody else promotes, the champion of the moment has to do.

    Nobody is asked: what needs approval waits, and scoring goes on.
    """
    with suppress(RefusedError):
        judge_and_move(challenger.model, challenger.number, "score --promote")

"""A flow run that waits for a person: suspended, so that nothing runs and no lock is held meanwhile.

A worker runs it again from its start when the form in the Prefect UI is filled in.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect import suspend_flow_run
from prefect.client.orchestration import get_client
from prefect.input import RunInput, keyset_from_base_key, read_flow_run_input
from prefect.runtime import deployment, flow_run
from pydantic import Field

from flows.results import Promoted
from tasks.registry.approval import Word, require_awaiting

KEY = "version-"
"""Beginning of the key of a suspension; the version's number follows."""


class Approval(RunInput):
    """The form."""

    approve: bool = Field(False, description="The version becomes champion, if its gates still say yes.")
    reason: str = Field("", description="Goes into the history.")
    by: str = Field(min_length=1, description="Who approves or refuses; goes into the history.")


@dataclass(frozen=True)
class Answer:
    """What a person has said, and about which version."""

    version: str | None
    word: Word | None


def answer_given(model: str) -> Answer | None:
    """The answer that this run was suspended for; None in a run that nobody has answered.

    Raises RefusedError where the version has been decided about in another way meanwhile.
    """
    run_id = UUID(flow_run.id)
    with get_client(sync_client=True) as client:
        keys = client.read_flow_run(run_id).empirical_policy.pause_keys or set()
    for key in sorted((key for key in keys if key.startswith(KEY)), reverse=True):
        given: Any = read_flow_run_input(keyset_from_base_key(f"suspended-{key}")["response"], run_id)
        if given:
            require_awaiting(model, key.removeprefix(KEY))
            said = Approval(**given)
            return Answer(key.removeprefix(KEY), Word(said.approve, said.reason, said.by))
    return None


def ask_for_approval(waiting: Promoted) -> None:
    """Suspends this run until somebody answers; passes where it has no deployment, which alone can be run again."""
    if deployment.id:
        form = Approval.with_initial_data(description=_question(waiting))
        suspend_flow_run(wait_for_input=form, key=f"{KEY}{waiting.version}")


def _question(waiting: Promoted) -> str:
    """In Markdown, beside the form."""
    lines = [f"- {reason}" for reason in waiting.reasons]
    head = f"**{waiting.model} version {waiting.version}** passes its gates. Shall it become champion?"
    return "\n".join([head, "", *lines, "", "After your word it is judged again, against the champion of that moment."])

"""A flow run that waits for a person: suspended, so that nothing runs and no lock is held meanwhile.

A worker runs it again from its start when the form in the Prefect UI is filled in.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from prefect import suspend_flow_run
from prefect.input import RunInput, filter_flow_run_input
from prefect.runtime import deployment, flow_run
from pydantic import Field

from flows.results import Promoted
from tasks.registry.approval import Word, require_awaiting

KEY = "version-"
"""Beginning of the key of a suspension; the version's number follows."""
BEFORE, BEHIND = f"suspended-{KEY}", "-response"
"""What Prefect keeps the answer under: not by the keys of suspensions, which a run that is tried again forgets."""
MOST = 20


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
    kept: Any = filter_flow_run_input(BEFORE, MOST, flow_run_id=UUID(flow_run.id))
    answers = {given.key: given.decoded_value for given in kept if given.key.endswith(BEHIND)}
    if not answers:
        return None
    key, given = answers.popitem()
    version, said = key.removeprefix(BEFORE).removesuffix(BEHIND), Approval(**given)
    require_awaiting(model, version)
    return Answer(version, Word(said.approve, said.reason, said.by))


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

"""A flow run that waits for a person: suspended, so that nothing runs and no lock is held meanwhile.

A worker runs it again from its start when the form in the Prefect UI is filled in.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote, urlsplit
from uuid import UUID

from prefect import suspend_flow_run
from prefect.input import RunInput, filter_flow_run_input
from prefect.runtime import deployment, flow_run
from pydantic import Field

from flows.results import Promoted
from models.errors import OutsideError
from tasks.addresses import has_credentials
from tasks.registry.approval import Word, require_awaiting
from tasks.registry.history import read_history

KEY = "version-"
"""Beginning of the key of a suspension; the version's number follows."""
BEFORE, BEHIND = f"suspended-{KEY}", "-response"
"""What Prefect keeps the answer under: not by the keys of suspensions, which a run that is tried again forgets."""
MOST = 20


class Approval(RunInput):
    """The form. Nothing in it is chosen beforehand: a form that is sent half empty must not decide."""

    decision: Literal["approve", "refuse"] = Field(
        description="approve: it becomes champion, if its gates still say yes. refuse: it does not, whatever they say."
    )
    # A pattern, which the server holds the form against: whatever it lets through has to be an answer.
    by: str = Field(pattern=r"\S", description="Your name; goes into the history.")
    reason: str = Field("", description="Goes into the history.")


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
    return Answer(version, Word(said.decision == "approve", said.reason, " ".join(said.by.split())))


def ask_for_approval(waiting: Promoted) -> None:
    """Suspends this run until somebody answers; passes where it has no deployment, which alone can be run again."""
    if deployment.id:
        form = Approval.with_initial_data(description=_question(waiting))
        suspend_flow_run(wait_for_input=form, key=f"{KEY}{waiting.version}")


def _question(waiting: Promoted) -> str:
    """In Markdown, beside the form."""
    # The last reason is that a person is waited for, who reads this.
    lines = [f"- {reason}" for reason in [*_figures(waiting), *waiting.reasons[:-1]]]
    head = f"**{waiting.model} version {waiting.version}** passes its gates. Shall it become champion?"
    last = "After your word it is judged again, against the champion of that moment."
    return "\n".join([head, "", *lines, "", *_page(waiting), last])


def _figures(waiting: Promoted) -> list[str]:
    """What the version has reached on its test rows; nothing where that can't be looked up: the form goes without."""
    with suppress(OutsideError):
        for event in read_history(waiting.model):
            if (event.event, event.version) == ("registered", waiting.version):
                return [f"{reason} on its test rows" for reason in event.reasons]
    return []


def _page(waiting: Promoted) -> list[str]:
    """A link to the version in MLflow, where people can follow it: a name without a dot is one of a closed network."""
    address = os.environ["MLFLOW_TRACKING_URI"]
    host = urlsplit(address).hostname or ""
    if not address.startswith("http") or has_credentials(address) or not ("." in host or host == "localhost"):
        return []
    place = f"{address.rstrip('/')}/#/models/{quote(waiting.model)}/versions/{waiting.version}"
    return [f"[The version in MLflow]({place}) leads to its report.", ""]

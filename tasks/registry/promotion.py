"""Moving the champion: forward after a verdict, or back. Callers hold the model's promotion lock."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.errors import InputError, RefusedError
from tasks.registry.connection import connect, plain_errors
from tasks.registry.history import LONGEST_TAG, LONGEST_WHY, new_event, record
from tasks.registry.versions import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Version,
    find_alias,
    list_versions,
    require_model,
    tag_version,
)

if TYPE_CHECKING:
    from tasks.registry.gates import Verdict

ROLLED_BACK = "rolled_back"
VERDICT = "verdict"
HOLDER = "promotion.holder"


@dataclass(frozen=True)
class Contest:
    """Who is to be judged against whom."""

    challenger: Version
    champion: Version | None


def find_contest(model: str, number: str | None = None) -> Contest:
    """The waiting challenger, or the version with that number, and the champion of this moment.

    Raises RefusedError when nothing waits, or the version was rolled back and is not named explicitly.
    """
    require_model(model)
    champion = find_alias(model, CHAMPION)
    challenger = require_version(model, number) if number else find_alias(model, CHALLENGER)
    if challenger is None:
        held = f"; version {champion.number} is champion" if champion else ""
        raise RefusedError(f"{model}: no challenger waits{held}")
    if champion is not None and champion.number == challenger.number:
        raise RefusedError(f"{model}: version {challenger.number} is champion already")
    if ROLLED_BACK in challenger.tags and number is None:
        raise RefusedError(
            f"{model}: version {challenger.number} was rolled back; name it with --version to promote it again"
        )
    return Contest(challenger, champion)


def require_version(model: str, number: str) -> Version:
    """The version with that number. Raises InputError when there is none."""
    for version in list_versions(model):
        if version.number == number:
            return version
    raise InputError(f"{model}: has no version {number}; `perennial history {model}` lists them")


def apply_verdict(contest: Contest, verdict: "Verdict", why: str, run_id: str) -> bool:
    """Whether the challenger became champion. Records the verdict either way.

    Raises RefusedError when another process moved the champion since the contest was set up.
    """
    model, challenger = contest.challenger.model, contest.challenger
    before = contest.champion.number if contest.champion else None
    names = {"yes": "promoted", "no": "refused", "undecided": "undecided"}
    if verdict.outcome == "yes":
        found = find_alias(model, CHAMPION)
        now = found.number if found else None
        if now != before:
            raise RefusedError(f"{model}: the champion changed from version {before} to {now} meanwhile; promote again")
        _move_champion(challenger, contest.champion)
    tag_version(challenger, {VERDICT: json.dumps({**verdict.as_dict(), "run_id": run_id})[:LONGEST_TAG]})
    record(model, new_event(names[verdict.outcome], challenger.number, before, why, verdict.reasons, run_id))
    return verdict.outcome == "yes"


def _move_champion(new: Version, old: Version | None) -> None:
    """Previous first, so that a kill in between leaves a champion in place and loses no way back."""
    client = connect()
    with plain_errors(f"moving the champion of {new.model!r}"):
        if old is not None:
            client.set_registered_model_alias(new.model, PREVIOUS, old.number)
        client.set_registered_model_alias(new.model, CHAMPION, new.number)
        if CHALLENGER in new.aliases:
            client.delete_registered_model_alias(new.model, CHALLENGER)


def roll_back(model: str, why: str) -> tuple[Version, Version]:
    """The champion put back and the version it replaced, which nothing promotes again by itself.

    Raises RefusedError when there is no previous champion.
    """
    require_model(model)
    bad, good = find_alias(model, CHAMPION), find_alias(model, PREVIOUS)
    if bad is None or good is None or bad.number == good.number:
        raise RefusedError(f"{model}: has no previous champion to go back to")
    client = connect()
    tag_version(bad, {ROLLED_BACK: why[:LONGEST_WHY]})
    with plain_errors(f"rolling back {model!r}"):
        client.set_registered_model_alias(model, CHAMPION, good.number)
        client.set_registered_model_alias(model, PREVIOUS, bad.number)
    record(model, new_event("rolled back", good.number, bad.number, why))
    return good, bad


def hold(model: str, holder: str) -> None:
    """Notes who promotes now, for others to be told."""
    with plain_errors(f"taking the promotion of {model!r}"):
        connect().set_registered_model_tag(model, HOLDER, holder)


def held_by(model: str) -> str:
    """Who took the promotion last."""
    with plain_errors(f"looking up {model!r}"):
        return str(connect().get_registered_model(model).tags.get(HOLDER, "another process"))

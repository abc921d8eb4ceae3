"""Moving the champion: forward after a verdict, or back. Callers hold the model's promotion lock."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from models.errors import InputError, OutsideError, RefusedError
from tasks.registry.approval import ASKED, awaits_approval
from tasks.registry.connection import connect, plain_errors
from tasks.registry.history import LONGEST_TAG, Event, as_tags, event_of, new_event, record
from tasks.registry.versions import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    Version,
    find_alias,
    list_versions,
    parse_name,
    require_model,
    tag_version,
    untag_version,
)

if TYPE_CHECKING:
    from tasks.registry.gates import Verdict

ROLLED_BACK = "rolled_back"
VERDICT = "verdict"
HOLDER = "promotion.holder"
MOVING = "promotion.moving"


@dataclass(frozen=True)
class Contest:
    """Who is to be judged against whom."""

    challenger: Version
    champion: Version | None


def find_contest(model: str, number: str | None = None) -> Contest:
    """The waiting challenger, or the version with that number, and the champion of this moment.

    Raises RefusedError when nothing waits, or the version was rolled back and is not named explicitly.
    """
    finish_move(model)
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


def is_settled(version: Version) -> bool:
    """Whether a version was judged, or rolled back, or is champion, or waits for a person: no judgement is due."""
    return bool({VERDICT, ROLLED_BACK, ASKED} & set(version.tags)) or CHAMPION in version.aliases


def waiting_challenger(name_or_uri: str) -> Version | None:
    """The challenger of the model that is named, if it was not judged yet. Raises InputError for unknown models."""
    model = parse_name(name_or_uri).model
    require_model(model)
    found = find_alias(model, CHALLENGER)
    return found if found and not is_settled(found) else None


def require_version(model: str, number: str) -> Version:
    """The version with that number. Raises InputError when there is none."""
    for version in list_versions(model):
        if version.number == number:
            return version
    raise InputError(f"{model}: has no version {number}; `perennial history {model}` lists them")


def apply_verdict(contest: Contest, verdict: "Verdict", why: str, run_id: str, who: str | None = None) -> Event:
    """What is on record: that the challenger is promoted, or else; by `who` if given.

    Raises RefusedError when another process moved the champion since the contest was set up.
    """
    model, challenger = contest.challenger.model, contest.challenger
    before = contest.champion.number if contest.champion else None
    names = {"yes": "promoted", "no": "refused", "undecided": "undecided", "waiting": "awaits approval"}
    event = new_event(names[verdict.outcome], challenger.number, before, why, verdict.reasons, run_id, who)
    found = find_alias(model, CHAMPION)
    now = found.number if found else None
    if now != before:
        raise RefusedError(f"{model}: the champion changed from version {before} to {now} meanwhile; promote again")
    if verdict.outcome == "yes":
        _move(Move(model, challenger.number, before, None, event))
    else:
        record(model, event)
        tag_version(challenger, as_tags(event))
    # Last, because a version with a verdict is taken as settled: one that a kill kept from it is judged again.
    if verdict.outcome == "waiting":
        tag_version(challenger, {ASKED: event.when})
        return event
    tag_version(challenger, {VERDICT: _as_tag(verdict, run_id)})
    if awaits_approval(challenger) and verdict.outcome != "yes":
        untag_version(challenger, ASKED)
    return event


def _as_tag(verdict: "Verdict", run_id: str) -> str:
    """The verdict as JSON that fits a tag; where it is too long the last checks are left to the run's artefact."""
    body = {**verdict.as_dict(), "run_id": run_id}
    while len(text := json.dumps(body, ensure_ascii=False)) > LONGEST_TAG:
        body["checks"] = body["checks"][:-1]
    return text


def roll_back(model: str, why: str) -> tuple[Version, Version, Event]:
    """The champion put back, the version it replaced, which nothing promotes again by itself, and what is on record.

    Raises RefusedError when there is no previous champion, or that one was rolled back itself.
    """
    finish_move(model)
    bad, good = find_alias(model, CHAMPION), find_alias(model, PREVIOUS)
    if bad is None or good is None or bad.number == good.number:
        raise RefusedError(f"{model}: has no previous champion to go back to")
    if ROLLED_BACK in good.tags:
        advice = f"`perennial promote {model} --version {good.number}` judges it again"
        raise RefusedError(f"{model}: the previous champion, version {good.number}, was rolled back itself; {advice}")
    back = f"version {good.number} is champion again"
    event = new_event("rolled back", bad.number, bad.number, why, (back,))
    _move(Move(model, good.number, bad.number, bad.number, event))
    return good, bad, event


@dataclass(frozen=True)
class Move:
    """A change of the champion, as it is noted before it begins."""

    model: str
    champion: str
    previous: str | None
    rolled_back: str | None
    """The version that is marked as bad."""
    event: Event


def _move(move: Move) -> None:
    """Notes the move, makes it, and takes the note away: whoever comes after a kill in between completes it.

    Raises RefusedError when somebody moves it now, whom the lock of another Prefect server let in.
    """
    with plain_errors(f"moving the champion of {move.model!r}"):
        if MOVING in connect().get_registered_model(move.model).tags:
            raise RefusedError(f"{move.model}: another promotion moves the champion now; try again when it is done")
        connect().set_registered_model_tag(move.model, MOVING, json.dumps(asdict(move), ensure_ascii=False))
    finish_move(move.model)


def finish_move(model: str) -> None:
    """Completes a move of the champion that was begun; does nothing when there is none."""
    client = connect()
    require_model(model)
    with plain_errors(f"moving the champion of {model!r}"):
        found = client.get_registered_model(model)
        if MOVING not in found.tags:
            return
        body = json.loads(found.tags[MOVING])
        move = Move(**{**body, "event": event_of(body["event"])})
        record(model, move.event)
        for key, value in as_tags(move.event).items():
            client.set_model_version_tag(model, move.event.version, key, value)
        if move.rolled_back:
            client.set_model_version_tag(model, move.rolled_back, ROLLED_BACK, move.event.why)
        over = {ASKED} if move.rolled_back else {ASKED, ROLLED_BACK}
        for key in over & set(client.get_model_version(model, move.champion).tags):
            client.delete_model_version_tag(model, move.champion, key)
        if str(found.aliases.get(CHALLENGER)) == move.champion:
            client.delete_registered_model_alias(model, CHALLENGER)
        if move.previous:
            client.set_registered_model_alias(model, PREVIOUS, move.previous)
        client.set_registered_model_alias(model, CHAMPION, move.champion)
        client.delete_registered_model_tag(model, MOVING)


@contextmanager
def holding(model: str, holder: str) -> Iterator[None]:
    """Names who promotes while the block runs, for others to be told; a killed process leaves its name."""
    with plain_errors(f"taking the promotion of {model!r}"):
        connect().set_registered_model_tag(model, HOLDER, holder)
    try:
        yield
    except BaseException:
        # What went wrong is told, not that the name can't be taken away now, for the same reason perhaps.
        with suppress(OutsideError):
            _give_back(model)
        raise
    _give_back(model)


def _give_back(model: str) -> None:
    with plain_errors(f"giving the promotion of {model!r} back"):
        connect().delete_registered_model_tag(model, HOLDER)


def held_by(model: str) -> str:
    """Who holds the promotion, as far as that was noted yet."""
    with plain_errors(f"looking up {model!r}"):
        return str(connect().get_registered_model(model).tags.get(HOLDER, "another process"))

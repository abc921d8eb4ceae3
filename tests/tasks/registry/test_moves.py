"""Moves of the champion that are interrupted, repeated or undone twice."""

import json
from dataclasses import asdict

import pytest

from models.errors import RefusedError
from tasks.registry import promotion
from tasks.registry.approval import ASKED, awaits_approval
from tasks.registry.connection import connect
from tasks.registry.gates import Verdict
from tasks.registry.history import new_event, read_history
from tasks.registry.promotion import (
    MOVING,
    Move,
    apply_verdict,
    find_contest,
    finish_move,
    is_settled,
    roll_back,
    waiting_challenger,
)
from tasks.registry.versions import find_version, parse_name
from tests.conftest import Copy
from tests.tasks.registry.test_promotion import NO, YES, decide, numbers


@pytest.mark.parametrize("done", ["nothing", "challenger removed", "previous set", "champion set"])
def test_a_move_that_was_killed_is_completed_by_whoever_comes_next(copy: Copy, done: str) -> None:
    name = f"move-{done.replace(' ', '-')}"
    copy(name)
    decide(name)
    copy(name)
    move = Move(name, "2", "1", None, new_event("promoted", "2", "1", "test", ("better",)))
    client = connect()
    client.set_registered_model_tag(name, MOVING, json.dumps(asdict(move)))
    if done != "nothing":
        client.delete_registered_model_alias(name, "challenger")
    if done in ("previous set", "champion set"):
        client.set_registered_model_alias(name, "previous", "1")
    if done == "champion set":
        client.set_registered_model_alias(name, "champion", "2")
    client.set_model_version_tag(name, "2", ASKED, move.event.when)
    finish_move(name)
    assert numbers(name) == {"champion": "2", "previous": "1"}
    assert not awaits_approval(find_version(name, "2")), "a champion waits for nobody"
    assert [(e.event, e.version) for e in read_history(name)] == [("promoted", "1"), ("promoted", "2")]
    assert MOVING not in client.get_registered_model(name).tags
    assert roll_back(name, "back")[0].number == "1"


def test_a_move_that_is_under_way_is_not_overrun(copy: Copy) -> None:
    name = "move-under-way"
    copy(name)
    contest = find_contest(name)
    connect().set_registered_model_tag(name, MOVING, "{}")
    with pytest.raises(RefusedError, match="another promotion moves the champion now"):
        apply_verdict(contest, YES, "test", "run")
    assert numbers(name) == {"challenger": "1"}


def test_a_second_rollback_does_not_bring_the_bad_version_back(copy: Copy) -> None:
    name = "move-rollback-twice"
    for _ in range(2):
        copy(name)
        decide(name)
    roll_back(name, "bad")
    with pytest.raises(RefusedError, match="version 2, was rolled back itself"):
        roll_back(name, "bad, again")
    assert numbers(name) == {"champion": "1", "previous": "2"}


def test_a_version_promoted_by_name_is_no_longer_marked_as_bad(copy: Copy) -> None:
    name = "move-forgiven"
    for _ in range(2):
        copy(name)
        decide(name)
    roll_back(name, "bad")
    decide(name, number="2")
    assert "rolled_back" not in find_version(name, "2").tags
    assert roll_back(name, "bad after all")[0].number == "1"


def test_only_an_unjudged_challenger_waits(copy: Copy) -> None:
    name = "move-waits"
    copy(name)
    for reference in (name, f"models:/{name}", f"{name}@champion", f"{name}/1"):
        found = waiting_challenger(reference)
        assert found is not None
        assert not is_settled(found)
    decide(name, NO)
    assert waiting_challenger(name) is None
    assert find_contest(name).challenger.number == "1"


def test_references_by_latest_and_by_the_id_of_a_logged_model(copy: Copy) -> None:
    name = "move-references"
    copy(name)
    copy(name)
    assert parse_name(f"models:/{name}/latest").number == "2"
    model_id = find_version(name, "1").model_id
    found = parse_name(f"models:/{model_id}")
    assert (found.model, found.number) == (name, "1")


@pytest.mark.parametrize("verdict", [YES, NO])
def test_a_verdict_that_a_kill_cut_short_is_given_again(
    copy: Copy, monkeypatch: pytest.MonkeyPatch, verdict: Verdict
) -> None:
    name = f"move-cut-short-{verdict.outcome}"
    copy(name)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(promotion, "_move", killed)
        patch.setattr(promotion, "record", killed)
        decide(name, verdict)
    waiting = waiting_challenger(name)
    assert waiting is not None and not is_settled(waiting)
    assert decide(name, verdict) is (verdict is YES)
    assert len(read_history(name)) == 1

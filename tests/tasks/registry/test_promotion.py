"""Moving the champion, by the command line and by the functions behind it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from models.behaviour import Behaviour
from models.contract import read_contract
from models.errors import InputError, OutsideError, RefusedError
from models.sections import Gate, Promotion, Split
from tasks.data import rows
from tasks.data.snapshot import Snapshot, open_snapshot
from tasks.data.splits import TEST, assign
from tasks.registry import evidence
from tasks.registry.connection import connect
from tasks.registry.evidence import gather
from tasks.registry.gates import Check, Verdict, judge
from tasks.registry.history import LONGEST_TAG, new_event, read_history, record
from tasks.registry.promotion import apply_verdict, find_contest, held_by, holding, require_version, roll_back
from tasks.registry.versions import download, find_alias, find_version
from tasks.scoring import latency
from tests.conftest import Copy, Small

YES = Verdict("yes", 100, (Check("unseen rows", "yes", "100 rows"),))
NO = Verdict("no", 100, (Check("accuracy", "no", "accuracy is too low"),))


def numbers(model: str) -> dict[str, str]:
    """Who is what now."""
    found = {alias: find_alias(model, alias) for alias in ("champion", "challenger", "previous")}
    return {alias: version.number for alias, version in found.items() if version}


def decide(model: str, verdict: Verdict = YES, number: str | None = None) -> bool:
    return apply_verdict(find_contest(model, number), verdict, "test", "run").event == "promoted"


def test_the_life_of_a_champion(copy: Copy) -> None:
    name = "promotion-life"
    copy(name)
    assert numbers(name) == {"challenger": "1"}
    assert decide(name)
    assert numbers(name) == {"champion": "1"}
    copy(name)
    assert decide(name)
    assert numbers(name) == {"champion": "2", "previous": "1"}
    good, bad, event = roll_back(name, "worse at night")
    assert (good.number, bad.number) == ("1", "2") and event == read_history(name)[-1]
    assert numbers(name) == {"champion": "1", "previous": "2"}
    assert find_version(name, "2").tags["rolled_back"] == "worse at night"
    told = [(e.event, e.version, e.before) for e in read_history(name)]
    assert told == [("promoted", "1", None), ("promoted", "2", "1"), ("rolled back", "2", "2")]


def test_a_refused_challenger_stays_challenger(copy: Copy) -> None:
    name = "promotion-refused"
    copy(name)
    assert not decide(name, NO)
    assert numbers(name) == {"challenger": "1"}
    event = read_history(name)[-1]
    assert (event.event, event.reasons, event.why, event.run_id) == ("refused", ("accuracy is too low",), "test", "run")
    kept = json.loads(find_version(name, "1").tags["verdict"])
    assert kept["checks"][0]["text"] == "accuracy is too low"


def test_a_champion_that_moved_meanwhile_is_not_overrun(copy: Copy) -> None:
    name = "promotion-moved"
    copy(name)
    copy(name)
    contest = find_contest(name)
    connect().set_registered_model_alias(name, "champion", "1")
    with pytest.raises(RefusedError, match="the champion changed from version None to 1 meanwhile; promote again"):
        apply_verdict(contest, YES, "test", "run")
    assert numbers(name)["champion"] == "1"


def test_a_rolled_back_version_is_promoted_only_by_name(copy: Copy) -> None:
    name = "promotion-again"
    for _ in range(2):
        copy(name)
        decide(name)
    roll_back(name, "why not")
    connect().set_registered_model_alias(name, "challenger", "2")
    with pytest.raises(RefusedError, match="version 2 was rolled back; name it with --version"):
        find_contest(name)
    assert decide(name, number="2")
    assert numbers(name)["champion"] == "2"


def test_nothing_to_judge_and_nowhere_to_go_back(small: Small) -> None:
    with pytest.raises(RefusedError, match="small: no challenger waits; version 1 is champion"):
        find_contest("small")
    with pytest.raises(RefusedError, match="version 1 is champion already"):
        find_contest("small", "1")
    with pytest.raises(InputError, match="small: has no version 7"):
        require_version("small", "7")
    with pytest.raises(RefusedError, match="small: has no previous champion to go back to"):
        roll_back("small", "by hand")


def test_long_reasons_fit_the_tag_and_the_event_is_kept(copy: Copy) -> None:
    name = "promotion-long"
    copy(name)
    many = tuple(Check(f"gate {i}", "no", f"reason {i} " + "é" * 800) for i in range(200))
    assert not decide(name, Verdict("no", 100, many))
    event = read_history(name)[-1]
    assert event.event == "refused"
    assert 0 < len(event.reasons) < 200
    assert len(find_version(name, "1").tags["verdict"]) <= LONGEST_TAG


def test_a_long_why_is_kept_as_far_as_it_fits(copy: Copy) -> None:
    name = "promotion-why"
    copy(name)
    record(name, new_event("refused", "1", None, "w" * 200_000, ("reason",)))
    event = read_history(name)[-1]
    assert event.why.startswith("www")


def test_a_long_why_of_a_rollback_is_kept(copy: Copy) -> None:
    name = "promotion-rollback-why"
    for _ in range(2):
        copy(name)
        decide(name)
    roll_back(name, "w" * 200_000)
    assert numbers(name)["champion"] == "1"
    assert read_history(name)[-1].event == "rolled back"


def test_events_are_in_the_order_in_which_they_happened(copy: Copy) -> None:
    name = "promotion-order"
    copy(name)
    for i in range(12):
        record(name, new_event("refused", "1", None, f"number {i}"))
    assert [e.why for e in read_history(name)] == [f"number {i}" for i in range(12)]


def test_evidence_is_gathered_on_the_same_rows_for_both(copy: Copy, home: Path, tmp_path: Path) -> None:
    name = "promotion-evidence"
    rules = {
        "gates": {"accuracy": Gate(slices=("shop", "absent")), "latency_p99_ms": Gate(max=1000)},
        "promotion": Promotion(min_rows=10, resamples=100),
    }
    copy(name, **rules)
    decide(name)
    copy(name, **rules)
    case = gather(find_contest(name), home)
    assert case.evidence.champion is not None
    assert (case.evidence.champion.labels == case.evidence.challenger.labels).all()
    assert (case.evidence.champion.truth == case.evidence.challenger.truth).all()
    assert {"north", "south", "east"} <= set(case.evidence.slices["shop"])
    assert 0 < case.evidence.measured["latency_p99_ms"] < 1000
    assert case.evidence.measured["size_mb"] == (tmp_path / f"copy-{name}" / "model.onnx").stat().st_size / 1e6
    assert case.evidence.parity == 1e-7
    assert case.model_file.gates == rules["gates"]


def test_a_version_is_judged_by_the_behaviour_that_its_model_file_asks_for(copy: Copy, home: Path) -> None:
    name = "promotion-behaviour"
    push = Behaviour(name="more load breaks more", kind="direction", add={"load": 20}, expect="up", tolerance=0.02)
    same = Behaviour(name="load does not matter", kind="invariance", set={"load": -30})
    copy(name, behaviour=(push, same), promotion=Promotion(min_rows=20, resamples=100))
    case = gather(find_contest(name), home)
    verdict = judge(case.evidence, case.model_file.gates, case.model_file.promotion)
    found = {check.gate: check for check in verdict.checks}
    assert found["behaviour more load breaks more"].outcome == "yes"
    assert verdict.outcome == found["behaviour load does not matter"].outcome == "no"
    (reason,) = verdict.reasons
    assert "'load does not matter' holds for" in reason and "but must for at least 95 %; the row with id = " in reason
    assert "yes (0." in reason and "became no (0." in reason


def test_evidence_in_pieces_is_that_of_all_rows_at_once(
    copy: Copy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "promotion-pieces"
    rules = {
        "gates": {"accuracy": Gate(slices=("shop",)), "accuracy_under_sensor_bias": Gate(), "latency_p99_ms": Gate()},
        "split": Split(key=("id",), group="id"),
    }
    copy(name, **rules)
    decide(name)
    copy(name, **rules)
    contest = find_contest(name)
    whole = gather(contest, home).evidence
    pieces, asked = [], []
    real = evidence.score_rows
    monkeypatch.setattr(evidence, "score_rows", lambda *given: pieces.append(len(given[1])) or real(*given))
    monkeypatch.setattr(rows, "PIECE_BYTES", 3000)
    monkeypatch.setattr(latency, "MOST_BYTES", 3000)
    monkeypatch.setattr(latency, "latency_p99_ms", lambda _, few: asked.append(len(few)) or 1.0)
    found = gather(contest, home).evidence
    assert found.champion is not None and whole.champion is not None
    for ours, theirs in ((found.challenger, whole.challenger), (found.champion, whole.champion)):
        np.testing.assert_array_equal(ours.truth, theirs.truth)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        np.testing.assert_allclose(ours.probabilities, theirs.probabilities, atol=1e-6)
    assert {key: mask.tolist() for key, mask in found.slices["shop"].items()} == {
        key: mask.tolist() for key, mask in whole.slices["shop"].items()
    }
    assert found.groups is not None and found.groups.tolist() == whole.groups.tolist()
    assert found.measured["accuracy_under_sensor_bias"] == whole.measured["accuracy_under_sensor_bias"]
    assert len(pieces) > 10 and max(pieces[:-1]) < len(whole.challenger) / 2
    assert 0 < asked[0] < len(whole.challenger) / 2


def test_a_champion_that_fails_on_a_later_piece_is_not_judged_against(
    copy: Copy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "promotion-later-piece"
    copy(name)
    decide(name)
    copy(name)
    real, calls = evidence.score_rows, []

    def failing(*given: object) -> object:
        calls.append(given)
        if len(given) == 3 and len(calls) > 4:
            raise InputError("the class 'maybe' is unknown")
        return real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(evidence, "score_rows", failing)
    monkeypatch.setattr(rows, "PIECE_BYTES", 3000)
    found = gather(find_contest(name), home).evidence
    assert (found.champion, found.obstacle) == (
        None,
        "the champion can't be scored on these rows: the class 'maybe' is unknown",
    )
    assert len([given for given in calls if len(given) == 3]) == 3, "it was not asked again"


def test_only_test_rows_are_judged(copy: Copy, home: Path) -> None:
    name = "promotion-test-rows"
    copy(name)
    contest = find_contest(name)
    case = gather(contest, home)
    contract = read_contract(download(contest.challenger, home))
    snapshot = open_snapshot(home / "snapshots" / name / f"{contract.snapshot}.json")
    table = snapshot.table()
    rows = table.filter(pa.array(assign(table, contract.split) == TEST))
    assert 0 < len(rows) < snapshot.rows
    expected = [contract.classes.index(label) for label in rows["broken"].to_pylist()]
    assert case.evidence.challenger.truth.tolist() == expected


def test_a_champion_whose_rows_are_not_known_any_more_is_not_judged_against(
    copy: Copy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "promotion-rows-gone"
    copy(name)
    decide(name)
    copy(name)
    real = evidence.open_snapshot
    opened: list[Path] = []

    def once(path: Path) -> Snapshot:
        opened.append(path)
        if len(opened) > 1:
            raise InputError(f"{path}: no such snapshot")
        return real(path)

    monkeypatch.setattr(evidence, "may_change_sides", lambda *_: True)
    monkeypatch.setattr(evidence, "open_snapshot", once)
    found = judge(gather(find_contest(name), home).evidence, {}, Promotion())
    assert found.outcome == "undecided"
    assert found.reasons[0].startswith("it can't be told which rows the champion learnt from: ")


def test_rows_that_the_champion_learnt_from_are_left_out_and_groups_are_passed_on(
    copy: Copy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "promotion-sides"
    grouped = Split(key=("id",), group="id")
    copy(name, split=grouped)
    decide(name)
    copy(name, split=grouped)
    before = gather(find_contest(name), home).evidence
    assert before.groups is not None and len(set(before.groups)) == len(before.challenger)
    monkeypatch.setattr(evidence, "may_change_sides", lambda *_: True)
    monkeypatch.setattr(evidence, "learnt_rows", lambda now, *_: np.arange(now.rows) % 2 == 0)
    after = gather(find_contest(name), home).evidence
    assert 0 < len(after.challenger) < len(before.challenger)
    assert after.groups is not None and set(after.groups.tolist()) == set(range(1, len(after.challenger) + 1))


def test_a_clock_that_is_set_back_changes_no_order(copy: Copy) -> None:
    name = "promotion-clock"
    copy(name)
    moments = [
        "2026-11-27T12:00:00.000+00:00",
        *["2026-11-27T11:00:00.000+00:00"] * 12,
        "2026-11-27T12:30:00.000+00:00",
    ]
    events = [replace(new_event("refused", "1", None, f"number {i}"), when=when) for i, when in enumerate(moments)]
    for event in [*events, events[3]]:
        record(name, event)
    assert read_history(name) == events, "the same one twice is kept once"


def test_what_went_wrong_is_told_and_not_that_the_name_could_not_be_taken_away(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "promotion-away"
    copy(name)
    with pytest.raises(OutsideError, match="while judging"), holding(name, "Ada"):
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setattr("mlflow.get_tracking_uri", lambda: "http://127.0.0.1:9")
        raise OutsideError("MLflow can't be reached while judging")
    monkeypatch.undo()
    assert held_by(name) == "Ada", "the server was away"
    with pytest.raises(RefusedError, match="no"), holding(name, "Bob"):
        raise RefusedError("no")
    assert held_by(name) == "another process"

"""What stays and what goes, by cases worked out by hand, and by everything that hypothesis thinks of."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.retention.plan import plan
from tasks.retention.records import (
    DAY,
    Inventory,
    Item,
    LeftRecord,
    ModelRecord,
    OutboxRecord,
    PartRecord,
    Rule,
    RunRecord,
    SnapshotRecord,
    TrainingRecord,
    VersionRecord,
)

NOW = 1_000 * DAY
OLD, YOUNG = NOW - 40 * DAY, NOW - 3 * DAY
STRICT = Rule(older_than=30, keep_versions=0)


def gone(there: Inventory, rule: Rule = STRICT) -> set[tuple[str, str]]:
    return {(item.kind, item.name) for item in plan(there, rule, NOW)}


def members(items: Iterable[Item], kind: str) -> set[str]:
    return {member for item in items if item.kind == kind for member in item.members}


def version(number: int, at: float = OLD, **more: object) -> VersionRecord:
    known = {"run_id": f"r{number}", "model_id": f"m-{number}", "snapshot": f"s{number}", **more}
    return VersionRecord("churn", number, at, **known)  # type: ignore[arg-type]


def run(name: str, job: str = "train", at: float = OLD, **more: object) -> RunRecord:
    return RunRecord("churn", name, at, job, **more)  # type: ignore[arg-type]


def life(count: int, aliased: Iterable[int]) -> Inventory:
    """Old versions 1 to `count`, each with run, files and a snapshot of a part of its own and one that all share."""
    numbers = range(1, count + 1)
    return Inventory(
        versions=tuple(version(n, aliased=n in set(aliased)) for n in numbers),
        models=tuple(ModelRecord("churn", f"m-{n}", OLD, f"r{n}") for n in numbers),
        runs=tuple(run(f"r{n}", snapshot=f"s{n}") for n in numbers),
        snapshots=tuple(SnapshotRecord("churn", f"s{n}", OLD, frozenset({"p0", f"p{n}"})) for n in numbers),
        parts=tuple(PartRecord("churn", f"p{n}", OLD) for n in range(count + 1)),
    )


def test_a_version_goes_with_its_run_files_snapshot_and_parts_and_nothing_of_the_others() -> None:
    items = plan(life(4, aliased=(1, 3)), STRICT, NOW)
    assert [(item.kind, item.name) for item in items] == [
        ("version", "2"), ("run", "r2"), ("snapshot", "s2"), ("parts", "1 files"),
    ]  # fmt: skip
    assert members(items, "version") == {"m-2"}
    assert members(items, "parts") == {"p2"}


@pytest.mark.parametrize(
    ("keep", "left"), [(0, {1, 4}), (1, {1, 4}), (2, {1, 3, 4}), (3, {1, 2, 3, 4}), (9, {1, 2, 3, 4})]
)
def test_the_newest_versions_without_an_alias_stay_and_the_newest_of_all_ever(keep: int, left: set[int]) -> None:
    went = {int(name) for kind, name in gone(life(4, aliased=(1,)), Rule(30, keep)) if kind == "version"}
    assert {1, 2, 3, 4} - went == left


def test_what_is_younger_than_the_limit_stays() -> None:
    there = life(3, aliased=(3,))
    assert ("version", "1") in gone(there, Rule(39, 0))
    assert gone(there, Rule(41, 0)) == set()


def test_a_snapshot_that_was_ingested_again_a_moment_ago_stays_even_if_all_is_to_go() -> None:
    there = life(2, aliased=(2,))
    there = replace(there, snapshots=(replace(there.snapshots[0], at=NOW - DAY / 2), there.snapshots[1]))
    assert {kind for kind, _ in gone(there, Rule(0, 0))} == {"version", "run"}


@pytest.mark.parametrize(
    ("scoring", "stays"),
    [
        (run("x", "score", status="KILLED", parent="r1", versions=frozenset({("churn", 1)})), True),
        (run("x", "score", status="RUNNING", parent="r1", versions=frozenset({("churn", 1)})), True),
        (run("x", "score", YOUNG, parent="r1", versions=frozenset({("churn", 1)})), True),
        (run("x", "score", status="KILLED", parent="r2", versions=frozenset({("churn", 2), ("churn", 1)})), True),
        (run("x", "score", parent="r1", versions=frozenset({("churn", 1)})), False),
        (run("x", "score", status="KILLED", deleted=True, versions=frozenset({("churn", 1)})), False),
        (run("x", "promote", parent="r1", versions=frozenset({("churn", 1)})), False),
    ],
)
def test_an_unfinished_or_young_scoring_keeps_its_version(scoring: RunRecord, stays: bool) -> None:
    there = life(2, aliased=(2,))
    went = gone(replace(there, runs=(*there.runs, scoring)))
    expected = (
        set() if stays else {("version", "1"), ("run", "r1"), ("run", "x"), ("snapshot", "s1"), ("parts", "1 files")}
    )
    assert went == expected


def test_the_last_windows_of_a_version_that_stays_stay_with_it() -> None:
    of = {number: frozenset({("churn", number)}) for number in (1, 2)}
    windows = [run(f"w{n}", "monitor", OLD - n * DAY, parent="r2", versions=of[2]) for n in range(22)]
    others = [
        run("of-one", "monitor", parent="r1", versions=of[1]),
        run("failed", "monitor", parent="r2", status="FAILED", versions=of[2]),
    ]
    there = life(2, aliased={2})
    left = {name for kind, name in gone(replace(there, runs=(*there.runs, *windows, *others))) if kind == "run"}
    assert left == {"r1", "of-one", "failed", "w20", "w21"}


def test_verdicts_stay_with_the_versions_they_are_about() -> None:
    verdicts = (
        run("yes", "promote", parent="r2", versions=frozenset({("churn", 2)})),
        run("no", "promote", parent="r1", versions=frozenset({("churn", 1)})),
    )
    there = life(2, aliased=(2,))
    went = gone(replace(there, runs=there.runs + verdicts))
    assert ("run", "no") in went
    assert ("run", "yes") not in went


@pytest.mark.parametrize(
    ("training", "status", "stays"),
    [
        (TrainingRecord("churn", "f", YOUNG, "t"), "KILLED", True),
        (TrainingRecord("churn", "f", OLD, "t", held=True), "RUNNING", True),
        (TrainingRecord("churn", "f", OLD, "t"), "KILLED", False),
        # Its process was killed before it could say so.
        (TrainingRecord("churn", "f", OLD, "t"), "RUNNING", False),
    ],
)
def test_an_interrupted_training_stays_with_run_and_snapshot_while_it_may_go_on(
    training: TrainingRecord, status: str, stays: bool
) -> None:
    there = Inventory(
        versions=(version(1, aliased=True),),
        runs=(run("t", status=status, snapshot="s"), run("r1", snapshot="s1")),
        snapshots=(SnapshotRecord("churn", "s", OLD, frozenset({"p"})),),
        parts=(PartRecord("churn", "p", OLD),),
        trainings=(training,),
    )
    expected = {("run", "t"), ("snapshot", "s"), ("parts", "1 files"), ("training", "f")}
    assert gone(there) == (set() if stays else expected)


def test_a_run_that_runs_elsewhere_stays() -> None:
    assert gone(Inventory(runs=(run("t", status="RUNNING"),))) == set()


def test_a_version_whose_training_still_runs_stays() -> None:
    there = life(2, aliased=(2,))
    assert gone(replace(there, runs=(replace(there.runs[0], status="RUNNING"), there.runs[1]))) == set()


def test_files_of_a_version_that_is_gone_or_never_was_go() -> None:
    there = replace(life(1, aliased=(1,)), models=(ModelRecord("churn", "m-1", OLD), ModelRecord("churn", "m-x", OLD)))
    assert gone(there) == {("model", "m-x")}


def test_files_that_two_versions_share_stay_with_the_one_that_stays() -> None:
    there = life(2, aliased=(2,))
    there = replace(there, versions=(version(1, model_id="m-2"), version(2, aliased=True)), models=there.models[1:])
    items = plan(there, STRICT, NOW)
    assert ("version", "1") in {(item.kind, item.name) for item in items}
    assert members(items, "version") | members(items, "model") == set()


def test_versions_of_others_stay_and_so_do_their_runs() -> None:
    there = life(2, aliased=(2,))
    there = replace(there, versions=(version(1, ours=False, snapshot=None), version(2, aliased=True)))
    assert gone(there) == set()


@pytest.mark.parametrize(
    "how", ["a manifest that can't be read", "a version whose snapshot can't be told", "no version"]
)
def test_no_snapshot_goes_where_it_cannot_be_told_which_are_needed(how: str) -> None:
    there = life(3, aliased=(3,))
    if how == "a manifest that can't be read":
        there = replace(there, unreadable=frozenset({"churn"}))
    elif how == "a version whose snapshot can't be told":
        there = replace(there, versions=(*there.versions[:2], version(3, aliased=True, snapshot=None)))
    else:
        there = replace(there, versions=())
    assert {kind for kind, _ in gone(there)} & {"snapshot", "parts"} == set()


def test_snapshots_of_a_model_that_is_not_registered_go_when_it_is_named() -> None:
    there = replace(life(1, ()), versions=(), models=(), runs=())
    assert gone(there) == set()
    assert gone(there, replace(STRICT, named=frozenset({"churn"}))) == {("snapshot", "s1"), ("parts", "2 files")}


def test_nothing_of_models_that_are_not_named_goes() -> None:
    assert gone(life(3, ()), replace(STRICT, named=frozenset({"other"}))) == set()


def test_letters_that_have_not_arrived_stay_and_so_does_their_run() -> None:
    there = Inventory(
        runs=(run("a", "score"), run("b", "score"), run("c", "score", status="KILLED")),
        outboxes=(OutboxRecord("a", OLD, open=True), OutboxRecord("b", OLD, open=False), OutboxRecord("c", OLD, False)),
    )
    assert gone(there) == {("outbox", "b"), ("run", "b")}


def test_leftovers_of_processes_that_are_gone_go_after_a_day() -> None:
    left = (
        LeftRecord("churn", "/home/.staging.here.1.x", NOW - 2 * DAY),
        LeftRecord("churn", "/home/.staging.here.2.x", NOW - 2 * DAY, owned=True),
        LeftRecord("churn", "/home/.staging.here.3.x", NOW - DAY / 2),
        LeftRecord("churn", "/home/.gone.here.4.x", NOW, condemned=True),
    )
    went = plan(Inventory(left=left), STRICT, NOW)
    assert members(went, "left-over") == {left[0].path, left[3].path}


AGES = st.sampled_from([NOW, NOW - DAY / 2, YOUNG, OLD, OLD - 100 * DAY])
NUMBERS = st.integers(1, 6)
RUN_IDS = st.sampled_from([f"r{n}" for n in range(1, 9)])
DIGESTS = st.sampled_from([f"s{n}" for n in range(1, 6)])


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    """Anything, also what no honest platform would leave: cycles of runs, names of what is not there."""
    versions = [
        VersionRecord("churn", n, draw(AGES), draw(st.booleans()), draw(RUN_IDS), f"m-{draw(NUMBERS)}", draw(DIGESTS))
        for n in draw(st.sets(NUMBERS))
    ]
    runs = [
        RunRecord(
            "churn", f"r{n}", draw(AGES), draw(st.sampled_from(["train", "promote", "score"])),
            draw(st.sampled_from(["RUNNING", "FINISHED", "KILLED", "FAILED"])), draw(RUN_IDS | st.just("")),
            frozenset({("churn", draw(NUMBERS))}), draw(DIGESTS | st.none()), draw(st.booleans()),
        )
        for n in range(1, 9)
    ]  # fmt: skip
    snapshots = [
        SnapshotRecord("churn", f"s{n}", draw(AGES), draw(st.frozensets(st.sampled_from(["p1", "p2", "p3", "p4"]))))
        for n in range(1, 6)
    ]
    return Inventory(
        versions=tuple(versions),
        models=tuple(ModelRecord("churn", f"m-{n}", draw(AGES), draw(RUN_IDS)) for n in range(1, 7)),
        runs=tuple(runs),
        snapshots=tuple(snapshots),
        parts=tuple(PartRecord("churn", f"p{n}", draw(AGES)) for n in range(1, 5)),
        trainings=tuple(
            TrainingRecord("churn", f"t{n}", draw(AGES), draw(RUN_IDS), draw(st.booleans())) for n in (1, 2)
        ),
    )


@settings(max_examples=300, deadline=None)
@given(inventories(), st.sampled_from([0.0, 1.0, 30.0]), st.integers(0, 3))
def test_nothing_that_can_be_reached_from_an_alias_ever_goes(there: Inventory, older_than: float, keep: int) -> None:
    items = plan(there, Rule(older_than, keep), NOW)
    went = {(item.kind, item.name) for item in items}
    parents = {run.run_id: run.parent for run in there.runs}
    parts = {snapshot.digest: snapshot.parts for snapshot in there.snapshots}
    for held in (version for version in there.versions if version.aliased):
        assert ("version", str(held.number)) not in went
        assert held.model_id not in members(items, "version") | members(items, "model")
        above, seen = held.run_id, set[str]()
        while above and above not in seen:
            assert ("run", above) not in went
            seen.add(above)
            above = parents[above]
        assert ("snapshot", held.snapshot) not in went
        assert not parts[held.snapshot or ""] & members(items, "parts")


@settings(max_examples=200, deadline=None)
@given(inventories(), st.sampled_from([0.0, 1.0, 30.0]), st.integers(0, 3))
def test_no_manifest_that_stays_misses_a_part(there: Inventory, older_than: float, keep: int) -> None:
    items = plan(there, Rule(older_than, keep), NOW)
    went = {item.name for item in items if item.kind == "snapshot"}
    stay = [snapshot.parts for snapshot in there.snapshots if snapshot.digest not in went]
    assert not frozenset().union(*stay) & members(items, "parts")

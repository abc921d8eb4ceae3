"""What counts as drift."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.measuring.windows import false_alarms, made_rows, shifts, watch
from models.profile import Bins, ColumnProfile, Facet, Names, Profile, Rate
from models.sections import Monitor
from tasks.monitoring.drift import Drift, compare

RULES = Monitor(psi=0.1, share=0.02, significance=0.01)


NONE = Rate(count=0, rows=1000)


def profile(rejected: Rate = NONE, overlap: int = 1, **columns: dict[str, Facet]) -> Profile:
    return Profile(
        rows=1000,
        rejected=rejected,
        overlap=overlap,
        columns={name: ColumnProfile(kind="number", facets=facets) for name, facets in columns.items()},
        predictions=ColumnProfile(kind="binary", facets={"label": Names(names=("no", "yes"), counts=(900, 100))}),
    )


def bins(*counts: int, judged: bool = True) -> dict[str, Facet]:
    return {"value": Bins(edges=(1, 2), counts=counts, judged=judged)}


def missing(count: int, rows: int = 1000) -> dict[str, Facet]:
    return {"missing": Rate(count=count, rows=rows)}


def named(drift: Drift) -> list[tuple[str, str]]:
    return [(change.name, change.facet) for change in drift.drifted]


def test_what_is_large_and_no_chance_has_drifted_the_largest_first() -> None:
    before = profile(a=bins(300, 300, 400), b=missing(10), c=bins(300, 300, 400), d=missing(10))
    now = profile(a=bins(500, 200, 300), b=missing(400), c=bins(310, 290, 400), d=missing(15))
    found = compare(before, now, RULES)
    assert named(found) == [("b", "missing"), ("a", "value")]
    assert len(found.changes) == 6
    b, a = found.drifted
    assert (b.psi, b.effect) == (None, pytest.approx(0.39 / 0.02))
    assert a.psi == pytest.approx(0.2 * np.log(5 / 3) + 0.1 * np.log(3 / 2) + 0.1 * np.log(4 / 3))


def test_a_large_change_in_few_rows_is_chance() -> None:
    assert named(compare(profile(a=bins(300, 300, 400)), profile(a=bins(3, 1, 2)), RULES)) == []


def test_a_small_change_in_very_many_rows_is_none() -> None:
    found = compare(profile(a=bins(300_000, 300_000, 400_000)), profile(a=bins(310_000, 300_000, 390_000)), RULES)
    change = next(c for c in found.changes if c.name == "a")
    assert change.p_value < 1e-9 and not change.drifted


def test_limits_are_those_of_the_model_file() -> None:
    before, now = profile(a=bins(300, 300, 400)), profile(a=bins(340, 310, 350))
    assert named(compare(before, now, RULES)) == []
    assert named(compare(before, now, Monitor(psi=0.005, significance=0.6))) == [("a", "value")]
    assert named(compare(before, now, Monitor(psi=0.005, significance=1e-9))) == []


def test_more_rejects_are_drift_and_fewer_are_not() -> None:
    few, many = Rate(count=10, rows=1000), Rate(count=200, rows=1000)
    assert named(compare(profile(few), profile(many), RULES)) == [("rows", "rejected")]
    assert named(compare(profile(many), profile(few), RULES)) == []


def test_dates_move_on_and_are_not_judged() -> None:
    found = compare(profile(a=bins(500, 500, 0, judged=False)), profile(a=bins(0, 0, 1000, judged=False)), RULES)
    assert named(found) == []
    assert [change.judged for change in found.changes if change.name == "a"] == [False]


def test_windows_that_overlap_are_no_independent_rows() -> None:
    wide, now = bins(300, 300, 400), bins(500, 250, 250)
    assert named(compare(profile(a=wide), profile(a=now), RULES)) == [("a", "value")]
    assert named(compare(profile(overlap=100, a=wide), profile(overlap=100, a=now), RULES)) == []


def test_a_shift_of_half_a_standard_deviation_is_noticed_and_nothing_where_there_is_none() -> None:
    rng = np.random.default_rng(1)
    watched = watch(rng)
    assert np.mean(list(shifts(watched, rng, 40, 2000, 0.5))) >= 0.95
    assert sum(false_alarms(watched, rng, 40, 2000)) <= 1


def test_new_categories_other_flags_and_a_column_that_stops_are_noticed() -> None:
    rng = np.random.default_rng(2)
    watched, rows = watch(rng), made_rows(rng, 2000)
    names = [f"new {name}" if i % 5 == 0 else name for i, name in enumerate(rows["category 2"].to_pylist())]
    rows |= {"category 2": pa.array(names).dictionary_encode(), "flag 0": rows["flag 1"]}
    rows["number 5"] = pa.array(rows["number 5"].to_numpy(zero_copy_only=False), mask=rng.random(2000) < 0.2)
    found = named(watched.drift(rows))
    assert {("category 2", "unseen"), ("flag 0", "value"), ("number 5", "missing")} <= set(found)
    assert {name for name, _ in found} == {"category 2", "flag 0", "number 5"}

"""What is known of endpoints: counts, rates, rejects and drift, bounded, over all processes of a server."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.sections import Monitor
from tasks.monitoring.drift import compare
from tasks.monitoring.places import Places
from tasks.scoring.rows import Finding
from tasks.serving.beside.counts import MOST_REASONS, OTHER, EndpointCounts
from tasks.serving.beside.endpoints import Endpoints
from tasks.serving.beside.sent import Sent
from tasks.serving.beside.shared import merge, read_states
from tasks.serving.beside.telling import Telling
from tasks.serving.beside.windows import HALF, spread
from tasks.serving.served import Served
from tests.tasks.serving.beside.answers import NOON, answer, learn, load, parsed
from tests.tasks.serving.beside.test_log import some_rows
from tests.tasks.serving.versions import write_version


@pytest.fixture
def served(tmp_path: Path) -> Served:
    write_version(tmp_path / "version")
    return load(tmp_path / "version")


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


def sent(served: Served, endpoint: str, rows: list[dict[str, Any]], at: float = NOON) -> Sent:
    return Sent(served, endpoint, len(rows), at, (), answer(served, rows, endpoint=endpoint, at=at))


def refused(served: Served, endpoint: str, rows: int, *findings: Finding) -> Sent:
    return Sent(served, endpoint, rows, NOON, findings)


def as_process(number: int, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has them tell what they know under that number."""
    monkeypatch.setattr("tasks.serving.beside.endpoints.os.getpid", lambda: number)
    endpoints.tick()


def told_of(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["endpoint"]: each for each in told["endpoints"]}


def test_counts_of_all_processes_are_told_together(
    served: Served, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Endpoints(shared), Endpoints(shared)
    late = Finding("load", "out of range", 2)
    first.take([sent(served, "a", some_rows(3)), sent(served, "b", some_rows(2), NOON + 5)])
    second.take(
        [sent(served, "a", some_rows(4), NOON + 1), refused(served, "a", 5, late, late, Finding("load", "x", 4))]
    )
    as_process(1, first, monkeypatch)
    as_process(2, second, monkeypatch)
    monkeypatch.setattr("tasks.serving.beside.telling.time.time", lambda: NOON + 10)
    told = Telling(shared).of(served)
    assert [each["endpoint"] for each in told["endpoints"]] == ["b", "a"]
    assert told_of(told)["a"] == {
        "endpoint": "a", "requests": 3, "rows": 7, "rejected": 2, "reasons": {"out of range": 1, "x": 1},
        "last": "2027-01-15T08:00:01.000+00:00", "rows_per_second": round(7 / 60, 3), "drift": None,
    }  # fmt: skip
    monkeypatch.setattr("tasks.serving.beside.telling.time.time", lambda: NOON + 60.5)
    assert told_of(Telling(shared).of(served))["a"]["rows_per_second"] == round(4 / 60, 3)
    monkeypatch.setattr("tasks.serving.beside.telling.time.time", lambda: NOON + 3600)
    assert told_of(Telling(shared).of(served))["a"]["rows_per_second"] == 0
    assert Telling(shared).all({"m": served}) == {"models": [Telling(shared).of(served)]}


def test_drift_is_that_which_monitor_would_find_in_the_same_rows(
    served: Served, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = learn(served, some_rows(2000))
    usual, shifted = some_rows(400, seed=1), some_rows(400, shift=4, seed=2)
    endpoints, other = Endpoints(shared), Endpoints(shared)
    # More than is looked at within a moment would be a sample.
    for start in range(0, 400, 100):
        part = slice(start, start + 100)
        (endpoints if start else other).take(
            [sent(served, "usual", usual[part]), sent(served, "shifted", shifted[part])]
        )
    as_process(1, endpoints, monkeypatch)
    as_process(2, other, monkeypatch)
    told = told_of(Telling(shared).of(served))
    assert told["usual"]["drift"] == {"rows": 400, "columns": [], "changes": []}
    assert told["shifted"]["drift"]["columns"] == ["load"]
    places = Places(served.contract, stored, {})
    predictions = served.graph.run(served.reader.read_rows(shifted))
    counts = places.count(parsed(served, shifted), predictions, np.zeros(400, np.int64), 1)[0]
    found = compare(stored, places.profile(counts, 400, stored.rejected), Monitor()).drifted
    changes = told["shifted"]["drift"]["changes"]
    assert [(c["of"], c["column"], c["psi"]) for c in changes] == [(c.of, c.column, c.psi) for c in found]


def test_many_rejects_of_an_endpoint_are_drift(served: Served, shared: Path) -> None:
    learn(served, some_rows(2000))
    endpoints = Endpoints(shared)
    broken = [Finding("load", "out of range", row) for row in range(1, 31)]
    endpoints.take([sent(served, "a", some_rows(100)), refused(served, "a", 30, *broken)])
    endpoints.tick()
    changes = told_of(Telling(shared).of(served))["a"]["drift"]["changes"]
    assert [(c["of"], c["facet"], round(c["now"], 3)) for c in changes] == [("rows", "rejected", round(30 / 130, 3))]


def test_only_the_last_rows_of_an_endpoint_are_compared(served: Served, shared: Path) -> None:
    learn(served, some_rows(2000))
    endpoints = Endpoints(shared)
    for number in range(40):
        endpoints.take([sent(served, "a", some_rows(200, shift=4 if number < 18 else 0, seed=number))])
    endpoints.tick()
    drift = told_of(Telling(shared).of(served))["a"]["drift"]
    assert drift["columns"] == []
    assert HALF <= drift["rows"] <= 2 * HALF


def test_another_version_is_compared_with_its_own_training(served: Served, shared: Path, tmp_path: Path) -> None:
    learn(served, some_rows(2000))
    write_version(tmp_path / "next", factor=2)
    following = load(tmp_path / "next", version="2")
    learn(following, some_rows(2000, shift=4))
    endpoints = Endpoints(shared)
    endpoints.take([sent(served, "a", some_rows(200, shift=4, seed=1))])
    endpoints.take([sent(following, "a", some_rows(200, shift=4, seed=2))])
    endpoints.tick()
    told = told_of(Telling(shared).of(following))["a"]
    assert (told["rows"], told["drift"]) == (400, {"rows": 200, "columns": [], "changes": []})
    # Nothing is known of rows that the earlier version would have to judge.
    assert told_of(Telling(shared).of(served))["a"]["drift"] is None


def test_the_endpoint_that_was_silent_longest_is_let_go(served: Served, shared: Path) -> None:
    learn(served, some_rows(500))
    endpoints = Endpoints(shared)
    endpoints.take([sent(served, f"e{number}", some_rows(1), NOON + number) for number in range(1000)])
    endpoints.take([sent(served, "e0", some_rows(1), NOON + 1000), sent(served, "new", some_rows(2), NOON + 1001)])
    endpoints.tick()
    told = Telling(shared).of(served)
    assert (told["let_go"], len(told["endpoints"])) == (1, 1000)
    names = told_of(told)
    assert "e1" not in names
    assert (names["e0"]["rows"], names["new"]["rows"], names["new"]["drift"]["rows"]) == (2, 2, 2)


def test_no_process_tells_more_endpoints_than_one_keeps(
    served: Served, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for process in (1, 2):
        endpoints = Endpoints(shared)
        endpoints.take([sent(served, f"{process}-{n}", some_rows(1), NOON + n) for n in range(800)])
        as_process(process, endpoints, monkeypatch)
    merged = merge(read_states(shared, "m"), "1", NOON + 800)
    assert len(merged) == 1000
    assert min(each.last for each in merged.values()) == NOON + 300


def test_reasons_are_bounded_whatever_callers_make_of_them() -> None:
    counts = EndpointCounts()
    version: Any = None
    for number in range(100):
        counts.add(Sent(version, "a", 1, NOON, (Finding("c", f"reason {number}", 1),)))
    counts.add(Sent(version, "a", 7, NOON, (Finding("c", "is not there, did you mean it by 'x'?; give null", None),)))
    assert len(counts.reasons[0]) == MOST_REASONS + 1
    assert counts.reasons[0][OTHER] == 100 - MOST_REASONS + 1
    assert counts.totals[0].tolist() == [101, 0, 107]


def test_a_sample_is_spread_over_the_rows_of_each_group() -> None:
    groups = np.array([5] * 1000 + [2] * 7 + [5] * 1000 + [9] * 50)
    found = spread(groups, 50)
    assert np.bincount(groups[found])[[2, 5, 9]].tolist() == [7, 50, 50]
    assert (np.diff(found) > 0).all()
    assert np.diff(found[groups[found] == 5]).max() <= 47


def test_a_damaged_profile_is_told_in_the_log_and_harms_nothing_else(
    served: Served, shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (served.folder / "profile.json").write_text("{")
    endpoints = Endpoints(shared)
    endpoints.take([sent(served, "a", some_rows(3))])
    endpoints.tick()
    told = told_of(Telling(shared).of(served))["a"]
    assert (told["rows"], told["drift"]) == (3, None)
    assert "drift of endpoints is not told" in caplog.messages[0]

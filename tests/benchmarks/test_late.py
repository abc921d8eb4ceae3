from datetime import UTC, datetime, timedelta

from benchmarks.late import HOURS, LateRun, figures_of

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
INSTEAD = "the run of the same schedule that was due at 2026-01-01 00:00 UTC does the work"


def run(state: str, message: str, taken: float, ended: float) -> LateRun:
    return LateRun(state, message, *(BEGAN + timedelta(seconds=seconds) for seconds in (taken, ended)))


def test_what_became_of_late_runs_is_counted_and_timed() -> None:
    gave_way = [run("Skipped", INSTEAD, 5, 5 + seconds) for seconds in range(1, HOURS)]
    found = figures_of([*gave_way, run("Completed", "", 5, 65)], 1, BEGAN)
    assert [figure.value for figure in found] == [1, 1, 23, 0, 12, 23, 65]
    assert all(figure.reaches(figure.must) for figure in found)


def test_a_run_that_was_skipped_for_another_reason_or_failed_is_a_miss() -> None:
    gave_way = [run("Skipped", INSTEAD, 5, 10)] * (HOURS - 3)
    others = [run("Skipped", "unchanged: version 1", 5, 10), run("Failed", "", 5, 9)]
    found = figures_of([*gave_way, *others, run("Completed", "", 5, 65)], 1, BEGAN)
    assert [figure.what for figure in found if not figure.reaches(figure.must)] == [
        "retrainings that gave way to it", "neither",
    ]  # fmt: skip
    twice = figures_of([run("Completed", "", 5, 65)] * HOURS, 2, BEGAN)
    assert not twice[0].reaches(twice[0].must)

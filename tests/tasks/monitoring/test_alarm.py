"""Which windows are one breach too many, by cases worked out by hand."""

import pytest

from models.sections import Monitor
from tasks.monitoring.alarm import WindowRecord, find_alarm


def records(pattern: str) -> list[WindowRecord]:
    """Newest first: `!` has drifted, `.` has not."""
    return [WindowRecord(f"run {i}", -i, mark == "!", f"window {i}") for i, mark in enumerate(pattern)]


@pytest.mark.parametrize(
    ("pattern", "raised"),
    [
        ("!", False),
        ("!!", True),
        ("!...!", True),
        ("!....!", False),
        (".!!!!", False),
        ("!.!", True),
        ("....", False),
    ],
)
def test_two_of_the_last_five_windows_with_the_newest_raise_an_alarm(pattern: str, raised: bool) -> None:
    alarm = find_alarm(records(pattern), Monitor())
    assert alarm.raised is raised
    assert (len(alarm.windows), alarm.breaches) == (min(len(pattern), 5), pattern[:5].count("!"))


def test_the_model_file_says_how_many_of_how_many() -> None:
    assert find_alarm(records("!"), Monitor(windows=1, breaches=1)).raised
    assert not find_alarm(records("!.!"), Monitor(windows=2, breaches=2)).raised
    assert not find_alarm(records("!!..!"), Monitor(windows=5, breaches=4)).raised


def test_a_window_that_is_monitored_again_is_one_breach_and_raises_nothing_twice() -> None:
    again = WindowRecord("again", 1, True, "window 0")
    assert not find_alarm([again, *records("!...")], Monitor()).raised
    assert find_alarm([again, *records("!..!")], Monitor()).raised
    told = [WindowRecord("run 0", 0, True, "window 0", told=True), *records("!!")[1:]]
    assert not find_alarm([again, *told], Monitor()).raised
    assert find_alarm([WindowRecord("new", 2, True, "window 2"), *told], Monitor()).raised


def test_a_window_that_is_monitored_again_pushes_none_out_of_the_last_ones() -> None:
    repeated = [WindowRecord(f"again {i}", -1, False, "repeated") for i in range(5)]
    alarm = find_alarm([records("!")[0], *repeated, records(".!")[1]], Monitor())
    assert (len(alarm.windows), alarm.breaches, alarm.raised) == (3, 2, True)

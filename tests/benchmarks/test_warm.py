"""`make bench NAME=warm`, cut short."""

from pathlib import Path

import pytest

from benchmarks import warm
from benchmarks.measuring.reporting import Figure


def test_epochs_until_the_goal_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The goal .3 is the cold run's in its third epoch; the warm run is there in its second, or never."""
    seen: list[Figure] = []
    monkeypatch.setattr(warm, "report", lambda name, title, figures, official: seen.extend(figures) or 0)
    monkeypatch.setenv("PERENNIAL_BENCH_DATA", str(tmp_path))
    losses = {"first": (0.5,), "cold": (0.9, 0.5, 0.3, 0.4), "warm": (0.31, 0.3, 0.2)}
    monkeypatch.setattr(warm, "_fit", lambda file, folder, name, begin_with=None: losses[name])
    with pytest.raises(SystemExit):
        warm.main(rows=300, seeds=1)
    assert [figure.value for figure in seen] == pytest.approx([3, 2, 2 / 3, 2 / 3])
    assert [figure.reaches(figure.must) for figure in seen] == [True, True, False, True]
    losses["warm"] = (0.31, 0.32)
    with pytest.raises(SystemExit):
        warm.main(rows=300, seeds=1)
    assert seen[-1].value == float("inf")

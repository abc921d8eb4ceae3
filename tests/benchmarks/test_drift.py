"""`make bench NAME=drift`, cut short."""

import pytest

from benchmarks import drift
from benchmarks.measuring.reporting import Figure


def test_all_figures_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Figure] = []

    def told(name: str, title: str, figures: list[Figure]) -> int:
        seen.extend(figures)
        return 0

    monkeypatch.setattr(drift, "report", told)
    monkeypatch.setattr(drift, "WINDOWS", 3)
    monkeypatch.setattr(drift, "MANY", 1000)
    with pytest.raises(SystemExit) as end:
        drift.main()
    assert end.value.code == 0
    assert seen[0].value == 100 and seen[0].must == 95
    assert seen[1].value == 0 and seen[1].must == 2
    assert all(figure.reaches(figure.must) for figure in seen)

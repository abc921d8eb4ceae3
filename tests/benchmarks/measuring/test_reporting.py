import json
from pathlib import Path

import pytest

from benchmarks.measuring.reporting import Better, Figure, bench_folder, report, temporary_home


@pytest.mark.parametrize(
    ("better", "value", "verdict"),
    [
        ("higher", 0.4, "MISSED"),
        ("higher", 0.5, "must"),
        ("higher", 1.0, "aim"),
        ("lower", 1.1, "MISSED"),
    ],
)
def test_a_figure_is_judged_by_the_side_that_is_better(better: Better, value: float, verdict: str) -> None:
    assert Figure("speed", value, "ratio", better, 0.5, 1.0).verdict == verdict


def test_a_lower_figure_reaches_the_bound_itself() -> None:
    assert Figure("time", 3.0, "s", "lower", 6.0, 3.0).verdict == "aim"
    assert Figure("time", 6.0, "s", "lower", 6.0, 3.0).verdict == "must"


def test_a_figure_that_is_only_told_is_not_judged() -> None:
    assert Figure("rows/s", 0.0, "rows/s", "higher").verdict == ""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path))
    return tmp_path


def test_the_rows_are_written_and_the_table_is_printed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = [Figure("speed", 0.7, "ratio", "higher", 0.5, 1.0), Figure("rows", 12_000.0, "rows/s", "higher")]
    assert report("scoring", "a test", figures) == 0
    assert json.loads((home / "bench" / "scoring.json").read_text()) == [
        {"what": "speed", "value": 0.7, "unit": "ratio", "better": "higher", "must": 0.5, "aim": 1.0},
        {"what": "rows", "value": 12_000.0, "unit": "rows/s", "better": "higher", "must": None, "aim": None},
    ]
    printed = capsys.readouterr().out
    assert "≥ 0.5" in printed
    assert "12,000" in printed


def test_a_missed_must_is_exit_code_1(home: Path) -> None:
    assert report("startup", "a test", [Figure("help", 0.6, "s", "lower", 0.5, 0.2)]) == 1


def test_a_run_cut_short_judges_nothing_and_leaves_the_official_result(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report("startup", "whole", [Figure("help", 0.1, "s", "lower", 0.5, 0.2)])
    assert report("startup", "cut", [Figure("help", 0.6, "s", "lower", 0.5, 0.2)], official=False) == 0
    assert json.loads((home / "bench" / "startup.json").read_text())[0]["value"] == 0.1
    assert json.loads((home / "bench" / "startup.partial.json").read_text())[0]["value"] == 0.6
    assert "NOT AN OFFICIAL RESULT" in capsys.readouterr().out


def test_results_lie_in_the_checkout_where_no_home_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERENNIAL_HOME", raising=False)
    assert bench_folder() == Path(__file__).resolve().parents[3] / ".perennial" / "bench"


def test_the_temporary_home_is_gone_afterwards() -> None:
    with temporary_home() as home:
        (home / "something").write_text("x")
    assert not home.exists()

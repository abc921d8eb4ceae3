"""`perennial score --monitor`: a scoring run is a window, too."""

from pathlib import Path

import pytest

from models.profile import read_profile
from tests.conftest import Small
from tests.small import cli, table


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    frame = table(300, seed=51).drop(columns="broken")
    frame["heat"] += 20
    path = tmp_path_factory.mktemp("scored") / "in.csv"
    frame.to_csv(path, index=False)
    return path


def test_a_scoring_run_is_a_window_of_its_version(small: Small, shifted: Path, tmp_path: Path) -> None:
    from tasks.registry.connection import connect

    said = cli("score", "small", "--input", shifted, "--output", tmp_path / "out.parquet", "--monitor", "--json")
    assert said.code == 0, said.both
    window = said.json["window"]
    assert (window["model"], window["version"], window["rows"]) == ("small", "1", 300)
    assert ("heat", "value") in [(change["column"], change["facet"]) for change in window["drifted"]]
    run = connect().get_run(window["run_id"])
    assert (run.data.tags["job"], run.data.tags["drifted"], run.info.status) == ("monitor", "true", "FINISHED")
    profile = read_profile(Path(window["report"]).parent)
    assert profile is not None and profile.rows == 300
    apart = cli("monitor", "small", "--input", shifted, "--json").json
    assert apart["windows"] == window["windows"] and apart["breaches"] == window["breaches"]
    people = cli("score", "small", "--input", shifted, "--output", tmp_path / "again.parquet", "--monitor")
    assert "compared with the training of small version 1" in people.out and people.out.splitlines()[-1].startswith(
        "rejects"
    )


def test_without_the_option_nothing_is_compared(small: Small, shifted: Path, tmp_path: Path) -> None:
    assert cli("score", "small", "--input", shifted, "--output", tmp_path / "o.csv", "--json").json["window"] is None


def test_a_version_without_a_profile_is_told_before_anything_is_scored(
    small: Small, copy: object, shifted: Path, tmp_path: Path
) -> None:
    copy("unprofiled")  # type: ignore[operator]
    words = ("score", "unprofiled/1", "--input", shifted, "--output", tmp_path / "out.parquet", "--monitor")
    said = cli(*words)
    assert said.code == 2 and "unprofiled version 1 has no profile to compare with" in said.err
    assert not (tmp_path / "out.parquet").exists()

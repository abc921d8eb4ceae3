"""Scoring on two workers of a real Ray on this machine: the same rows as in one process, whatever is killed."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tasks.cluster import connected
from tests.conftest import Small
from tests.small import cli, table

pytest.importorskip("ray", reason="Ray, an optional extra, is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


@pytest.fixture(scope="module", autouse=True)
def ray() -> Iterator[None]:
    with connected(None, 2):
        yield


def rows_of(folder: Path) -> pd.DataFrame:
    frame = pd.read_parquet(folder).drop(columns="run_id", errors="ignore")
    return frame.sort_values(["source", "row"], ignore_index=True)


def test_a_folder_of_parquet(small: Small, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        frame = table(5000, seed=number).drop(columns="broken")
        frame.loc[7, "load"] = 1000
        frame.to_parquet(tmp_path / "in" / f"{number}.parquet", row_group_size=1000)
    words = ("score", "small", "--input", tmp_path / "in", "--shard-rows", 1000, "--json", "--output")
    alone = cli(*words, tmp_path / "alone")
    done = cli(*words, tmp_path / "out", "--engine", "ray")
    assert done.code == 0, done.both
    pd.testing.assert_frame_equal(rows_of(tmp_path / "out/predictions"), rows_of(tmp_path / "alone/predictions"))
    pd.testing.assert_frame_equal(rows_of(tmp_path / "out/rejects"), rows_of(tmp_path / "alone/rejects"))
    for name in ("rows", "scored", "rejected"):
        assert done.json[name] == alone.json[name]

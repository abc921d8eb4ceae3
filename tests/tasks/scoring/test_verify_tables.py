"""What verifying says of tables that were changed, and that it says nothing of those that were not."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.scoring.predictor import Predictor
from tasks.scoring.tableledger import TableLedger
from tasks.scoring.tablesums import own_names, sums_of
from tasks.scoring.verifytable import verify_table
from tests.servers import PostgresServer
from tests.tasks.scoring.in_databases import fill_sqlite, rows_with_rejects, score_rows

Change = Callable[[str], None]
SHARD = "rows 1 to 50 of sqlite:"


@pytest.fixture(params=["sqlite", "postgresql"])
def scored(request: pytest.FixtureRequest, predictor: Predictor, tmp_path: Path) -> tuple[str, Change]:
    """A finished output of two shards, and what runs SQL in its database."""
    source, change = fill_sqlite(tmp_path / "in.db", "in", rows_with_rejects(100)), _in_sqlite(tmp_path / "out.db")
    output = f"sqlite:///{tmp_path / 'out.db'}#verified"
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres_server")
        output, change = f"{server.uri}#verified", lambda sql: print(server.psql(sql))
    score_rows(predictor, [source], output, overwrite=True, shard_rows=50)
    assert verify_table(output) == []
    return output, change


def _in_sqlite(path: Path) -> Change:
    def change(sql: str) -> None:
        with closing(sqlite3.connect(path)) as database:
            database.executescript(sql)

    return change


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE verified SET label = 'no' || label WHERE row = 20",
        "UPDATE verified SET probability = probability + 0.001 WHERE row = 20",
        "UPDATE verified SET probability = NULL WHERE row = 20",
        "UPDATE verified SET model_version = '7' WHERE row = 20",
        "UPDATE verified_rejects SET reason = 'none' WHERE row = 3",
        "UPDATE verified SET row = 63 - row WHERE row IN (31, 32)",
    ],
)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_changed_values_are_told(scored: tuple[str, Change], sql: str) -> None:
    output, change = scored
    change(sql)
    (line,) = verify_table(output)
    assert SHARD in line and line.endswith("#in: labels, scores or reasons are not those that were written")


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_rows_of_others_are_told(scored: tuple[str, Change]) -> None:
    output, change = scored
    change("INSERT INTO verified (run_id, source, row) VALUES ('another', 'file', 1), (NULL, NULL, 77)")
    assert [line.partition("#verified: ")[2] for line in verify_table(output)] == ["2 rows are of no shard"]
    change("UPDATE verified SET row = NULL; INSERT INTO verified_rejects (source, row) VALUES (NULL, NULL)")
    lines = verify_table(output)
    assert lines[0].endswith("#in: 0 are scored, and 48 were") and SHARD in lines[0]
    assert lines[-1].endswith("#verified: 101 rows are of no shard")
    change("ALTER TABLE verified RENAME COLUMN label TO other")
    assert [line.partition("#verified: ")[2] for line in verify_table(output)] == ["the column 'label' is gone"]


def test_rows_outside_of_the_period_are_no_damage(predictor: Predictor, tmp_path: Path) -> None:
    frame = rows_with_rejects(60)
    frame["at"] = [f"2024-05-{1 + i % 30:02d}" for i in range(60)]
    source, path = fill_sqlite(tmp_path / "in.db", "in", frame), tmp_path / "out.db"
    period = {"since": "2024-05-05", "until": "2024-05-20", "time": "at"}
    scores = score_rows(predictor, [source], f"sqlite:///{path}#out", shard_rows=25, **period)
    assert (scores.passed, scores.scored) == (30, 29)
    assert verify_table(f"sqlite:///{path}#out") == []
    _in_sqlite(path)("UPDATE out SET row = 6 WHERE row = 8")
    (line,) = verify_table(f"sqlite:///{path}#out")
    assert line.endswith("some are there twice and others not at all")


def test_entries_of_earlier_releases_are_read(
    predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, path = fill_sqlite(tmp_path / "in.db", "in", rows_with_rejects(60)), tmp_path / "out.db"
    enter = TableLedger.enter
    monkeypatch.setattr(TableLedger, "enter", lambda to, run_id, entry: enter(to, run_id, replace(entry, sums={})))
    score_rows(predictor, [source], f"sqlite:///{path}#out")
    assert verify_table(f"sqlite:///{path}#out") == []
    _in_sqlite(path)("UPDATE out SET row = 6 WHERE row = 8")
    assert verify_table(f"sqlite:///{path}#out")[0].endswith("some are there twice and others not at all")


def test_hashes_are_the_same_for_what_databases_make_of_values() -> None:
    rows = {"row": [1, 2], "model": ["m", "m"], "model_version": ["1", "1"], "source": ["s", "s"], "run_id": ["r", "r"]}
    written = pa.table(
        {**rows, "label": pa.array([True, False]), "value": pa.array([float("nan"), -0.0], pa.float32())}
    )
    read = pa.table({**rows, "label": ["1", "0"], "value": pa.array([None, 0.0], pa.float64())})
    assert sums_of("predictions", written) == sums_of("predictions", read)
    assert sums_of("predictions", written.slice(1)) != sums_of("predictions", read.slice(0, 1))


def test_columns_are_known_under_taken_names() -> None:
    assert own_names("predictions", ["row", "label", "label_", "row_", "source"]) == {
        "label": "label_",
        "row": "row_",
        "source": "source",
    }

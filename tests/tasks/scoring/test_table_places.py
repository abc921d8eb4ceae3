"""What may not be written or replaced is told before anything is scored."""

import datetime
import decimal
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import InputError
from tasks.scoring.outputs import require_claimable, wanted_output
from tasks.scoring.predictor import Predictor
from tests.servers import PostgresServer
from tests.tasks.scoring.in_databases import fill_sqlite, of_sqlite, rows_with_rejects, score_rows


def script(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.executescript(sql)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pa.decimal128(10, 2), decimal.Decimal("1.50")),
        (pa.duration("us"), datetime.timedelta(1)),
        (pa.time32("s"), datetime.time(1)),
        (pa.time64("us"), datetime.time(1)),
        (pa.uint64(), 2**63),
    ],
    ids=str,
)
def test_columns_that_sqlite_cannot_hold_are_named(
    predictor: Predictor, tmp_path: Path, kind: pa.DataType, value: object
) -> None:
    rows = pa.Table.from_pandas(rows_with_rejects(20).astype({"load": str}), preserve_index=False)
    pq.write_table(rows.append_column("odd", pa.array([value] * 20, kind)), tmp_path / "in.parquet")
    with pytest.raises(InputError, match=r"column 'odd' holds .*, which a table can't; name the columns to write with"):
        score_rows(predictor, [str(tmp_path / "in.parquet")], f"sqlite:///{tmp_path / 'o.db'}#out", key=None)


def test_a_view_is_not_replaced(predictor: Predictor, tmp_path: Path, postgres_server: PostgresServer) -> None:
    source = fill_sqlite(tmp_path / "a.db", "in", rows_with_rejects(20))
    script(tmp_path / "a.db", "CREATE VIEW seen AS SELECT 1 AS x")
    postgres_server.psql("CREATE VIEW seen AS SELECT 1 AS x; CREATE MATERIALIZED VIEW seen2_rejects AS SELECT 1 AS x")
    for output, name, kind in (
        (f"sqlite:///{tmp_path / 'a.db'}#Seen", "Seen", "view"),
        (f"{postgres_server.uri}#seen", "seen", "view"),
        (f"{postgres_server.uri}#seen2", "seen2_rejects", "materialized view"),
    ):
        told = rf"--overwrite replaces tables, and '{name}' is none \(kind: {kind}\); choose another table"
        with pytest.raises(InputError, match=told):
            require_claimable(wanted_output(output), True)
        with pytest.raises(InputError, match=told):
            score_rows(predictor, [source], output, overwrite=True)
        with pytest.raises(InputError, match=f"'{name}' exists already"):
            require_claimable(wanted_output(output), False)


def test_what_depends_on_a_table_is_told(predictor: Predictor, tmp_path: Path, postgres_server: PostgresServer) -> None:
    source = fill_sqlite(tmp_path / "a.db", "in", rows_with_rejects(20))
    postgres_server.psql("CREATE TABLE used (x integer PRIMARY KEY); CREATE VIEW of_used AS SELECT x FROM used")
    postgres_server.psql("CREATE TABLE refers (x integer REFERENCES used)")
    with pytest.raises(InputError) as error:
        score_rows(predictor, [source], f"{postgres_server.uri}#used", overwrite=True)
    assert [line.partition("#used: ")[2].partition(";")[0] for line in error.value.problems] == [
        "'of_used' depends on 'used'",
        "'refers' depends on 'used'",
    ]


def test_views_of_sqlite_see_the_new_table(predictor: Predictor, tmp_path: Path) -> None:
    source, output = fill_sqlite(tmp_path / "a.db", "in", rows_with_rejects(20)), f"sqlite:///{tmp_path / 'a.db'}#out"
    script(tmp_path / "a.db", "CREATE TABLE out (label); CREATE VIEW labels AS SELECT label FROM out")
    score_rows(predictor, [source], output, overwrite=True)
    assert len(of_sqlite(tmp_path / "a.db", "SELECT * FROM labels")) == 18


def test_a_table_with_the_name_of_what_is_begun_stays(predictor: Predictor, tmp_path: Path) -> None:
    source, output = fill_sqlite(tmp_path / "a.db", "in", rows_with_rejects(60)), f"sqlite:///{tmp_path / 'a.db'}#own"
    script(tmp_path / "a.db", "CREATE TABLE OWN__run (x); INSERT INTO OWN__run VALUES (1)")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="the name 'own__run' is needed while rows are written, and no unfinished"):
            score_rows(predictor, [source], output, overwrite)
    assert len(of_sqlite(tmp_path / "a.db", "SELECT * FROM own__run")) == 1
    script(tmp_path / "a.db", "DROP TABLE own__run")

    def stops_at(rows: int) -> None:
        if rows > 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_rows(predictor, [source], output, False, stops_at, shard_rows=20)
    require_claimable(wanted_output(output), False)
    assert score_rows(predictor, [source], output, shard_rows=20).scored == 58

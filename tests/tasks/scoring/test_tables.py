"""Runs out of and into databases."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import InputError, OutsideError, UnreachableError
from tasks.scoring import tables
from tasks.scoring.inputs import look_at
from tasks.scoring.ledger import Entry
from tasks.scoring.outputs import claimed, wanted_output
from tasks.scoring.predictor import Predictor
from tasks.scoring.request import Options, Request
from tasks.scoring.score import score_files, score_into
from tasks.scoring.tables import TablePart
from tasks.scoring.verifytable import verify_table
from tests.conftest import Small
from tests.servers import PostgresServer
from tests.small import ROOT
from tests.tasks.scoring.in_databases import (
    fill_postgres,
    fill_sqlite,
    of_postgres,
    of_sqlite,
    rows_with_rejects,
    score_rows,
)
from tests.tasks.scoring.scored_files import STAMP


@pytest.fixture(scope="module")
def expected(predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What scoring a file of the same rows gives."""
    folder = tmp_path_factory.mktemp("expected")
    rows_with_rejects(500).to_csv(folder / "in.csv", index=False)
    scores = score_files(predictor, [str(folder / "in.csv")], folder / "out.parquet", STAMP)
    assert (scores.scored, scores.rejected) == (498, 2)
    return pd.read_parquet(folder / "out.parquet").astype({"id": int})


def test_postgresql_to_postgresql(
    predictor: Predictor, postgres_server: PostgresServer, expected: pd.DataFrame
) -> None:
    source = fill_postgres(postgres_server, "in1", rows_with_rejects(500))
    scores = score_rows(predictor, [source], f"{postgres_server.uri}#out1", shard_rows=150)
    assert (scores.rows, scores.scored, scores.rejected) == (500, 498, 2)
    assert scores.predictions == f"postgresql://127.0.0.1:{postgres_server.port}/postgres#out1"
    found = pd.DataFrame(of_postgres(postgres_server, "out1", "id, label, row, probability, heat, shop"))
    for position, column in enumerate(("id", "label", "row")):
        assert found[position].tolist() == expected[column].astype(str).tolist()
    assert found[3].astype(float).to_numpy() == pytest.approx(expected["probability"].to_numpy())
    assert found[5].tolist() == expected["shop"].fillna("").tolist()
    assert of_postgres(postgres_server, "out1_rejects", "row, reason") == [("3", "wrong type"), ("7", "out of range")]
    assert verify_table(f"{postgres_server.uri}#out1") == []


def test_an_output_that_exists_is_replaced_when_the_new_one_is_whole(
    predictor: Predictor, postgres_server: PostgresServer
) -> None:
    source, output = fill_postgres(postgres_server, "in2", rows_with_rejects(50)), f"{postgres_server.uri}#out2"
    score_rows(predictor, [source], output)
    with pytest.raises(InputError, match=r"#out2: 'out2' exists already; choose another table or pass --overwrite"):
        score_rows(predictor, [source], output)
    fill_postgres(postgres_server, "in2", rows_with_rejects(60))
    seen: list[str] = []
    score_rows(
        predictor, [source], output, True, lambda _: seen.append(postgres_server.psql("SELECT count(*) FROM out2"))
    )
    assert set(seen) == {"48"}
    assert postgres_server.psql("SELECT count(*) FROM out2") == "58"
    assert postgres_server.psql("SELECT count(DISTINCT run_id) FROM perennial_ledger WHERE output = 'out2'") == "1"


def test_a_second_run_of_the_same_id_scores_all_rows_again(predictor: Predictor, tmp_path: Path) -> None:
    rows_with_rejects(50).to_csv(tmp_path / "in.csv", index=False)
    output = f"sqlite:///{tmp_path / 'out.db'}#out"
    for _ in range(2):
        scores = score_files(predictor, [str(tmp_path / "in.csv")], output, STAMP, overwrite=True)
        assert scores.scored == len(of_sqlite(tmp_path / "out.db", "SELECT * FROM out")) == 48
    assert verify_table(output) == []


def test_a_file_into_postgresql(
    predictor: Predictor, postgres_server: PostgresServer, tmp_path: Path, expected: pd.DataFrame
) -> None:
    rows_with_rejects(500).to_csv(tmp_path / "in.csv", index=False)
    score_rows(predictor, [str(tmp_path / "in.csv")], f"{postgres_server.uri}#public.out12", key=None)
    found = pd.DataFrame(of_postgres(postgres_server, "out12", "id, label, row, source"))
    assert found[1].tolist() == expected["label"].tolist()
    assert set(found[3]) == {str(tmp_path / "in.csv")}
    assert verify_table(f"{postgres_server.uri}#public.out12") == []


@pytest.mark.parametrize("size", [1, 1000])
def test_rows_arrive_whole_in_small_pieces(
    predictor: Predictor, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("tasks.scoring.tables.PIECE_BYTES", size)
    source, output = fill_postgres(postgres_server, "in13", rows_with_rejects(100)), f"{postgres_server.uri}#out13"
    score_rows(predictor, [source], output, overwrite=True)
    assert [int(row) for (row,) in of_postgres(postgres_server, "out13", "row")] == [
        *range(1, 3),
        *range(4, 7),
        *range(8, 101),
    ]
    assert verify_table(output) == []


def test_a_query_into_parquet_and_sqlite(
    predictor: Predictor, postgres_server: PostgresServer, tmp_path: Path, expected: pd.DataFrame
) -> None:
    fill_postgres(postgres_server, "in3", rows_with_rejects(500))
    asked = {"query": "SELECT * FROM in3 WHERE id < 300; ", "key": "id"}
    score_rows(predictor, [postgres_server.uri], tmp_path / "out.parquet", **asked)
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert found["id"].tolist() == expected["id"][expected["id"] < 300].tolist()
    assert found["source"].iloc[0].startswith(f"postgresql://127.0.0.1:{postgres_server.port}/postgres#query-")
    score_rows(predictor, [postgres_server.uri], f"sqlite:///{tmp_path / 'out.db'}#scored", **asked)
    again = of_sqlite(tmp_path / "out.db", "SELECT * FROM scored ORDER BY row")
    assert again["label"].tolist() == found["label"].tolist()
    assert again["row"].tolist() == found["row"].tolist()


def test_sqlite_to_sqlite_in_one_file(predictor: Predictor, tmp_path: Path, expected: pd.DataFrame) -> None:
    source = fill_sqlite(tmp_path / "a b.db", "in", rows_with_rejects(500))
    output = source.replace("#in", "#out")
    scores = score_rows(predictor, [source], output, shard_rows=100)
    found = of_sqlite(tmp_path / "a b.db", "SELECT * FROM out ORDER BY row")
    assert found["id"].tolist() == expected["id"].tolist()
    assert found["probability"].to_numpy() == pytest.approx(expected["probability"].to_numpy())
    assert scores.reasons == {"out of range": 1, "wrong type": 1}
    rejects = of_sqlite(tmp_path / "a b.db", "SELECT * FROM out_rejects ORDER BY row")
    assert rejects["row"].tolist() == [3, 7]
    assert verify_table(output) == []
    assert {path.name for path in tmp_path.iterdir()} == {"a b.db"}


STOPPED = """
import sys, threading
from pathlib import Path
from tasks.scoring.predictor import Predictor
from tests.tasks.scoring.in_databases import score_rows
package, source, output = sys.argv[1:]
stop = lambda rows: threading.Event().wait() if rows >= 120 else None
score_rows(Predictor.load(Path(package)), [source], output, False, stop, shard_rows=20)
"""


def stopped_run(package: Path, source: str, output: str) -> subprocess.Popen[bytes]:
    """It comes to a stand half-way, and waits to be killed."""
    return subprocess.Popen([sys.executable, "-c", STOPPED, package, source, output], cwd=ROOT, stderr=subprocess.PIPE)


def wait_for(shards: Callable[[], int], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 180
    while shards() < 3:
        if time.monotonic() > until:
            process.kill()
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)


def test_a_killed_run_goes_on_with_the_rows_that_it_began_with(
    predictor: Predictor,
    small: Small,
    postgres_server: PostgresServer,
    expected: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, output = fill_postgres(postgres_server, "in4", rows_with_rejects(500)), f"{postgres_server.uri}#out4"
    process = stopped_run(small.downloaded, source, output)
    count = "SELECT count(*) FROM perennial_ledger WHERE output = 'out4' AND shard <> ''"
    exists = (
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename IN ('out4__run', 'perennial_ledger')"
    )
    wait_for(lambda: int(postgres_server.psql(count)) if postgres_server.psql(exists) == "2" else 0, process)
    with monkeypatch.context() as patch:
        patch.setattr(tables, "PATIENCE", 0.2)
        with pytest.raises(OutsideError, match=r"#out4: run [0-9a-f]{32} writes to it now; wait for it, or stop it"):
            score_rows(predictor, [source], output, shard_rows=20)
    process.kill()
    process.wait()
    run_id = postgres_server.psql("SELECT run_id FROM perennial_ledger WHERE output = 'out4' AND shard = ''")
    done = int(postgres_server.psql(count))
    assert 3 <= done <= 6
    assert postgres_server.psql("SELECT count(*) FROM pg_tables WHERE tablename = 'out4'") == "0"
    postgres_server.psql("INSERT INTO in4 SELECT id + 1000, load, heat, shop, night, made, changed FROM in4")
    scores = score_rows(predictor, [source], output, shard_rows=20)
    assert (scores.run_id, scores.rows, scores.scored) == (run_id, 500, 498)
    found = pd.DataFrame(of_postgres(postgres_server, "out4", "id, label, row, run_id"))
    for position, column in enumerate(("id", "label", "row")):
        assert found[position].tolist() == expected[column].astype(str).tolist()
    assert set(found[3]) == {run_id}
    assert verify_table(output) == []


def test_a_killed_run_into_sqlite_goes_on(
    predictor: Predictor, small: Small, tmp_path: Path, expected: pd.DataFrame
) -> None:
    source, path = fill_sqlite(tmp_path / "in.db", "in", rows_with_rejects(500)), tmp_path / "out.db"
    output = f"sqlite:///{path}#out"
    process = stopped_run(small.downloaded, source, output)

    def shards() -> int:
        try:
            return len(of_sqlite(path, "SELECT * FROM perennial_ledger")) if path.exists() else 0
        except pd.errors.DatabaseError:
            return 0

    wait_for(shards, process)
    with pytest.raises(OutsideError, match=r"out.db#out: process \d+ on \S+ writes to it now"):
        score_rows(predictor, [source], output, shard_rows=20)
    process.kill()
    process.wait()
    journal = "PRAGMA journal_mode"
    assert of_sqlite(path, journal).iloc[0, 0] == "wal"
    score_rows(predictor, [source], output, shard_rows=20)
    assert of_sqlite(path, journal).iloc[0, 0] == "delete"
    assert set(of_sqlite(path, "SELECT output FROM perennial_ledger")["output"]) == {"out"}
    found = of_sqlite(path, "SELECT * FROM out ORDER BY row")
    assert found["id"].tolist() == expected["id"].tolist()
    assert found["probability"].to_numpy() == pytest.approx(expected["probability"].to_numpy())
    assert verify_table(output) == []


def test_a_database_that_keeps_a_log_goes_on_keeping_it(predictor: Predictor, tmp_path: Path) -> None:
    source, path = fill_sqlite(tmp_path / "in.db", "in", rows_with_rejects(50)), tmp_path / "out.db"
    of_sqlite(path, "PRAGMA journal_mode = wal")
    score_rows(predictor, [source], f"sqlite:///{path}#out")
    assert of_sqlite(path, "PRAGMA journal_mode").iloc[0, 0] == "wal"


def test_changed_rows_end_an_unfinished_run(
    predictor: Predictor, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = fill_postgres(postgres_server, "in5", rows_with_rejects(200)), f"{postgres_server.uri}#out5"
    asked = {"shard_rows": 50, "version_column": "changed"}

    def stops_at(rows: int) -> None:
        if rows > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_rows(predictor, [source], output, False, stops_at, **asked)
    postgres_server.psql("UPDATE in5 SET changed = 1000 WHERE id = 180")
    with pytest.raises(InputError, match=r"#in5: changed since the run began \(the changed from id 149 to 199"):
        score_rows(predictor, [source], output, **asked)
    with pytest.raises(InputError, match=r"an unfinished run, [0-9a-f]+, was given key = 'id'"):
        score_rows(predictor, [source], output, **asked | {"key": "changed"})
    scores = score_rows(predictor, [source], output, overwrite=True, **asked | {"key": "changed"})
    assert scores.rows == 200
    assert postgres_server.psql("SELECT count(*), count(DISTINCT run_id) FROM out5") == "198|1"


def test_a_server_that_comes_back_is_gone_on_with(predictor: Predictor, postgres_server: PostgresServer) -> None:
    source, output = fill_postgres(postgres_server, "in6", rows_with_rejects(200)), f"{postgres_server.uri}#out6"
    wanted, request = wanted_output(output), Request.of("small/1", [source], Options(key="id", shard_rows=50), None)
    with claimed(wanted, False) as sink:
        sources = look_at([source], wanted, asked=request.options.asked)

        told: list[int] = []

        def restarts(rows: int) -> None:
            if rows > 100 and max(told) <= 100:
                postgres_server.stop()
                postgres_server.start()
            told.append(rows)

        scores = score_into(sink, predictor, sources, STAMP, request, restarts)
    assert (scores.rows, scores.scored) == (200, 198)
    assert len(told) > 4, "the shard in flight was done again"
    assert postgres_server.psql("SELECT count(*), count(DISTINCT row) FROM out6") == "198|198"
    assert verify_table(output) == []


def test_a_commit_whose_answer_was_lost_is_not_repeated(predictor: Predictor, postgres_server: PostgresServer) -> None:
    source, output = fill_postgres(postgres_server, "in7", rows_with_rejects(100)), f"{postgres_server.uri}#out7"
    lost: list[str] = []
    commit = TablePart.commit

    def loses_the_answer(part: TablePart, entry: Entry) -> Entry:
        done = commit(part, entry)
        if not lost:
            lost.append(entry.shard)
            raise UnreachableError("the answer was lost")
        return done

    wanted, request = wanted_output(output), Request.of("small/1", [source], Options(key="id", shard_rows=50), None)
    with claimed(wanted, False) as sink, pytest.MonkeyPatch.context() as patch:
        patch.setattr(TablePart, "commit", loses_the_answer)
        sources = look_at([source], wanted, asked=request.options.asked)
        done = score_into(sink, predictor, sources, STAMP, request)
    assert lost and (done.rows, done.scored, done.rejected) == (100, 98, 2)
    assert postgres_server.psql("SELECT count(*), count(DISTINCT row) FROM out7") == "98|98"
    assert verify_table(output) == []


def test_names_of_outputs_are_quoted(predictor: Predictor, postgres_server: PostgresServer, tmp_path: Path) -> None:
    frame = rows_with_rejects(50).rename(columns={"changed": 'Ä "b"; DROP TABLE in8; --'})
    source = fill_sqlite(tmp_path / "in.db", "in", frame)
    for output in (f'{postgres_server.uri}#Out 8"; DROP TABLE x; --', f"sqlite:///{tmp_path / 'out.db'}#Out 8\"; '"):
        score_rows(predictor, [source], output)
        assert verify_table(output) == []
    columns = postgres_server.psql(
        "SELECT column_name FROM information_schema.columns WHERE table_name LIKE 'Out 8_; DROP TABLE x; --'"
    )
    assert 'Ä "b"; DROP TABLE in8; --' in columns.splitlines()


def test_columns_that_a_table_cannot_hold_are_named_before_anything_is_written(
    predictor: Predictor, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    rows = pa.Table.from_pandas(rows_with_rejects(20).astype({"load": str}), preserve_index=False)
    rows = rows.append_column("deep", pa.array([{"a": 1}] * 20)).append_column("ü" * 32, pa.nulls(20, pa.string()))
    pq.write_table(rows.append_column("ID", pa.nulls(20, pa.string())), tmp_path / "in.parquet")
    with pytest.raises(InputError) as error:
        score_rows(predictor, [str(tmp_path / "in.parquet")], f"{postgres_server.uri}#out9", key=None)
    assert [line.partition("#out9: ")[2].split(";")[0] for line in error.value.problems] == [
        "column 'deep' holds struct<a: int64>, which a table can't",
        f"the name of column {'ü' * 32!r} is longer than 63 bytes",
    ]
    with pytest.raises(InputError, match=r"the columns 'id' and 'ID' are one for SQLite"):
        score_rows(predictor, [str(tmp_path / "in.parquet")], f"sqlite:///{tmp_path / 'o.db'}#out9", key=None)
    assert postgres_server.psql("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'out9%'") == "0"


def test_missing_and_doubled_rows_are_found(predictor: Predictor, postgres_server: PostgresServer) -> None:
    source, output = fill_postgres(postgres_server, "in10", rows_with_rejects(100)), f"{postgres_server.uri}#out10"
    score_rows(predictor, [source], output, shard_rows=50)
    postgres_server.psql("DELETE FROM out10 WHERE row = 60")
    (line,) = verify_table(output)
    assert line.endswith("#in10: 49 are scored, and 50 were")
    assert "rows 51 to 100 of postgresql://" in line
    postgres_server.psql("INSERT INTO out10 SELECT * FROM out10 WHERE row = 61")
    (line,) = verify_table(output)
    assert line.endswith("some are there twice and others not at all")
    postgres_server.psql("UPDATE out10 SET row = 1000 WHERE row = 70")
    assert verify_table(output)[-1].endswith("1 rows are of no shard")
    postgres_server.psql("DROP TABLE out10_rejects")
    assert verify_table(output)[-1].endswith("#out10_rejects: the table is gone")


def test_an_input_is_not_replaced(predictor: Predictor, postgres_server: PostgresServer) -> None:
    source = fill_postgres(postgres_server, "in11", rows_with_rejects(20))
    with pytest.raises(InputError, match=r"#in11: is an input and would be replaced; choose another table"):
        score_rows(predictor, [source], source, overwrite=True)
    with pytest.raises(InputError, match=r"--query, --key and --version-column are for inputs from databases"):
        score_rows(predictor, ["nothing.csv"], f"{postgres_server.uri}#out11")

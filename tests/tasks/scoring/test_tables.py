"""Runs out of and into databases."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.errors import InputError
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import score_files
from tasks.scoring.verifytable import verify_table
from tests.servers import PostgresServer
from tests.tasks.scoring.in_databases import (
    fill_postgres,
    fill_sqlite,
    of_postgres,
    of_sqlite,
    rows_with_rejects,
    score_rows,
)
from tests.tasks.scoring.scored_files import STAMP


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

"""Runs out of and into databases."""

from pathlib import Path

import pandas as pd
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


def test_a_query_into_parquet_and_sqlite(
    predictor: Predictor, postgres_server: PostgresServer, tmp_path: Path, expected: pd.DataFrame
) -> None:
    fill_postgres(postgres_server, "in3", rows_with_rejects(500))
    asked = {"query": "SELECT * FROM in3 WHERE id < 300; ", "key": "id"}
    score_rows(predictor, [postgres_server.uri], tmp_path / "out.parquet", **asked)
    found = pd.read_parquet(tmp_path / "out.parquet")
    assert found["id"].tolist() == expected["id"][expected["id"] < 300].tolist()
    assert found["source"].iloc[0].startswith(f"postgresql://127.0.0.1:{postgres_server.port}/postgres#query-")
    score_rows(predictor, [postgres_server.uri], f"sqlite://{tmp_path / 'out.db'}#scored", **asked)
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

"""The command line on databases: what it tells, and what it never stores."""

from pathlib import Path

import pytest

from tests.conftest import Small
from tests.servers import PostgresServer
from tests.small import cli, plain
from tests.tasks.scoring.in_databases import fill_postgres, rows_with_rejects

CANARY = "canary4711"


def holding(folder: Path, word: str) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


def test_a_table_is_scored_and_the_password_is_stored_nowhere(
    small: Small, postgres_server: PostgresServer, home: Path
) -> None:
    source = fill_postgres(postgres_server, "customers", rows_with_rejects(100))
    told = {uri: uri.replace("postgres@", f"postgres:{CANARY}@") for uri in (source, f"{postgres_server.uri}#scored")}
    done = cli(
        "score", "small", "--input", told[source], "--output", told[f"{postgres_server.uri}#scored"], "--key", "id",
        "--version-column", "changed", "--json",
    )  # fmt: skip
    assert done.code == 0, done.both
    shown = f"postgresql://127.0.0.1:{postgres_server.port}/postgres#scored"
    assert (done.json["rows"], done.json["predictions"], done.json["rejects"]) == (100, shown, f"{shown}_rejects")
    assert CANARY not in done.both
    assert CANARY not in postgres_server.psql("SELECT * FROM perennial_ledger; SELECT * FROM scored")
    assert holding(home, CANARY) == []
    assert holding(home, "#customers"), "the search would find nothing at all"
    assert CANARY not in parameters_of_flows()


def parameters_of_flows() -> str:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        found = " ".join(str(run.parameters) for run in client.read_flow_runs(limit=200))
    assert "#customers" in found
    return found


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--input", "{uri}#customers"], "with --key name a column that orders them"),
        (["--input", "{uri}#nothing_like_it", "--key", "id"], "no such table"),
        (["--input", "{uri}", "--query", "SELECT 1 AS id", "--key", "ID"], "no column 'ID' for --key"),
        (["--input", "{uri}#customers", "--query", "SELECT 1", "--key", "id"], "and not both"),
    ],
)
def test_mistakes_are_one_plain_line(
    small: Small, postgres_server: PostgresServer, words: list[str], says: str, tmp_path: Path
) -> None:
    fill_postgres(postgres_server, "customers", rows_with_rejects(20))
    words = [word.replace("{uri}", postgres_server.uri) for word in words]
    plain(cli("score", "small", *words, "--output", tmp_path / "out"), 2, says)


def test_a_server_that_is_not_there_is_one_plain_line(small: Small, tmp_path: Path) -> None:
    uri = f"postgresql://me:{CANARY}@127.0.0.1:1/db#t"
    done = cli("score", "small", "--input", uri, "--output", tmp_path / "out", "--key", "id")
    plain(done, 3, "postgresql://127.0.0.1:1/db", "can't be reached")
    assert CANARY not in done.both

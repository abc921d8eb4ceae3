"""Runs into tables that are killed, cut off or overtaken by changes, and go on or end."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from models.errors import InputError, OutsideError, UnreachableError
from tasks.scoring import tables
from tasks.scoring.inputs import look_at
from tasks.scoring.ledger import Entry
from tasks.scoring.outputs import claimed, wanted_output
from tasks.scoring.predictor import Predictor
from tasks.scoring.request import Options, Request
from tasks.scoring.score import score_into
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

"""A run that is handed out in spans, to workers that are none: what is done when, again, and not at all."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from models.errors import InputError, OutsideError, UnreachableError
from tasks.actions.outboxes import Outboxes
from tasks.data.fingerprint import ChangedError
from tasks.scoring import reading, spread
from tasks.scoring.claim import claimed
from tasks.scoring.destination import PREDICTIONS, destination
from tasks.scoring.inputs import look_at
from tasks.scoring.joined import joined
from tasks.scoring.ledger import Ledger, entry_of
from tasks.scoring.outputs import wanted_output
from tasks.scoring.predictor import Predictor
from tasks.scoring.request import Options, Request, what_is_left
from tasks.scoring.score import Scores, score_into
from tasks.scoring.shards import Shard, Span
from tasks.scoring.store import LocalStore
from tasks.scoring.verify import finished_here, verify
from tasks.scoring.verifytable import verify_table
from tests.servers import PostgresServer
from tests.tasks.scoring.crews import Here
from tests.tasks.scoring.in_databases import fill_postgres, fill_sqlite, rows_with_rejects, score_rows
from tests.tasks.scoring.scored_files import STAMP, new_rows


@pytest.fixture
def given(tmp_path: Path) -> list[str]:
    """Four shards of a Parquet file, of a CSV file, and a file that is none."""
    rows_with_rejects(200).to_csv(tmp_path / "b.csv", index=False)
    pd.read_csv(tmp_path / "b.csv", dtype=str).to_parquet(tmp_path / "a.parquet", row_group_size=50)
    (tmp_path / "c.parquet").write_bytes(b"PAR1 nothing")
    return [str(tmp_path / name) for name in ("a.parquet", "b.csv", "c.parquet")]


def score(predictor: Predictor, inputs: list[str], output: Path, crew: Here | None, **options: object) -> Scores:
    request = Request.of("small/1", inputs, Options(shard_rows=50, **options), None)  # type: ignore[arg-type]
    wanted = destination(output)
    with claimed(wanted, False) as sink:
        sources = look_at(inputs, wanted)
        what_is_left(sink, request, sources, False)
        return score_into(sink, predictor, sources, STAMP, request, crew=crew)


def rows_of(folder: Path | str) -> pd.DataFrame:
    return pd.read_parquet(folder).sort_values(["source", "row"], ignore_index=True)


def test_spans_give_the_same_output_in_whichever_order(predictor: Predictor, given: list[str], tmp_path: Path) -> None:
    alone, crew = score(predictor, given, tmp_path / "alone", None), Here()
    done = score(predictor, given, tmp_path / "out", crew)
    assert sorted(map(str, crew.begun)) == [
        "000000-000000", "000000-000001", "000000-000002", "000000-000003", "source 000001", "source 000002",
    ]  # fmt: skip
    for what in ("predictions", "rejects"):
        pd.testing.assert_frame_equal(rows_of(tmp_path / "out" / what), rows_of(tmp_path / "alone" / what))
    told = [replace(each, seconds=0, phases={}, predictions="", rejects="") for each in (done, alone)]
    assert told[0] == told[1]
    assert (done.rows, done.scored, done.rejected) == (401, 396, 5)
    assert verify(finished_here(destination(tmp_path / "out"))) == []


def test_a_run_that_stopped_in_any_order_goes_on_in_one_process(
    predictor: Predictor, given: list[str], tmp_path: Path
) -> None:
    def stop(span: Span) -> None:
        if span == Span(0, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(predictor, given[:1], tmp_path / "out", Here(4, stop))
    ledger = Ledger(LocalStore(tmp_path / ".out.partial" / "ledger"))
    assert [(shard, entry.end) for shard, entry in ledger.done().items()] == [
        ("000000-000002", False), ("000000-000003", True),
    ]  # fmt: skip
    done = score(predictor, given[:1], tmp_path / "out", None)
    assert (done.rows, done.scored) == (200, 198)
    assert rows_of(done.predictions)["row"].is_unique


def test_a_span_that_failed_goes_on_where_it_was(
    predictor: Predictor, given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spread.time, "sleep", lambda _: None)
    failing = iter([True, False, True, False])

    def fail(_: Span) -> None:
        if next(failing, False):
            raise UnreachableError("away")

    crew = Here(2, fail)
    done = score(predictor, given, tmp_path / "out", crew)
    assert (done.rows, len(crew.begun)) == (401, 8)


def test_a_run_that_gets_nowhere_ends(
    predictor: Predictor, given: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(spread.time, "sleep", waited.append)

    def fail(span: Span) -> None:
        if span == Span(0, 2):
            raise UnreachableError("its worker has died")

    with pytest.raises(UnreachableError, match="its worker has died"):
        score(predictor, given, tmp_path / "out", Here(2, fail))
    assert sum(waited) >= 60
    assert score(predictor, given, tmp_path / "out", None).rows == 401


def test_too_many_rejects_stop_the_run(predictor: Predictor, tmp_path: Path) -> None:
    new_rows(9000).assign(load=1000).to_parquet(tmp_path / "bad.parquet", row_group_size=50)
    crew = Here()
    with pytest.raises(InputError, match=r"1,000 of 1,000 rows were rejected, more than the limit of 10\.0%"):
        score(predictor, [str(tmp_path / "bad.parquet")], tmp_path / "out", crew, max_rejects=0.1)
    assert len(crew.begun) == 20 + 2, "twenty shards tell enough, and two were under way"


def test_a_worker_that_does_not_see_the_run_says_so(predictor: Predictor, given: list[str], tmp_path: Path) -> None:
    crew = Here(1, lambda _: replaced(tmp_path))
    with pytest.raises(OutsideError, match=r"out: a worker on \S+ finds no run run-1 there; all machines of the Ray"):
        score(predictor, given, tmp_path / "out", crew)


def replaced(folder: Path) -> None:
    """Another run has taken the output."""
    path = folder / ".out.partial" / "ledger" / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "run_id": "another"}))


def stopped(predictor: Predictor, source: str, output: str) -> None:
    """A run of which one shard is done."""
    seen: list[Span] = []

    def stop(span: Span) -> None:
        seen.append(span)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_rows(predictor, [source], output, crew=Here(1, stop), shard_rows=50)


def test_nothing_is_taken_of_a_run_that_is_over(predictor: Predictor, tmp_path: Path) -> None:
    source, wanted = fill_sqlite(tmp_path / "in.db", "t", rows_with_rejects(200)), destination(tmp_path / "out")
    stopped(predictor, source, str(tmp_path / "out"))
    ledger = Ledger(LocalStore(tmp_path / ".out.partial" / "ledger"))
    pinned, (entry,) = ledger.pinned(), ledger.done().values()
    assert pinned
    made = tmp_path / ".out.partial" / "out" / entry.files[PREDICTIONS].name
    rows, before = pq.read_table(made), made.read_bytes()
    with joined(wanted, pinned.run_id, {PREDICTIONS: rows.schema}) as output:
        part = output.part(Shard.of(entry.shard))
        part.write(PREDICTIONS, rows[:1])
        replaced(tmp_path)
        with pytest.raises(OutsideError, match="no other run may have replaced it"):
            part.commit(entry)
    assert made.read_bytes() == before and ledger.done() == {entry.shard: entry}


def test_no_rows_of_a_run_that_is_over_get_into_a_table(predictor: Predictor, postgres_server: PostgresServer) -> None:
    source = fill_postgres(postgres_server, "in20", rows_with_rejects(200))
    output = f"{postgres_server.uri}#out20"
    stopped(predictor, source, output)
    run_id = postgres_server.psql("SELECT run_id FROM perennial_ledger WHERE output = 'out20' AND shard = ''")
    entry = postgres_server.psql("SELECT entry FROM perennial_ledger WHERE output = 'out20' AND shard <> ''")
    wanted = wanted_output(output)
    with joined(wanted, run_id, {}) as late:
        postgres_server.psql("UPDATE perennial_ledger SET run_id = 'another' WHERE output = 'out20'")
        part = late.part(Shard(0, 1))
        with pytest.raises(OutsideError, match=rf"run {run_id} has no part in out20 any more"):
            part.commit(replace(entry_of(json.loads(entry)), shard="000000-000001"))
        part.discard()
    with pytest.raises(OutsideError, match="has no part in out20 any more"), joined(wanted, run_id, {}):
        pass
    assert postgres_server.psql("SELECT count(*) FROM perennial_ledger WHERE output = 'out20'") == "2"


@pytest.mark.parametrize("kind", ["postgresql", "sqlite"])
def test_tables_take_spans(predictor: Predictor, postgres_server: PostgresServer, tmp_path: Path, kind: str) -> None:
    rows = rows_with_rejects(200)
    if kind == "sqlite":
        source = fill_sqlite(tmp_path / "a.db", "in21", rows)
    else:
        source = fill_postgres(postgres_server, "in21", rows)
    output, crew = source.replace("#in21", "#out21"), Here(4)
    done = score_rows(predictor, [source], output, crew=crew, shard_rows=50)
    assert (done.rows, done.scored, done.rejected) == (200, 198, 2)
    assert crew.begun == [Span(0, number) for number in range(4)]
    assert crew.most == (1 if kind == "sqlite" else 4)
    assert verify_table(output) == []


def test_a_database_that_was_away_is_gone_on_with(predictor: Predictor, postgres_server: PostgresServer) -> None:
    source, restarted = fill_postgres(postgres_server, "in22", rows_with_rejects(200)), []

    def restart(span: Span) -> None:
        if span == Span(0, 1) and not restarted:
            restarted.append(span)
            postgres_server.stop()
            raise UnreachableError("the server is away")
        if restarted == [Span(0, 1)]:
            restarted.append(span)
            postgres_server.start()

    done = score_rows(predictor, [source], f"{postgres_server.uri}#out22", crew=Here(2, restart), shard_rows=50)
    assert (done.rows, done.scored, len(restarted)) == (200, 198, 2)
    assert verify_table(f"{postgres_server.uri}#out22") == []


def test_an_error_arrives_with_all_of_its_lines() -> None:
    arrived = pickle.loads(pickle.dumps(ChangedError("one", "another")))
    assert (type(arrived), list(arrived.problems), str(arrived)) == (ChangedError, ["one", "another"], "one\nanother")


def test_workers_that_do_not_see_the_outboxes_say_so(tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match=r"a worker on .* does not see it; .* PERENNIAL_HOME is on, since this"):
        Outboxes(tmp_path / "nothing").require()


def test_of_very_many_sources_several_are_one_span(
    predictor: Predictor, tmp_path: Path, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MOST_SOURCES", 3)
    for number in range(8):
        new_rows(60, seed=number).to_csv(tmp_path / f"{number}.csv", index=False)
    inputs = [str(tmp_path / f"{number}.csv") for number in range(8)]
    failing = iter([False, True])
    crew = Here(1, lambda _: stop_if(next(failing, False)))
    with pytest.raises(KeyboardInterrupt):
        score(predictor, inputs, tmp_path / "out", crew)
    assert list(map(str, crew.begun)) == ["source 000000 to 000002", "source 000003 to 000005"]
    output = f"{postgres_server.uri}#out23"
    for where in (tmp_path / "out", output):
        again = Here(2)
        done = score_rows(predictor, inputs, where, crew=again, key=None, shard_rows=50)
        assert (done.rows, done.scored) == (480, 480)
    assert list(map(str, again.begun)) == [
        "source 000000 to 000002",
        "source 000003 to 000005",
        "source 000006 to 000007",
    ]
    assert (
        rows_of(tmp_path / "out" / "predictions").groupby("source")["row"].agg(list).tolist() == [[*range(1, 61)]] * 8
    )
    assert verify_table(output) == []


def stop_if(now: bool) -> None:
    if now:
        raise KeyboardInterrupt


def test_a_worker_reads_no_rows_of_others(predictor: Predictor, tmp_path: Path) -> None:
    """The damage of the second part of a Parquet file is told by who does the second part."""
    new_rows(132_000).to_parquet(tmp_path / "in.parquet", row_group_size=66_000)
    content = bytearray((tmp_path / "in.parquet").read_bytes())
    start = pq.read_metadata(tmp_path / "in.parquet").row_group(1).column(0).data_page_offset
    content[start : start + 4000] = bytes(4000)
    (tmp_path / "in.parquet").write_bytes(content)
    crew = Here(1)
    done = score_rows(
        predictor, [str(tmp_path / "in.parquet")], tmp_path / "out", crew=crew, key=None, shard_rows=66_000
    )
    assert (done.rows, done.scored, done.rejected) == (132_000, 66_000, 66_000)
    assert [sorted(each) for each in crew.did] == [["000000-000000"], ["000000-000001"]]

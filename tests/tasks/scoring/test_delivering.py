"""Runs that end while they deliver: the same command goes on, and nothing is acted upon twice or forgotten."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from models.actions import Action
from models.contract import GRAPH_FILE
from models.errors import InputError, OutsideError
from tasks.actions.deliver import Delivered
from tasks.actions.outboxes import Outboxes
from tasks.actions.tabletarget import open_table
from tasks.scoring.inputs import look_at
from tasks.scoring.outputs import claimed, require_claimable, wanted_output
from tasks.scoring.predictor import Predictor
from tasks.scoring.request import Options, Request, what_is_left
from tasks.scoring.score import Scores, score_into
from tasks.scoring.verifytable import verify_table
from tests.conftest import Small
from tests.tasks.scoring.in_databases import of_sqlite
from tests.tasks.scoring.scored_files import STAMP, new_rows

Told = tuple[Scores, list[Delivered]]
Score = Callable[..., Told]


class StoppedError(Exception):
    """Stands for a process that is killed."""


@pytest.fixture
def acting(small: Small, predictor: Predictor, tmp_path: Path) -> Predictor:
    """The small model, all of whose rows are acted upon."""
    actions = (Action(name="all", when="probability >= 0", to=str(tmp_path / "acted")),)
    graph = (small.downloaded / GRAPH_FILE).read_bytes()
    return Predictor(graph, predictor.contract.model_copy(update={"actions": actions}))


@pytest.fixture
def score(acting: Predictor, tmp_path: Path) -> Score:
    """Scores and delivers as the flow does; `stops` before it delivers."""
    new_rows(100).to_parquet(tmp_path / "in.parquet")

    def run(
        output: Path | str,
        stops: bool = False,
        overwrite: bool = False,
        home: str = "boxes",
        on_rows: Callable[[int], None] = lambda _: None,
        **options: Any,
    ) -> Told:
        request = Request.of("small/1", [str(tmp_path / "in.parquet")], Options(**{"shard_rows": 40, **options}), None)
        wanted = wanted_output(output)
        require_claimable(wanted, overwrite)
        sources = look_at(request.inputs, wanted)
        boxes = lambda run_id: Outboxes(tmp_path / home / run_id)  # noqa: E731
        with claimed(wanted, overwrite) as sink:
            what_is_left(sink, request, sources, overwrite, boxes)
            done = score_into(sink, acting, sources, STAMP, request, on_rows, outboxes=boxes)
            if stops:
                raise StoppedError
            found = boxes(done.run_id).deliver(done.run_id, open_table)
        boxes(done.run_id).sweep(found)
        return done, found

    return run


def acted(tmp_path: Path) -> list[int]:
    return sorted(pd.read_parquet(tmp_path / "acted")["row"])


def test_a_run_into_a_table_goes_on_with_its_deliveries(score: Score, tmp_path: Path) -> None:
    output = f"sqlite:///{tmp_path / 'out.db'}#out"
    with pytest.raises(StoppedError):
        score(output, stops=True)
    assert len(of_sqlite(tmp_path / "out.db", "SELECT * FROM out")) == 100
    assert verify_table(output) == []
    done, found = score(output)
    assert (done.run_id, done.rows, found) == (STAMP.run_id, 100, [Delivered("all", 100, 100, 0)])
    assert acted(tmp_path) == list(range(1, 101))
    assert verify_table(output) == []
    assert "published" not in set(of_sqlite(tmp_path / "out.db", "SELECT shard FROM perennial_ledger")["shard"])


def test_a_table_whose_run_has_come_to_its_end_is_not_replaced(score: Score, tmp_path: Path) -> None:
    output = f"sqlite:///{tmp_path / 'out.db'}#out"
    score(output)
    with pytest.raises(InputError, match="'out' exists already; choose another table or pass --overwrite"):
        score(output)


@pytest.mark.parametrize("output", ["out.parquet", "out", "sqlite"])
def test_an_input_that_changes_before_the_deliveries_does_not_matter(score: Score, tmp_path: Path, output: str) -> None:
    wanted = f"sqlite:///{tmp_path / 'out.db'}#out" if output == "sqlite" else tmp_path / output
    with pytest.raises(StoppedError):
        score(wanted, stops=True)
    new_rows(30, seed=8).drop(columns="load").to_parquet(tmp_path / "in.parquet")
    done, found = score(wanted)
    assert (done.run_id, done.rows, found) == (STAMP.run_id, 100, [Delivered("all", 100, 100, 0)])
    assert acted(tmp_path) == list(range(1, 101))


def test_a_run_whose_deliveries_are_open_is_not_begun_anew(score: Score, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        score(tmp_path / "out", stops=True)
    advice = "without --overwrite, or send them by --redeliver"
    with pytest.raises(InputError, match="an unfinished run, run-1, was given shard rows = 40"):
        score(tmp_path / "out", shard_rows=50)
    with pytest.raises(InputError, match=f"100 rows of action 'all' of run run-1 are not delivered yet.*{advice}"):
        score(tmp_path / "out", overwrite=True, shard_rows=50)
    new_rows(30, seed=8).to_parquet(tmp_path / "in.parquet")
    with pytest.raises(InputError, match=f"100 rows of action 'all' .*{advice}"):
        score(tmp_path / "out", overwrite=True)
    assert score(tmp_path / "out")[0].rows == 100
    assert score(tmp_path / "out", overwrite=True)[0].rows == 30


def stop_after_a_shard(done: int) -> None:
    if done > 40:
        raise StoppedError


def test_a_run_that_no_longer_sees_its_outboxes_does_not_go_on(score: Score, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        score(tmp_path / "out", on_rows=stop_after_a_shard)
    for stops in (False, True):
        with pytest.raises(OutsideError, match=r"other/run-1: is not there, and with it .* acted upon; give the"):
            score(tmp_path / "out", home="other")
        assert not (tmp_path / "other").exists()
        if not stops:
            with pytest.raises(StoppedError):
                score(tmp_path / "out", stops=True)
    with pytest.raises(OutsideError, match="other/run-1: is not there"):
        score(tmp_path / "out", home="other", overwrite=True, shard_rows=50)
    assert score(tmp_path / "out")[1] == [Delivered("all", 100, 100, 0)]


def test_an_outbox_that_is_gone_is_noticed_before_anything_is_delivered(score: Score, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        score(tmp_path / "out", stops=True)
    (tmp_path / "boxes" / "run-1" / "all" / "000000-000001.parquet").unlink()
    with pytest.raises(OutsideError, match=r"run-1/all: holds 60 rows, but 100 were put there"):
        score(tmp_path / "out")
    assert not (tmp_path / "acted").exists()


def test_entries_of_earlier_releases_are_gone_on_with(score: Score, tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        score(tmp_path / "out", on_rows=stop_after_a_shard)
    for path in (tmp_path / ".out.partial" / "ledger" / "shards").iterdir():
        entry = json.loads(path.read_text())
        assert entry.pop("taken") == {"all": entry["rows"]}
        path.write_text(json.dumps(entry))
    assert score(tmp_path / "out")[1] == [Delivered("all", 100, 100, 0)]

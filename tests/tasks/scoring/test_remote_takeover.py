"""A run that was taken for dead while it stood still writes nothing more when it wakes up."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs

from models.errors import OutsideError
from tasks.scoring import score
from tasks.scoring.batch import Stamp
from tasks.scoring.ledger import Ledger
from tasks.scoring.outputs import claimed, manifest_of, problems_of, wanted_output
from tasks.scoring.predictor import Predictor
from tasks.scoring.remotelock import RemoteLock
from tasks.scoring.score import Scores, score_files
from tasks.scoring.store import LocalStore
from tests.tasks.scoring.in_stores import names, read
from tests.tasks.scoring.scored_files import STAMP, Run, new_rows

NEWER = Stamp("small", "1", "run-2")


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, str]:
    """What the run that stands still reads, and something else."""
    new_rows(200).to_parquet(tmp_path / "in.parquet")
    new_rows(150, seed=9).to_parquet(tmp_path / "other.parquet")
    return {name: str(tmp_path / f"{name}.parquet") for name in ("in", "other")}


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first lock shows no sign of life by itself."""
    real, first = RemoteLock.beat, iter([True])
    monkeypatch.setattr(RemoteLock, "beat", lambda lock: None if next(first, False) else real(lock))


def stands_still(at: int, meanwhile: Callable[[], object]) -> Callable[[int], None]:
    """Does something once, when so many rows are done."""
    calls = iter([True])

    def on_rows(done: int) -> None:
        if done >= at and next(calls, False):
            meanwhile()

    return on_rows


@pytest.mark.parametrize("at", [60, 120, 200])
@pytest.mark.parametrize("what", ["in", "other"])
def test_a_run_that_wakes_up_spoils_nothing_of_the_one_that_took_over(
    predictor: Predictor, place: str, inputs: dict[str, str], quick: None, silent: None, what: str, at: int
) -> None:
    def take_over() -> None:
        time.sleep(1)
        score_files(predictor, [inputs[what]], place, NEWER, overwrite=True, shard_rows=60)

    with pytest.raises(OutsideError, match=r"^s3://tests/.*/out: .* took it over while this run showed no sign"):
        score_files(predictor, [inputs["in"]], place, STAMP, shard_rows=60, on_rows=stands_still(at, take_over))
    assert problems_of(place) == []
    assert names(place) == {"predictions", "rejects", "manifest.json"}
    frame = read(place, "predictions")
    assert len(frame) == manifest_of(place)["rows"] == (200 if what == "in" else 150)
    assert set(frame["run_id"]) == {manifest_of(place)["run_id"]} and frame["row"].is_unique


def test_a_run_that_wakes_up_leaves_the_other_one_its_lock_and_ledger(
    predictor: Predictor, place: str, inputs: dict[str, str], quick: None, silent: None
) -> None:
    filesystem, root = fs.FileSystem.from_uri(place)

    def lock() -> dict[str, Any]:
        with filesystem.open_input_stream(f"{root}/_ledger/lock") as stream:
            return dict(json.loads(stream.read()))

    def take_over() -> None:
        time.sleep(1)
        with filesystem.open_output_stream(f"{root}/_ledger/lock") as stream:
            stream.write(json.dumps({**lock(), "holder": "run run-2", "token": "theirs"}).encode())

    with pytest.raises(OutsideError, match="run run-2 took it over"):
        score_files(predictor, [inputs["in"]], place, STAMP, shard_rows=300, on_rows=stands_still(1, take_over))
    assert lock()["token"] == "theirs"
    assert "run.json" in names(place.replace("/out?", "/out/_ledger?"))
    assert "predictions" not in names(place)


def test_signs_of_life_that_do_not_arrive_for_a_while_end_no_run(
    predictor: Predictor, place: str, inputs: dict[str, str], quick: None, silent: None
) -> None:
    done = score_files(
        predictor, [inputs["in"]], place, STAMP, shard_rows=60, on_rows=stands_still(60, lambda: time.sleep(1))
    )
    assert done.rows == 200 and problems_of(place) == []


def test_a_run_that_beats_sees_that_it_was_replaced(place: str, quick: None) -> None:
    filesystem, root = fs.FileSystem.from_uri(place)
    with pytest.raises(OutsideError, match="run run-2 took it over"), claimed(wanted_output(place), False) as sink:
        with filesystem.open_output_stream(f"{root}/_ledger/lock") as stream:
            stream.write(json.dumps({"holder": "run run-2", "token": "theirs"}).encode())
        time.sleep(0.5)
        sink.reset()


def test_shards_that_are_none_of_the_run_s_are_not_published(
    run: Run, rows_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = score._summed_up

    def summed_up(*given: Any) -> Scores:
        ledger = Ledger(LocalStore(tmp_path / ".out.partial" / "ledger"))
        entry = next(iter(ledger.done().values()))
        ledger.enter(replace(entry, shard="000000-000007"))
        return real(*given)

    monkeypatch.setattr(score, "_summed_up", summed_up)
    with pytest.raises(OutsideError, match="out: another run has written to its ledger"):
        run(rows_csv)
    assert not (tmp_path / "out").exists()

"""Outputs and inputs in an object store: valid when the manifest is there, kept to one run, patient."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyarrow import fs

from models.errors import InputError, OutsideError, PerennialError, UnreachableError
from tasks.data.sources import read_batches, resolve
from tasks.scoring import score, sinks
from tasks.scoring.ledger import RUN_FILE, SHARDS, Ledger
from tasks.scoring.outputs import claimed, manifest_of, problems_of, require_claimable, wanted_output
from tasks.scoring.predictor import Predictor
from tasks.scoring.remote import RemotePlace
from tasks.scoring.score import Scores, score_files
from tests.servers import Address
from tests.tasks.scoring.in_stores import names, read
from tests.tasks.scoring.scored_files import STAMP, new_rows


class StoppedError(Exception):
    """Stands for a kill."""


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "in.parquet"
    new_rows(200).assign(load=lambda frame: frame["load"].where(frame["id"] % 50 != 7, 1000)).to_parquet(path)
    return path


@pytest.fixture
def scored(predictor: Predictor, rows: Path, place: str) -> Callable[..., Scores]:
    return lambda **more: score_files(predictor, [str(rows)], more.pop("output", place), STAMP, shard_rows=60, **more)


def test_the_output_holds_what_a_local_one_does(scored: Callable[..., Scores], place: str, tmp_path: Path) -> None:
    done, local = scored(), scored(output=tmp_path / "local")
    assert (done.rows, done.rejected) == (local.rows, local.rejected) == (200, 4)
    for what in ("predictions", "rejects"):
        pd.testing.assert_frame_equal(read(place, what), pd.read_parquet(tmp_path / "local" / what))
    assert names(place) == {"predictions", "rejects", "manifest.json"}
    assert done.predictions == f"s3://tests/{tmp_path.name}/out/predictions"


def test_an_output_that_exists_is_replaced_only_when_asked(scored: Callable[..., Scores], place: str) -> None:
    scored()
    with pytest.raises(InputError, match=r"out: exists already"):
        scored()
    with pytest.raises(InputError, match=r"out: exists already"):
        require_claimable(wanted_output(place), False)
    assert scored(overwrite=True, keep=[]).rows == 200
    assert "id" not in read(place, "predictions").columns and len(read(place, "predictions")) == 196


def test_a_run_that_ended_goes_on_with_what_is_missing(scored: Callable[..., Scores], place: str) -> None:
    def stop(done: int) -> None:
        if done > 100:
            raise StoppedError

    with pytest.raises(StoppedError):
        scored(on_rows=stop)
    assert "_ledger" in names(place) and "manifest.json" not in names(place)
    told: list[int] = []
    assert scored(on_rows=told.append).rows == 200
    assert min(told) > 60
    frame = read(place, "predictions")
    assert len(frame) == 196 and frame["row"].is_unique
    assert names(place) == {"predictions", "rejects", "manifest.json"}


def test_a_shard_that_is_not_whole_leaves_no_part(
    scored: Callable[..., Scores], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(path: Path, form: str, due: int, name: str) -> None:
        if name == "rejects/part-000000-000001.parquet":
            raise PerennialError("fewer rows")

    with monkeypatch.context() as patch, pytest.raises(PerennialError, match="fewer rows"):
        patch.setattr(sinks, "_require_rows", fails)
        scored()
    assert names(f"{place.replace('/out?', '/out/predictions?')}") == {"part-000000-000000.parquet"}
    assert scored().rows == 200


@pytest.mark.parametrize("last", ["manifest", "mark"])
def test_overwriting_a_run_that_was_killed_at_its_end_gives_the_new_rows(
    scored: Callable[..., Scores], predictor: Predictor, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    last: str,
) -> None:  # fmt: skip
    """Killed before anything of the ledger is taken away, or when the run is, and the rest is not."""

    def killed(_: RemotePlace, ledger: Ledger) -> None:
        if ledger.store.names(SHARDS):
            if last == "mark":
                ledger.store.remove(RUN_FILE)
            raise StoppedError

    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(RemotePlace, "forget", killed)
        scored()
    assert "manifest.json" in names(place)
    new_rows(70, seed=9).to_parquet(tmp_path / "new.parquet")
    assert score_files(predictor, [str(tmp_path / "new.parquet")], place, STAMP, overwrite=True).rows == 70
    assert len(read(place, "predictions")) == 70 == manifest_of(place)["rows"]
    assert problems_of(place) == []
    assert names(place) == {"predictions", "rejects", "manifest.json"}


def test_a_second_run_is_refused_with_the_first_ones_id(scored: Callable[..., Scores], place: str, quick: None) -> None:
    def second(_: int) -> None:
        with pytest.raises(OutsideError, match=r"out: run run-1 writes to it now"), claimed(wanted_output(place), True):
            pass

    assert scored(on_rows=second).rows == 200


def test_the_lock_of_a_dead_process_elsewhere_is_taken_over_when_it_is_silent(
    scored: Callable[..., Scores], place: str, quick: None
) -> None:
    filesystem, root = fs.FileSystem.from_uri(place)
    left = {"holder": "run r", "token": "t", "beats": 3, "host": "elsewhere", "process": 1}
    with filesystem.open_output_stream(f"{root}/_ledger/lock") as stream:
        stream.write(json.dumps(left).encode())
    started = time.monotonic()
    assert scored().rows == 200
    assert time.monotonic() - started > 0.6


def test_what_is_no_output_of_scoring_is_not_touched(scored: Callable[..., Scores], place: str) -> None:
    filesystem, root = fs.FileSystem.from_uri(place)
    with filesystem.open_output_stream(f"{root}/notes.txt") as stream:
        stream.write(b"mine")
    for overwrite in (False, True):
        with pytest.raises(InputError, match=r"out: holds 'notes\.txt'"):
            scored(overwrite=overwrite)
    assert names(place) >= {"notes.txt"}


def test_a_missing_bucket_is_told_at_once(scored: Callable[..., Scores], s3: Address) -> None:
    elsewhere = s3("out").replace("s3://tests/", "s3://absent/")
    started = time.monotonic()
    with pytest.raises(OutsideError, match=r"^s3://absent/out: can't be written \(.*NO_SUCH_BUCKET") as refused:
        scored(output=elsewhere)
    assert "\n" not in str(refused.value)
    assert time.monotonic() - started < 5


def test_the_name_of_a_file_is_refused(scored: Callable[..., Scores], s3: Address) -> None:
    with pytest.raises(InputError, match=r"s3://tests/out\.csv: in an object store the output is a folder"):
        scored(output=s3("out.csv"))


def test_an_output_within_its_input_is_refused(predictor: Predictor, scored: Callable[..., Scores], place: str) -> None:
    scored()
    with pytest.raises(InputError, match=r"shares a folder with the input"):
        score_files(predictor, [place], place, STAMP, overwrite=True)


def test_an_input_that_is_away_for_a_while_is_waited_for(
    predictor: Predictor, scored: Callable[..., Scores], s3: Address, place: str, tmp_path: Path, quick: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    source = s3(f"{tmp_path.name}/in.parquet")
    filesystem, root = fs.FileSystem.from_uri(source)
    fs.copy_files(str(tmp_path / "in.parquet"), root, fs.LocalFileSystem(), filesystem)
    real, failures = score.Reading.steps, [1, 2]

    def steps(self: Any, done: Any) -> Iterator[Any]:
        for number, step in enumerate(real(self, done)):
            if number == 3 and failures.pop():
                raise UnreachableError("in.parquet: can't be reached (AWS Error NETWORK_CONNECTION)")
            yield step

    failures.insert(0, 0)
    monkeypatch.setattr(score.Reading, "steps", steps)
    assert score_files(predictor, [source], place, STAMP, shard_rows=60).rows == 200
    assert read(place, "predictions")["row"].is_unique


def test_a_store_that_does_not_answer_is_no_damage_of_the_file(s3: Address, tmp_path: Path, rows: Path) -> None:
    source = s3(f"{tmp_path.name}/in.parquet")
    filesystem, root = fs.FileSystem.from_uri(source)
    fs.copy_files(str(rows), root, fs.LocalFileSystem(), filesystem)
    (file,) = resolve(source)
    filesystem.delete_file(root)
    with pytest.raises(InputError, match="is gone"):
        list(read_batches(file))

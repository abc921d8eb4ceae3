"""The size of batches is what was fastest, and the usual one where it makes no difference."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from models.columns.number.feed import NumberSettings
from tasks.data.batches import RawBatch
from tasks.data.sources import read_batches
from tasks.scoring import score, tuning
from tasks.scoring.predictor import Predictor
from tasks.scoring.tuning import choose
from tests.contracts import contract_of
from tests.tasks.scoring.scored_files import Run, new_rows

ROWS = {"x": pa.array([0.0] * 40_000)}


class Clock:
    """Stands for the module of time; goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


CLOCK = Clock()


class Timed:
    """Stands for a predictor whose rows take as long as `seconds` says of the size of their batches."""

    contract = contract_of({"x": NumberSettings()})

    def __init__(self, seconds: Callable[[int], float], gain: float = 2.0) -> None:
        """`gain` is how many times as fast as one thread the two are."""
        self.threads, self.batch_rows, self._seconds, self._gain = 2, 1024, seconds, gain

    def predict(self, columns: dict[str, pa.Array]) -> None:
        CLOCK.now += self._seconds(self.batch_rows) * len(columns["x"]) / (self._gain if self.threads == 2 else 1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(tuning, "time", CLOCK)
    return CLOCK


def test_the_fastest_size_is_chosen_and_the_predictor_left_as_it_was(clock: Clock) -> None:
    predictor = Timed(lambda size: 1e-6 if size == 4096 else 5e-6)
    assert choose(predictor, ROWS) == (4096, 2)  # type: ignore[arg-type]
    assert (predictor.batch_rows, predictor.threads) == (1024, 2)


def test_a_size_that_is_hardly_faster_is_not_worth_it(clock: Clock) -> None:
    assert choose(Timed(lambda size: 5e-6 - size * 1e-11), ROWS) == (1024, 2)  # type: ignore[arg-type]


def test_sizes_that_the_rows_do_not_fill_are_not_tried(clock: Clock) -> None:
    predictor = Timed(lambda size: 1e-3 / size)
    assert choose(predictor, {"x": ROWS["x"][:5000]}) == (2048, 2)  # type: ignore[arg-type]
    assert choose(predictor, {"x": ROWS["x"][:100]}) == (1024, 2)  # type: ignore[arg-type]


def test_what_is_given_is_not_measured(clock: Clock) -> None:
    predictor = Timed(lambda size: 1e-6 if size == 4096 else 5e-6, gain=0.8)
    assert choose(predictor, ROWS, 77) == (77, 2)  # type: ignore[arg-type]
    assert choose(predictor, ROWS, None, 2) == (4096, 2)  # type: ignore[arg-type]
    started = clock.now
    assert choose(predictor, ROWS, 77, 3) == (77, 3)  # type: ignore[arg-type]
    assert clock.now == started


def test_a_slow_network_is_not_measured_for_longer_than_a_moment(clock: Clock) -> None:
    started = clock.now
    assert choose(Timed(lambda _: 5e-5), ROWS) == (1024, 2)  # type: ignore[arg-type]
    assert clock.now - started < 3


def test_the_size_is_pinned_when_a_run_begins(
    run: Run, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_rows(100).to_parquet(tmp_path / "in.parquet", row_group_size=30)
    monkeypatch.setattr(score, "MANY", 50)
    monkeypatch.setattr(predictor, "batch_rows", 1024)
    monkeypatch.setattr(predictor, "threads", 2)
    asked: list[int] = []

    def chosen(_: Predictor, columns: dict[str, Any], *given: None) -> tuple[int, int]:
        asked.append(len(columns["load"]))
        return 16, 1

    def stop(done: int) -> None:
        if done > 60:
            raise KeyboardInterrupt

    monkeypatch.setattr(score, "choose", chosen)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "in.parquet", shard_rows=30, on_rows=stop)
    predictor.batch_rows = 1024
    sizes: list[int] = []
    assert run(tmp_path / "in.parquet", shard_rows=30, on_rows=lambda _: sizes.append(predictor.batch_rows)).rows == 100
    assert (len(asked), set(sizes)) == (1, {16})


def test_the_rows_that_were_measured_are_not_read_again(
    run: Run, predictor: Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_rows(100).to_parquet(tmp_path / "in.parquet", row_group_size=30)
    monkeypatch.setattr(score, "MANY", 50)
    read: list[int] = []

    def counted(*given: Any) -> Iterator[RawBatch]:
        for batch in read_batches(*given):
            read.append(len(batch.rows))
            yield batch

    monkeypatch.setattr("tasks.scoring.reading.read_batches", counted)
    assert run(tmp_path / "in.parquet", shard_rows=30).scored == 100
    assert sum(read) == 100

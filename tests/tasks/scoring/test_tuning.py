"""The size of batches is what was fastest, and the usual one where it makes no difference."""

import time
from collections.abc import Callable

import pyarrow as pa
import pytest

from models.columns.number.feed import NumberSettings
from tasks.scoring import tuning
from tasks.scoring.tuning import choose
from tests.contracts import contract_of

ROWS = {"x": pa.array([0.0] * 40_000)}


class Timed:
    """Stands for a predictor whose rows take as long as `seconds` says of the size of their batches."""

    contract = contract_of({"x": NumberSettings()})

    def __init__(self, seconds: Callable[[int], float], threads: int = 2) -> None:
        self.threads, self.batch_rows, self._seconds = threads, 1024, seconds

    def predict(self, columns: dict[str, pa.Array]) -> None:
        time.sleep(self._seconds(self.batch_rows) * len(columns["x"]))


@pytest.fixture(autouse=True)
def longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "SECONDS", 0.5)


def test_the_fastest_size_is_chosen_and_the_predictor_left_as_it_was() -> None:
    predictor = Timed(lambda size: 1e-6 if size == 4096 else 5e-6)
    assert choose(predictor, ROWS) == 4096  # type: ignore[arg-type]
    assert predictor.batch_rows == 1024


def test_a_size_that_is_hardly_faster_is_not_worth_it() -> None:
    assert choose(Timed(lambda size: 5e-6 - size * 1e-11), ROWS) == 1024  # type: ignore[arg-type]


def test_sizes_that_the_rows_do_not_fill_are_not_tried() -> None:
    predictor = Timed(lambda size: 1e-3 / size)
    assert choose(predictor, {"x": ROWS["x"][:5000]}) == 2048  # type: ignore[arg-type]
    assert choose(predictor, {"x": ROWS["x"][:100]}) == 1024  # type: ignore[arg-type]


def test_a_slow_network_is_not_measured_for_longer_than_a_moment() -> None:
    started = time.perf_counter()
    assert choose(Timed(lambda _: 5e-5), ROWS) == 1024  # type: ignore[arg-type]
    assert time.perf_counter() - started < 3

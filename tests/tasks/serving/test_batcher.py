"""Requests that arrive together are scored together, and each gets its own."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from tasks.scoring.predictor import Predictions
from tasks.serving.batcher import Batcher
from tasks.serving.served import Served


class Graph:
    """Returns what it is fed, and notes how many rows came at once."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, feed: dict[str, Any]) -> Predictions:
        self.batches.append(len(feed["x"]))
        if (feed["x"] < 0).any():
            raise RuntimeError("below zero")
        return Predictions(None, None, feed["x"])


def served(graph: Graph, seconds: float) -> Served:
    return Served("m", "1", cast(Any, graph), cast(Any, None), cast(Any, None), seconds, Path())


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(work())


@pytest.mark.parametrize("seconds", [0.0, 1.0], ids=["in the loop", "in a thread"])
def test_what_arrives_together_is_one_batch(seconds: float) -> None:
    graph = Graph()
    model, batcher = served(graph, seconds), Batcher(100)

    async def ask() -> list[Predictions]:
        feeds = [np.array([number, number + 0.5]) for number in range(10)]
        return list(await asyncio.gather(*(batcher.predict(model, {"x": feed}, 2) for feed in feeds)))

    found = run(ask)
    assert graph.batches == [20]
    assert [list(one.values) for one in found] == [[number, number + 0.5] for number in range(10)]


def test_a_batch_has_so_many_rows_and_one_version() -> None:
    first, second = Graph(), Graph()
    models, batcher = [served(first, 1.0), served(second, 1.0)], Batcher(4)

    async def ask() -> list[Predictions]:
        asked = [(0, 3), (0, 1), (0, 1), (1, 2), (0, 1)]
        work = [batcher.predict(models[at], {"x": np.full(rows, float(rows))}, rows) for at, rows in asked]
        return list(await asyncio.gather(*work))

    found = run(ask)
    assert (first.batches, second.batches) == ([4, 1, 1], [2])
    assert [len(cast(Any, one.values)) for one in found] == [3, 1, 1, 2, 1]


def test_one_row_at_a_time_where_that_is_asked() -> None:
    graph = Graph()
    model, batcher = served(graph, 0.0), Batcher(1)

    async def ask() -> None:
        await asyncio.gather(*(batcher.predict(model, {"x": np.ones(1)}, 1) for _ in range(5)))

    run(ask)
    assert graph.batches == [1] * 5


def test_an_error_reaches_whom_it_belongs_to() -> None:
    graph = Graph()
    model, batcher = served(graph, 1.0), Batcher(2)

    async def ask() -> list[Any]:
        work = [batcher.predict(model, {"x": np.array([number])}, 1) for number in (1.0, -1.0, 2.0, 3.0)]
        return list(await asyncio.gather(*work, return_exceptions=True))

    found = run(ask)
    assert [isinstance(one, RuntimeError) for one in found] == [False, True, False, False]


def test_who_has_gone_is_not_scored() -> None:
    graph = Graph()
    model, batcher = served(graph, 1.0), Batcher(10)

    async def ask() -> None:
        gone = asyncio.ensure_future(batcher.predict(model, {"x": np.array([1.0])}, 1))
        await asyncio.sleep(0)
        gone.cancel()
        await batcher.predict(model, {"x": np.array([2.0])}, 1)

    run(ask)
    assert graph.batches == [1]


def test_a_request_waits_for_others_as_long_as_it_is_told() -> None:
    graph = Graph()
    model, batcher = served(graph, 0.0), Batcher(10, wait=0.05)

    async def ask() -> None:
        first = asyncio.ensure_future(batcher.predict(model, {"x": np.array([1.0])}, 1))
        await asyncio.sleep(0.005)
        await asyncio.gather(first, batcher.predict(model, {"x": np.array([2.0])}, 1))

    run(ask)
    assert graph.batches == [2]


@pytest.mark.parametrize("rows, seconds", [(257, 0.0), (20, 0.01)], ids=["many rows", "slow rows"])
def test_a_few_rows_do_not_wait_for_many(rows: int, seconds: float) -> None:
    going_on = threading.Event()

    class Slow(Graph):
        def run(self, feed: dict[str, Any]) -> Predictions:
            assert len(feed["x"]) == 1 or going_on.wait(20)
            return super().run(feed)

    graph = Slow()
    model, batcher = served(graph, seconds), Batcher(1024)

    async def ask() -> None:
        many = asyncio.ensure_future(batcher.predict(model, {"x": np.ones(rows)}, rows))
        await asyncio.sleep(0.05)
        await batcher.predict(model, {"x": np.ones(1)}, 1)
        assert not many.done()
        going_on.set()
        await many

    run(ask)
    batcher.close()
    assert graph.batches == [1, rows]

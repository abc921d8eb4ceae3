"""Few rows with texts or pictures do not wait for requests of many."""

import asyncio
import threading
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from tasks.serving.limits import Limits
from tasks.serving.service import FEW, LARGE_AT_ONCE, Service


@dataclass
class Rows:
    """Of a model whose cells are read in a thread."""

    count: int
    go_on: threading.Event

    def __len__(self) -> int:
        return self.count

    def read(self, _: object) -> int:
        assert self.go_on.wait(20)
        return self.count


def test_a_row_is_answered_while_as_many_large_requests_as_may_are_read() -> None:
    held, free = threading.Event(), threading.Event()
    free.set()

    async def predict(_: object, feed: int, count: int) -> Any:
        return feed, count

    reader = SimpleNamespace(plain=False, row_bytes=8)
    served = SimpleNamespace(served=SimpleNamespace(reader=reader), batcher=SimpleNamespace(predict=predict))

    async def ask() -> list[Any]:
        service = Service(Limits())

        def answer(count: int, go_on: threading.Event) -> Any:
            return service.answer(served, SimpleNamespace(rows=Rows(count, go_on)))  # type: ignore[arg-type]

        large = [asyncio.create_task(answer(FEW + 1, held)) for _ in range(LARGE_AT_ONCE + 1)]
        await asyncio.sleep(0)
        try:
            small = await asyncio.wait_for(answer(1, free), 10)
            assert not any(task.done() for task in large)
        finally:
            held.set()
        return [small, *await asyncio.gather(*large)]

    assert [answered.predictions for answered in asyncio.run(ask())] == [(1, 1), *[(FEW + 1, FEW + 1)] * 5]

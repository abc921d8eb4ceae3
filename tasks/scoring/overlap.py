"""Reading ahead and writing behind: the neighbours of the scorer run in threads of their own."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")
DEPTH = 2
"""Batches in flight between two neighbours; more would only cost memory."""


class _End:
    """Closes a queue, with the error that ended the other side if there was one."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, produced by a thread that stays at most `DEPTH` ahead; its error is raised here."""
    channel: queue.Queue[T | _End] = queue.Queue(DEPTH)
    stop = threading.Event()
    thread = threading.Thread(target=_produce, args=(items, channel, stop), daemon=True)
    thread.start()
    try:
        while not isinstance(item := channel.get(), _End):
            yield item
        if item.error:
            raise item.error
    finally:
        stop.set()
        while thread.is_alive():
            _drain(channel)
            thread.join(0.01)


def _produce(items: Iterator[T], channel: "queue.Queue[T | _End]", stop: threading.Event) -> None:
    try:
        for item in items:
            channel.put(item)
            if stop.is_set():
                return
        channel.put(_End())
    except BaseException as error:
        channel.put(_End(error))


def _drain(channel: "queue.Queue[T | _End]") -> None:
    try:
        while True:
            channel.get_nowait()
    except queue.Empty:
        return


class WriteBehind(Generic[T]):
    """Hands items to a thread that consumes them in order; the consumer's error is raised at the next `put`."""

    def __init__(self, consume: Callable[[T], None]) -> None:
        self._consume = consume
        self._channel: queue.Queue[T | _End] = queue.Queue(DEPTH)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Waits while `DEPTH` items are not consumed yet."""
        self._raise()
        self._channel.put(item)

    def flush(self) -> None:
        """Returns when everything was consumed; the items after it are waited for by a later call."""
        self._channel.join()
        self._raise()

    def close(self) -> None:
        """Returns when everything was consumed."""
        self._channel.put(_End())
        self._thread.join()
        self._raise()

    def _run(self) -> None:
        while not isinstance(item := self._channel.get(), _End):
            # After an error the queue is still emptied, so that nobody waits for a place in it.
            if self._error is None:
                try:
                    self._consume(item)
                except BaseException as error:
                    self._error = error
            self._channel.task_done()

    def _raise(self) -> None:
        if self._error:
            raise self._error


@contextmanager
def write_behind(consume: Callable[[T], None]) -> Iterator[WriteBehind[T]]:
    """A writer that is closed, and its error raised, at the end of the block."""
    writer = WriteBehind(consume)
    try:
        yield writer
    finally:
        writer.close()

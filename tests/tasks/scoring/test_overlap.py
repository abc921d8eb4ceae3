import threading
from collections.abc import Iterator

import pytest

from tasks.scoring.overlap import DEPTH, read_ahead, write_behind


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    ours = ("(_produce)", "(_run)")
    assert not [thread.name for thread in threading.enumerate() if thread.name.endswith(ours)]


def test_items_come_in_their_order() -> None:
    assert list(read_ahead(iter(range(100)))) == list(range(100))


def test_the_readers_error_is_raised_after_the_items_before_it() -> None:
    def fails() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("gone")

    got = []
    with pytest.raises(OSError, match="gone"):
        for item in read_ahead(fails()):
            got.append(item)  # noqa: PERF402 - what came before the error is looked at
    assert got == [1, 2]


def test_who_stops_early_stops_the_reader() -> None:
    produced: list[int] = []

    def endless() -> Iterator[int]:
        while True:
            produced.append(len(produced))
            yield produced[-1]

    items = read_ahead(endless())
    assert next(items) == 0
    items.close()  # type: ignore[attr-defined]
    assert len(produced) <= 2 * DEPTH + 3


def test_the_reader_stays_only_a_little_ahead() -> None:
    produced: list[int] = []

    def counted() -> Iterator[int]:
        for number in range(1000):
            produced.append(number)
            yield number

    for taken, _ in enumerate(read_ahead(counted()), start=1):
        assert len(produced) <= taken + DEPTH + 1


def test_everything_is_consumed_in_order_when_the_block_ends() -> None:
    consumed: list[int] = []
    with write_behind(consumed.append) as writer:
        for number in range(100):
            writer.put(number)
    assert consumed == list(range(100))


def test_the_writers_error_is_raised_even_when_nothing_follows() -> None:
    def full(item: int) -> None:
        raise OSError("full")

    with pytest.raises(OSError, match="full"), write_behind(full) as writer:
        writer.put(1)


def test_the_writers_error_stops_who_goes_on() -> None:
    def full(item: int) -> None:
        raise OSError("full")

    put = 0
    with pytest.raises(OSError, match="full"), write_behind(full) as writer:
        for _ in range(10_000):
            writer.put(1)
            put += 1
    assert put < 10_000


def test_an_error_in_the_block_is_not_hidden() -> None:
    with pytest.raises(ValueError, match="mine"), write_behind(lambda item: None) as writer:
        writer.put(1)
        raise ValueError("mine")

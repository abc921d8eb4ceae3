"""Bodies take no more room than there is."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tasks.serving.bodies import Body, Room
from tasks.serving.limits import Limits
from tasks.serving.problem import RequestError

LIMITS = Limits(body_bytes=10, bodies=2, seconds=0.1)


def body(room: Room, pieces: Sequence[bytes], headers: Sequence[tuple[bytes, bytes]] = (), ends: bool = True) -> Body:
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    if ends:
        messages[-1]["more_body"] = False

    async def receive() -> dict[str, Any]:
        if not messages:
            await asyncio.sleep(60)
        return messages.pop(0)

    return Body({"headers": list(headers)}, receive, LIMITS, room)


def refused(asked: Body) -> int:
    with pytest.raises(RequestError) as error:
        asyncio.run(asked.json())
    return int(error.value.status)


def test_what_is_held_is_let_go() -> None:
    room = Room(20)
    first = body(room, [b"[1,", b"2]"])
    assert asyncio.run(first.json()) == [1, 2] and room.held == 5
    first.let_go()
    first.let_go()
    assert room.held == 0


def test_without_room_a_request_comes_again() -> None:
    room = Room(20)
    others = [body(room, [b"[1, 2, 3]"]) for _ in range(2)]
    for other in others:
        asyncio.run(other.json())
    third = body(room, [b"[1", b", 2]"])
    assert refused(third) == 429 and room.held == 18
    others[0].let_go()
    assert asyncio.run(body(room, [b"[1, 2]"]).json()) == [1, 2]


def test_a_large_body_is_read_but_not_held() -> None:
    room = Room(20)
    assert refused(body(room, [b"x" * 6] * 4)) == 413 and room.held == 0
    assert refused(body(room, [b"x" * 6] * 1000, ends=False)) == 413 and room.held == 0


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    assert refused(body(Room(20), [b"[1"], ends=False)) == 408

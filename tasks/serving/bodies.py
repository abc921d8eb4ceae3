"""Bodies of requests: read within limits, unpacked, and parsed."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

import orjson

from tasks.serving.limits import Limits
from tasks.serving.pieces import count_containers, parse
from tasks.serving.problem import RequestError, bad_request

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
JSON = "application/json"
RETRY_SECONDS = "1"
CONTAINERS_A_ROW = 100
"""Opening brackets, those in texts too: a million of them take seconds to parse, during which nobody is answered."""
PATIENCE = 4
"""How many times the largest body may be is read of one that is refused; then the connection is closed."""


def header(scope: MutableMapping[str, Any], name: bytes) -> str:
    """The header of a request, "" where it has none; names are lower case."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


class Room:
    """How many bytes of bodies a process holds."""

    def __init__(self, most: int) -> None:
        self._most, self.held = most, 0

    def take(self, size: int) -> None:
        """Some bytes more. Raises RequestError where there is no room for them now."""
        if self.held + size > self._most:
            text = "too many large bodies are held; come again"
            raise RequestError(HTTPStatus.TOO_MANY_REQUESTS, text, headers={"Retry-After": RETRY_SECONDS})
        self.held += size

    def leave(self, size: int) -> None:
        """Those bytes are no longer held."""
        self.held -= size


class Body:
    """The body of one request, until `let_go`."""

    def __init__(self, scope: MutableMapping[str, Any], receive: Receive, limits: Limits, room: Room) -> None:
        self.scope, self.receive, self.limits = scope, receive, limits
        self._room, self._held = room, 0
        self.size = 0
        """Bytes of the JSON, once it is read."""

    @property
    def kind(self) -> str:
        """The content type without its parameters; "" where none is given."""
        return header(self.scope, b"content-type").partition(";")[0].strip().lower()

    async def json(self) -> Any:
        """What it says. Raises RequestError where it is too large, comes too slowly, or is no JSON."""
        if self.kind not in ("", JSON):
            raise RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"content type {self.kind!r}: send {JSON}")
        content = await self._read()
        self.size = len(content)
        most = CONTAINERS_A_ROW * self.limits.rows
        if len(content) > most and await count_containers(content) > most:
            text = f"the body holds more than {most:,} lists and objects"
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
        try:
            return await parse(content)
        except orjson.JSONDecodeError as error:
            raise bad_request(f"the body is no JSON: {error}") from None

    def hold(self, size: int) -> None:
        """Counts bytes of it. Raises RequestError where it is too large, or there is no room now."""
        if self._held + size > self.limits.body_bytes:
            raise _too_large(self.limits)
        self._room.take(size)
        self._held += size

    def let_go(self) -> None:
        """It is held no longer."""
        self._room.leave(self._held)
        self._held = 0

    async def _read(self) -> bytes:
        """The whole of it, unpacked where it was sent packed."""
        try:
            async with asyncio.timeout(self.limits.seconds):
                content = await self._received()
        except TimeoutError:
            raise too_late(self.limits) from None
        packing = header(self.scope, b"content-encoding").strip().lower()
        if packing in ("", "identity"):
            return content
        plain = _unpacked(content, packing, self.limits)
        self.hold(max(0, len(plain) - len(content)))
        return plain

    async def next_piece(self) -> MutableMapping[str, Any]:
        """A message of the server's, for those who read the body by themselves, counted as held."""
        message = await self.receive()
        self.hold(len(message.get("body", b"")))
        return message

    async def _received(self) -> bytes:
        """Its bytes. What is not taken is read all the same, since callers read the answer when they have sent all."""
        pieces: list[bytes] = []
        size, refusal = 0, None
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise bad_request("the connection was closed before the body was whole")
            piece = message.get("body", b"")
            size += len(piece)
            try:
                if refusal is None:
                    self.hold(len(piece))
                    pieces.append(piece)
            except RequestError as error:
                refusal = error
                pieces.clear()
                self.let_go()
            if not message.get("more_body", False) or size > PATIENCE * self.limits.body_bytes:
                if refusal:
                    raise refusal
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def too_late(limits: Limits) -> RequestError:
    """The body does not come."""
    text = f"the body was not there within {limits.seconds:g} s"
    return RequestError(HTTPStatus.REQUEST_TIMEOUT, text, headers={"Connection": "close"})


def _unpacked(body: bytes, packing: str, limits: Limits) -> bytes:
    if packing not in ("gzip", "deflate"):
        raise RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"content encoding {packing!r}: send gzip, or none")
    # 32: of either packing, as its first bytes say.
    unpacking = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
    try:
        plain = unpacking.decompress(body, limits.body_bytes + 1)
    except zlib.error as error:
        raise bad_request(f"the body can't be unpacked: {error}") from None
    if len(plain) > limits.body_bytes:
        raise _too_large(limits)
    if not unpacking.eof:
        raise bad_request("the body can't be unpacked: it is cut off")
    return plain


def _too_large(limits: Limits) -> RequestError:
    text = f"the body is larger than {limits.body_bytes / (1 << 20):g} MiB"
    return RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text, headers={"Connection": "close"})

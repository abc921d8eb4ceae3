"""Bodies of requests: read within limits, unpacked, and parsed."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

import orjson

from tasks.serving.limits import Limits
from tasks.serving.problem import RequestError, bad_request

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
JSON = "application/json"
PATIENCE = 4
"""How many times the largest body may be is read of one that is refused; then the connection is closed."""


def header(scope: MutableMapping[str, Any], name: bytes) -> str:
    """The header of a request, "" where it has none; names are lower case."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def read_json(scope: MutableMapping[str, Any], receive: Receive, limits: Limits) -> Any:
    """What a request's body says. Raises RequestError where it is too large, comes too slowly, or is no JSON."""
    kind = header(scope, b"content-type").partition(";")[0].strip().lower()
    if kind not in ("", JSON):
        raise RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"content type {kind!r}: send {JSON}")
    body = await read_body(scope, receive, limits)
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is no JSON: {error}") from None


async def read_body(scope: MutableMapping[str, Any], receive: Receive, limits: Limits) -> bytes:
    """The whole body, unpacked where it was sent packed."""
    try:
        async with asyncio.timeout(limits.seconds):
            body = await _received(receive, limits)
    except TimeoutError:
        text = f"the body was not there within {limits.seconds:g} s"
        raise RequestError(HTTPStatus.REQUEST_TIMEOUT, text, headers={"Connection": "close"}) from None
    packing = header(scope, b"content-encoding").strip().lower()
    return body if packing in ("", "identity") else _unpacked(body, packing, limits)


async def _received(receive: Receive, limits: Limits) -> bytes:
    """The body. One that is too large is let go as it comes, since callers read the answer when they have sent it."""
    pieces: list[bytes] = []
    held = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise bad_request("the connection was closed before the body was whole")
        piece = message.get("body", b"")
        held += len(piece)
        if held > limits.body_bytes:
            pieces.clear()
        else:
            pieces.append(piece)
        if not message.get("more_body", False) or held > PATIENCE * limits.body_bytes:
            if held > limits.body_bytes:
                raise _too_large(limits)
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)


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

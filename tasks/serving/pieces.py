"""Large JSON, parsed in pieces between which others are answered: a parser lets nobody else work meanwhile."""

import asyncio
import os
import re
from itertools import pairwise
from typing import Any

import orjson

PIECE = 1 << 16
"""Bytes, about, which take some tenths of a millisecond."""
BETWEEN = re.compile(rb"\}\s*,\s*\{")
COUNTED = 1 << 20
"""Bytes that are searched at once."""


async def parse(content: bytes) -> Any:
    """What the JSON says. Raises orjson.JSONDecodeError."""
    if len(content) >= 2 * PIECE:
        try:
            return await _parse_pieces(content, _cuts(content))
        except (orjson.JSONDecodeError, _OtherwiseError):
            # No such list of objects, or no JSON: the whole of it tells.
            pass
    return orjson.loads(content)


async def count_containers(content: bytes) -> int:
    """Opening brackets, those in texts too."""
    found = 0
    for start in range(0, len(content), COUNTED):
        found += content.count(b"{", start, start + COUNTED) + content.count(b"[", start, start + COUNTED)
        await asyncio.sleep(0)
    return found


class _OtherwiseError(Exception):
    """It is no object with a list of objects."""


def _cuts(content: bytes) -> list[tuple[int, int]]:
    """Where an object may end, and where the next one begins."""
    found: list[tuple[int, int]] = []
    at = content.find(b"}", PIECE)
    # Where there are none for long, they are not looked for any more.
    while at >= 0 and (between := BETWEEN.search(content, at, at + 4 * PIECE)) is not None:
        found.append((between.start() + 1, between.end() - 1))
        at = content.find(b"}", between.end() + PIECE)
    return found


async def _parse_pieces(content: bytes, cuts: list[tuple[int, int]]) -> Any:
    """An object whose list of objects is cut in pieces.

    That what is before a cut can be parsed once the list and the object are closed shows that the cut is between two
    elements of a list, and not in a text or deeper down; so does, then, each further piece. A mark shows that it is the
    list of the last name, which it is not where a name is given twice.
    """
    if not cuts:
        raise _OtherwiseError
    # What the caller can't have written.
    mark = os.urandom(8).hex()
    first: dict[str, Any] = orjson.loads(content[: cuts[0][0]] + b',"' + mark.encode() + b'"]}')
    elements = first[next(reversed(first))]
    if not isinstance(elements, list) or elements[-1:] != [mark]:
        raise _OtherwiseError
    elements.pop()
    for (_, start), (end, _) in pairwise(cuts):
        await asyncio.sleep(0)
        elements += orjson.loads(b"[" + content[start:end] + b"]")
    await asyncio.sleep(0)
    last: dict[str, Any] = orjson.loads(b'{"' + mark.encode() + b'":[' + content[cuts[-1][1] :])
    elements += last.pop(mark)
    return first | last

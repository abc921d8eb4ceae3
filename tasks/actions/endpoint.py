"""Rows to an HTTP endpoint: one POST each, with a key by which the other side knows a row that comes twice."""

import asyncio
import json
import os
import ssl
import threading
from collections.abc import Container, Coroutine, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from models.actions import Action
from models.errors import InputError
from tasks.actions.letters import Answer, Letter, Parcel, key_of
from tasks.scoring.jsontext import json_lines

T = TypeVar("T")
ROWS_AT_ONCE = 1024
HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "perennial"}
PASSING = frozenset({408, 429, *range(500, 600)})
"""Answers that may be others a moment later."""
ABSENT = frozenset({502, 503, 504})
"""Answers that say something of the service rather than of the row."""
LONGEST_BODY = 1 << 16
"""Bytes of an answer that are read."""
SHOWN = 200
"""Characters of an answer that are told."""


class Endpoint:
    """Sends each row of an outbox as a JSON object."""

    def __init__(self, action: Action, run_id: str, connections: int) -> None:
        """Raises InputError when the token is missing."""
        token = token_of(action)
        self._action, self._run_id, self._token = action, run_id, token
        self._client = httpx.AsyncClient(
            timeout=None,
            limits=httpx.Limits(max_connections=connections),
            headers=HEADERS | ({"Authorization": f"Bearer {token}"} if token else {}),
        )
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="endpoint", daemon=True)
        self._thread.start()

    def letters(self, parcel: Parcel, done: Container[str]) -> Iterator[Letter]:
        """One letter for each row whose key is not in `done`."""
        with pq.ParquetFile(parcel.outbox) as file:
            for batch in file.iter_batches(ROWS_AT_ONCE):
                yield from self._letters(batch, done)

    def _letters(self, batch: pa.RecordBatch, done: Container[str]) -> Iterator[Letter]:
        named = zip(batch["source"].to_pylist(), batch["row"].to_pylist(), strict=True)
        keys = pa.array([key_of(self._run_id, self._action.name, source, row) for source, row in named], pa.string())
        fresh = pa.array([key not in done for key in keys.to_pylist()], pa.bool_())
        actions = pa.repeat(self._action.name, len(batch))
        told = {"action": actions, "idempotency_key": keys} | dict(zip(batch.schema.names, batch.columns, strict=True))
        rows = pa.RecordBatch.from_pydict(told).filter(fresh)
        for key, line in zip(keys.filter(fresh).to_pylist(), json_lines(rows).splitlines(), strict=True):
            yield Letter(key, 1, line.decode())

    def send(self, letter: Letter, parcel: Parcel) -> Answer:
        """One POST. Anything but 2xx is a failure, redirections included."""
        try:
            return self._run(self._post(letter))
        except (httpx.InvalidURL, UnicodeError) as error:
            return Answer(False, f"not an address ({self._shown(str(error))})")
        except TimeoutError:
            return Answer(False, f"no answer within {self._action.timeout:g} s", passing=True, silent=True)
        except httpx.HTTPError as error:
            return Answer(False, f"no answer ({self._shown(_cause(error))})", passing=True, silent=True)

    async def _post(self, letter: Letter) -> Answer:
        """Raises TimeoutError when no answer has begun in time; httpx itself counts the seconds anew at each byte."""
        until = self._loop.time() + self._action.timeout
        headers = {"Idempotency-Key": letter.key}
        request = self._client.build_request("POST", self._action.to, content=letter.body.encode(), headers=headers)
        async with asyncio.timeout_at(until):
            got = await self._client.send(request, stream=True)
        text = await _beginning(got, until)
        return _judged(got.status_code, self._shown(text), got.headers.get("Retry-After"))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _shown(self, text: str) -> str:
        """The text as one short line without the token."""
        for spelling in _spellings(self._token) if self._token else ():
            text = text.replace(spelling, "***")
        return " ".join(text.split())[:SHOWN]

    def close(self) -> None:
        """Lets go of connections."""
        self._run(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def token_of(action: Action) -> str | None:
    """The bearer token, from the environment. Raises InputError when it is not there."""
    if action.token_env is None:
        return None
    token = os.environ.get(action.token_env, "").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise InputError(
            f"actions.{action.name}.token_env: the environment variable {action.token_env} holds no token; set it"
        )
    return token


async def _beginning(response: httpx.Response, until: float) -> str:
    """The first bytes of an answer, as far as they come in time."""
    content = b""
    try:
        # The status is known by now, whatever becomes of the rest.
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                async for chunk in response.aiter_raw():
                    content += chunk
                    if len(content) > LONGEST_BODY:
                        break
    finally:
        await response.aclose()
    return content[:LONGEST_BODY].decode(errors="replace")


def _cause(error: httpx.HTTPError) -> str:
    """What the system says of a connection that could not be made, else the error's own words."""
    first: BaseException = error
    while following := _before(first):
        first = following
    if isinstance(error, httpx.ConnectError) and isinstance(first, OSError) and not isinstance(first, ssl.SSLError):
        # Those of name resolution have numbers of their own, below 0.
        number = first.errno or 0
        return (os.strerror(number) if number > 0 else first.strerror) or str(first)
    return str(error) or type(error).__name__


def _before(error: BaseException) -> BaseException | None:
    if isinstance(error, BaseExceptionGroup):
        return error.exceptions[0]
    return error.__cause__ or error.__context__


def _spellings(token: str) -> set[str]:
    """The token as it is, in JSON and in an address."""
    return {token, json.dumps(token)[1:-1], token.replace("/", "\\/"), quote(token), quote(token, safe="")}


def _judged(status: int, shown: str, retry_after: str | None) -> Answer:
    if 200 <= status < 300:
        return Answer(True, status=status)
    reason = f"answered {status}" + (f": {shown}" if shown else "")
    return Answer(False, reason, status, status in PASSING, status in ABSENT, _seconds(retry_after))


def _seconds(retry_after: str | None) -> float:
    """Seconds that the header Retry-After asks to wait; it is a number or a date."""
    if retry_after is None:
        return 0.0
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        then = parsedate_to_datetime(retry_after)
        return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, OverflowError):
        return 0.0

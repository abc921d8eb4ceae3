"""Rows to an HTTP endpoint: one POST each, with a key by which the other side knows a row that comes twice."""

import os
import time
from collections.abc import Container, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import pyarrow as pa
import pyarrow.parquet as pq

from models.actions import Action
from models.errors import InputError
from tasks.actions.letters import Answer, Letter, Parcel, key_of
from tasks.scoring.jsontext import json_lines

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
        self._action, self._run_id = action, run_id
        self._client = httpx.Client(
            timeout=action.timeout,
            limits=httpx.Limits(max_connections=connections),
            headers=HEADERS | ({"Authorization": f"Bearer {token}"} if token else {}),
        )

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
        headers = {"Idempotency-Key": letter.key}
        try:
            with self._client.stream("POST", self._action.to, content=letter.body.encode(), headers=headers) as got:
                return _judged(got.status_code, _beginning(got, self._action.timeout), got.headers.get("Retry-After"))
        except httpx.InvalidURL as error:
            return Answer(False, f"not an address ({_one_line(str(error))})")
        except httpx.TimeoutException:
            return Answer(False, f"no answer within {self._action.timeout:g} s", passing=True, silent=True)
        except httpx.TransportError as error:
            return Answer(
                False, f"no answer ({_one_line(str(error)) or type(error).__name__})", passing=True, silent=True
            )

    def close(self) -> None:
        """Lets go of connections."""
        self._client.close()


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


def _beginning(response: httpx.Response, seconds: float) -> str:
    """The first bytes of an answer, as far as they come in time."""
    until, content = time.monotonic() + seconds, b""
    for chunk in response.iter_raw():
        content += chunk
        if len(content) > LONGEST_BODY or time.monotonic() > until:
            break
    return content[:LONGEST_BODY].decode(errors="replace")


def _judged(status: int, text: str, retry_after: str | None) -> Answer:
    if 200 <= status < 300:
        return Answer(True, status=status)
    shown = _one_line(text)
    reason = f"answered {status}" + (f": {shown}" if shown else "")
    return Answer(False, reason, status, status in PASSING, status in ABSENT, _seconds(retry_after))


def _one_line(text: str) -> str:
    return " ".join(text.split())[:SHOWN]


def _seconds(retry_after: str | None) -> float:
    """Seconds that the header Retry-After asks to wait; it is a number or a date."""
    if retry_after is None:
        return 0.0
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        then = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    return max(0.0, (then.replace(tzinfo=then.tzinfo or UTC) - datetime.now(UTC)).total_seconds())

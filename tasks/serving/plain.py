"""The plain protocol: rows of raw columns by name, as JSON or, for one row with files, as a form."""

import asyncio
import re
from typing import Any

import orjson
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from models.columns.kind import ColumnSettings, FileSettings
from models.columns.series.feed import SeriesSettings
from tasks.serving.asking import NO_ENDPOINT, Answered, Asked, RowsAsked
from tasks.serving.bodies import Body, too_late
from tasks.serving.problem import bad_request
from tasks.serving.served import Served

FORM = "multipart/form-data"
KEYS = ("rows", "endpoint")
ENDPOINT_FIELD = "endpoint"
LONGEST_ENDPOINT = 200
MOST_DIGITS = 100
"""Characters of a number in a window, on the average."""
SEPARATORS = re.compile(r"[\s,;]+")
ROWS_AT_ONCE = 256
"""Of an answer that are worded at once."""


async def read_rows(body: Body, served: Served, request_id: str) -> Asked:
    """What the request asks. Raises RequestError."""
    if body.kind == FORM:
        return await _read_form(body, served, request_id)
    given = await body.json()
    if not isinstance(given, dict) or not isinstance(given.get("rows"), list):
        raise bad_request('send an object with "rows": a list of objects, each with its columns by name')
    unknown = [key for key in given if key not in KEYS]
    if unknown:
        raise bad_request(f"unknown key {unknown[0]!r}; there are {', '.join(KEYS)}")
    rows: list[Any] = given["rows"]
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise bad_request(f"row {number} is no object with columns by name")
    return Asked(request_id, RowsAsked(rows), endpoint_of(given.get("endpoint", NO_ENDPOINT)))


def endpoint_of(given: Any) -> str:
    """The name of the endpoint. Raises RequestError where it is none."""
    if not isinstance(given, str) or len(given) > LONGEST_ENDPOINT or not given.isprintable():
        raise bad_request(f"endpoint: give a name of at most {LONGEST_ENDPOINT} printable characters")
    return given


def write_answer(answered: Answered, request_id: str) -> bytes:
    """JSON with an answer for each row."""
    served, count = answered.served, len(answered.asked.rows)
    # No more at once than others may wait for.
    parts = [
        orjson.dumps(served.answers.of(answered.predictions.part(slice(start, start + ROWS_AT_ONCE))))[1:-1]
        for start in range(0, count, ROWS_AT_ONCE)
    ]
    return orjson.dumps(
        {
            "model": served.name,
            "version": served.version,
            "request_id": request_id,
            "predictions": orjson.Fragment(b"[" + b",".join(parts) + b"]"),
        }
    )


async def _read_form(body: Body, served: Served, request_id: str) -> Asked:
    """One row: a field for each column, files for pictures and recordings."""
    request, limits, columns = Request(body.scope, body.next_piece), body.limits, served.reader.columns
    fields = len(columns)
    try:
        async with asyncio.timeout(limits.seconds):
            form = await request.form(max_files=fields, max_fields=fields + 1, max_part_size=limits.body_bytes)
    except TimeoutError:
        raise too_late(limits) from None
    except (MultiPartException, HTTPException, UnicodeError) as error:
        raise bad_request(f"the form can't be read: {getattr(error, 'detail', error)}") from None
    except ClientDisconnect:
        raise bad_request("the connection was closed before the form was whole") from None
    try:
        twice = next((name for name in columns if len(form.getlist(name)) > 1), None)
        if twice is not None:
            raise bad_request(f"field {twice!r} is given {len(form.getlist(twice))} times")
        row = {name: await _cell(form, name, settings) for name, settings in columns.items() if name in form}
        endpoint = form.get(ENDPOINT_FIELD, NO_ENDPOINT) if ENDPOINT_FIELD not in columns else NO_ENDPOINT
    finally:
        await form.close()
    return Asked(request_id, RowsAsked([row]), endpoint_of(endpoint))


async def _cell(form: FormData, name: str, settings: ColumnSettings) -> Any:
    """A field's text, or what its file holds; nothing sent is a missing value."""
    given = form[name]
    if isinstance(given, UploadFile):
        content = await given.read()
        return (content or None) if isinstance(settings, FileSettings) else content.decode("utf-8", "replace")
    return _window(given, settings.window) if isinstance(settings, SeriesSettings) and given else given or None


def _window(text: str, length: int) -> Any:
    """Numbers as a list of JSON, or one behind the other; the text itself where it is neither."""
    if len(text) > MOST_DIGITS * length:
        return []
    try:
        return orjson.loads(text) if text.lstrip().startswith("[") else [*map(float, SEPARATORS.split(text.strip()))]
    except ValueError:
        return text

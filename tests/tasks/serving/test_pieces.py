"""JSON that is parsed in pieces says what it says as a whole, and lets others work meanwhile."""

import asyncio
import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tasks.serving import pieces
from tasks.serving.pieces import count_containers, parse

TEXTS = some.text('}],{[":\\\\ a\u00e9', max_size=6)
CELLS = some.recursive(
    some.one_of(TEXTS, some.integers(-9, 9), some.none()),
    lambda deeper: some.one_of(some.lists(deeper, max_size=3), some.dictionaries(TEXTS, deeper, max_size=3)),
    max_leaves=6,
)
ROWS = some.lists(some.dictionaries(TEXTS, CELLS, max_size=3), max_size=8)
SPACED = {"compact": (",", ":"), "usual": (", ", ": "), "wide": (" ,\n ", " : ")}


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "PIECE", 8)


def whole(content: bytes) -> Any:
    """What another parser, or the same one at once, makes of it."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        return str(error)


def in_pieces(content: bytes) -> Any:
    try:
        return asyncio.run(parse(content))
    except orjson.JSONDecodeError as error:
        return str(error)


@pytest.mark.parametrize("between", ["[]", "[1]", "{}", "1"])
def test_a_list_whose_name_came_before_others_says_the_same(between: str) -> None:
    content = b'{"rows":1,"e":' + between.encode() + b',"rows":[{"a":11111},{"a":22222},{"a":33333}]}'
    assert in_pieces(content) == whole(content)


@settings(deadline=None)
@given(some.data())
def test_it_says_the_same(data: Any) -> None:
    before = data.draw(some.dictionaries(TEXTS, CELLS, max_size=2))
    behind = data.draw(some.dictionaries(some.one_of(TEXTS, some.just("rows")), CELLS, max_size=2))
    pairs = [*before.items(), ("rows", data.draw(ROWS)), *behind.items()]
    between, colon = data.draw(some.sampled_from([*SPACED.values()]))
    # Names that come twice as well: the last one counts.
    parts = [json.dumps(name) + colon + json.dumps(value, separators=(between, colon)) for name, value in pairs]
    content = ("{" + between.join(parts) + "}").encode()
    assert in_pieces(content) == whole(content)
    cut = data.draw(some.integers(0, len(content)))
    assert in_pieces(content[:cut]) == whole(content[:cut])
    spoilt = content[:cut] + data.draw(some.sampled_from([b"}", b"]", b'"', b",{", b"},{"])) + content[cut:]
    assert in_pieces(spoilt) == whole(spoilt)


@pytest.mark.parametrize(
    "content",
    [
        b'[{"a": 1}, {"a": 2}, {"a": 3}]',
        b'{"inputs": {"a": [{"b": 1}, {"b": 2}, {"b": 3}]}}',
        b'{"a": "},{},{},{},{", "rows": [{"b": "},{"}, {"b": "}, {"}]}',
        b'{"rows": [{"a": 1}, {"a": 2}], "rows": [{"a": 3}, {"a": 4}], "x": 1}',
        b'{"rows": [], "x": [{"a": 1}], "rows": [{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}]}',
        b'{"rows": [{"a": [{"b": 1}, {"b": 2}]}, {"a": [{"b": 3}, {"b": 4}]}]}',
        b'{"rows": [{"a": 1}, {"a": 2}, 5, {"a": 3}, "x", {"a": 4}]}',
    ],
)
def test_lists_elsewhere_are_none_of_rows(content: bytes) -> None:
    assert in_pieces(content) == orjson.loads(content)


def test_many_rows_are_parsed_in_many_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []
    loads = orjson.loads

    def counted(content: bytes) -> Any:
        parsed.append(len(content))
        return loads(content)

    monkeypatch.setattr(pieces.orjson, "loads", counted)
    content = json.dumps({"endpoint": "a", "rows": [{"load": n} for n in range(100)], "more": [1]}).encode()
    assert in_pieces(content) == json.loads(content)
    assert len(parsed) > 40 and max(parsed) < 60


def test_others_work_between_the_pieces() -> None:
    async def both() -> int:
        turns = 0
        parsing = asyncio.create_task(parse(json.dumps({"rows": [{"load": n} for n in range(100)]}).encode()))
        while not parsing.done():
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(both()) > 40


def test_brackets_are_counted_wherever_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "COUNTED", 3)
    assert asyncio.run(count_containers(b'{"a[": [{}], "b": "}]"}')) == 4

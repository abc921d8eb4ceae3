"""Problems of a model file in plain words: one line each, with the key, what is wrong and what was meant."""

import difflib
from collections.abc import Collection, Iterator
from typing import Any, get_args
from unicodedata import normalize

from pydantic import BaseModel, ValidationError

PLAIN = {
    "tuple_type": "input should be a list",
    "dict_type": "input should be a table",
    "model_type": "input should be a table",
    "model_attributes_type": "input should be a table",
    "too_short": "give at least one",
    "string_pattern_mismatch": "use letters, digits, '_' and '-' only, at most 100, and not '-' first",
}
"""Messages of pydantic that speak of Python, said otherwise."""

MOST_KNOWN = 10
"""Known words that are listed where none is near."""

LONGEST_LINE, KEPT = 600, 250
"""Characters of a problem from which on its middle, a long key or value, is left out, and what stays at either end."""
LONGEST_WORD = 200
"""Longer words are near to none."""

Location = tuple[int | str, ...]


def describe(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line per problem that pydantic found in a `model`, as `key: what is wrong`, with near matches."""
    details = error.errors(include_url=False)
    inside = {detail["loc"][:length] for detail in details for length in range(1, len(detail["loc"]))}
    told = [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in inside]
    return [line for detail in told for line in _describe(detail, model).splitlines()]


def describe_column(error: ValidationError, column: str, settings: type[BaseModel]) -> list[str]:
    """One line per problem in the settings of one column."""
    return [_describe_setting(detail, column, settings) for detail in error.errors(include_url=False)]


def near_match(word: str, known: Collection[str]) -> str:
    """The end of a sentence that says which known word was probably meant, or which ones there are.

    Case and spaces around make no difference to what is near.
    """
    lowered = {other.casefold().strip(): other for other in known}
    close = (
        [] if len(word) > LONGEST_WORD else difflib.get_close_matches(word.casefold().strip(), lowered, n=1, cutoff=0.6)
    )
    if close:
        meant = lowered[close[0]]
        same = normalize("NFC", meant) == normalize("NFC", word)
        return f"; did you mean {meant!r}{', whose accents are written with other characters' if same else ''}?"
    shown = ", ".join(list(known)[:MOST_KNOWN]) + (" and others" if len(known) > MOST_KNOWN else "")
    return f"; known are {shown}" if known else ""


def shortened(line: str) -> str:
    """The line, without its middle where that is longer than anyone reads."""
    return line if len(line) <= LONGEST_LINE else f"{line[:KEPT]} ... {line[-KEPT:]}"


def _describe(detail: Any, model: type[BaseModel]) -> str:
    where = ".".join(map(_shown, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key{near_match(str(detail['loc'][-1]), _known_keys(detail['loc'][:-1], model))}"
    if detail["type"] == "missing":
        return f"{where}: missing"
    message = _plain(detail)
    return message if message.startswith("columns.") else f"{where}: {message}"


def _shown(key: object) -> str:
    """The key as it stands, or on one line where it has line breaks or other invisible characters."""
    text = str(key)
    return text if text.isprintable() else repr(text)


def _describe_setting(detail: Any, column: str, settings: type[BaseModel]) -> str:
    key = ".".join(str(part) for part in detail["loc"])
    where = f"columns.{column!r}" + (f".{key}" if key else "")
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key{near_match(key, list(settings.model_fields))}"
    return f"{where}: {_plain(detail)}"


def _plain(detail: Any) -> str:
    """The message in the words of TOML, with the given value where that is short and not in it already."""
    message = PLAIN.get(detail["type"], detail["msg"].removeprefix("Value error, "))
    if not message.startswith("columns."):
        message = message[0].lower() + message[1:]
    given = detail["input"]
    told = not isinstance(given, str | int | float | bool) or repr(given) in message
    return message if told else f"{message} (is {given!r})"


def _known_keys(location: Location, model: type[BaseModel]) -> list[str]:
    """Keys of the section at the location; places in lists and names that the user chose are passed over."""
    section = model
    for part in location:
        field = section.model_fields.get(part) if isinstance(part, str) else None
        if field is None:
            continue
        nested = [
            kind for kind in _arguments(field.annotation) if isinstance(kind, type) and issubclass(kind, BaseModel)
        ]
        if not nested:
            return []
        section = nested[0]
    return list(section.model_fields)


def _arguments(annotation: Any) -> Iterator[Any]:
    """The annotation and all that it is made of."""
    yield annotation
    for argument in get_args(annotation):
        yield from _arguments(argument)

"""What a search may vary: settings of `[network]` and `[training]`, each with a range or a list of values."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from models.errors import InputError
from models.modelfile import ModelFile
from models.problems import describe, near_match
from models.sections import Network, Section, Training

SECTIONS: dict[str, type[Section]] = {"network": Network, "training": Training}
KEYS = tuple(f"{section}.{key}" for section, kind in SECTIONS.items() for key in kind.model_fields)
FIXED = {
    "training.weight": "it changes the loss that trials are compared by",
    "training.balance": "it changes the loss that trials are compared by",
    "training.warm_start": "each trial begins with random weights",
}
"""Settings that no search may vary, and why."""
LOG_FROM = 10.0
"""Ratio of the ends of a range from which on its logarithm is searched evenly."""
DEFAULTS = (
    "training.learning_rate=0.0005..0.01",
    "training.weight_decay=0.00001..0.01",
    "network.width=64,128,256",
    "network.depth=1..4",
    "network.dropout=0.0..0.4",
)
OF_DEFAULT_TRUNK = ("network.depth", "network.dropout")
"""Settings that a network of one's own has not."""
RANGE = re.compile(r"(?P<low>\S*?)\s*\.\.\s*(?P<high>[^.\s]?\S*)")
Value = bool | int | float | str


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where both are."""

    low: int | float
    high: int | float

    @property
    def whole(self) -> bool:
        """Whether the values are integers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def log(self) -> bool:
        """Whether values are as likely in each octave."""
        return self.low > 0 and self.high / self.low >= LOG_FROM

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Value, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values


Dimension = Range | Choice
Space = dict[str, Dimension]


def read_space(searches: Sequence[str], model_file: ModelFile) -> Space:
    """The dimensions by key. Raises InputError with a line for each search that can't be.

    Without any, those that mostly matter.
    """
    if not searches:
        own = model_file.network.file is not None
        searches = [text for text in DEFAULTS if not (own and text.partition("=")[0] in OF_DEFAULT_TRUNK)]
    space: Space = {}
    problems: list[str] = []
    for text in searches:
        key, _, values = (part.strip() for part in text.partition("="))
        found = list(_key_problems(key, values, text)) or [*(["given twice"] if key in space else [])]
        if not found:
            dimension = _dimension(values)
            space[key] = dimension
            found = list(_value_problems(key, dimension))
        problems += [f"--search {text}: {problem}" for problem in dict.fromkeys(found)]
    if problems:
        raise InputError(*problems)
    return space


def _key_problems(key: str, values: str, text: str) -> Iterator[str]:
    if "=" not in text or not values:
        yield "give a range or values, as in training.learning_rate=0.0005..0.01 or network.width=64,128"
    elif key not in KEYS:
        yield f"unknown setting{near_match(key, KEYS)}"
    elif key in FIXED:
        yield f"can't be searched: {FIXED[key]}"


def _dimension(values: str) -> Dimension:
    ends = RANGE.fullmatch(values)
    if ends:
        low, high = _parsed(ends["low"]), _parsed(ends["high"])
        if _is_number(low) and _is_number(high):
            return Range(low, high)  # type: ignore[arg-type]
    return Choice(tuple(_parsed(value.strip()) for value in values.split(",")))


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _parsed(text: str) -> Value:
    """Numbers, and booleans as TOML writes them; anything else is text."""
    if text in ("true", "false"):
        return text == "true"
    for read in (int, float):
        with suppress(ValueError):
            return read(text)
    return text.strip("'\"")


def _value_problems(key: str, dimension: Dimension) -> Iterator[str]:
    if isinstance(dimension, Range) and dimension.low >= dimension.high:
        yield f"the range must go up, but {dimension.low:g} is not below {dimension.high:g}"
        return
    values = (dimension.low, dimension.high) if isinstance(dimension, Range) else dimension.values
    if len(set(values)) < len(values):
        yield "a value is given twice"
    section, _, name = key.partition(".")
    for value in values:
        try:
            SECTIONS[section].model_validate({name: value}, strict=_strict(value))
        except ValidationError as error:
            yield from (line.replace(f"{name}: ", "", 1) for line in describe(error, SECTIONS[section]))


def _strict(value: Value) -> bool:
    """Whether the type has to be right too; a whole number will do for any."""
    return not isinstance(value, int) or isinstance(value, bool)


def with_values(model_file: ModelFile, values: Mapping[str, Value]) -> ModelFile:
    """The model file with these settings."""
    changed: dict[str, Any] = {}
    for section, kind in SECTIONS.items():
        own = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{section}.")}
        changed[section] = kind.model_validate({**getattr(model_file, section).model_dump(), **own})
    return model_file.model_copy(update=changed)


def present_values(model_file: ModelFile, space: Space) -> dict[str, Value] | None:
    """The settings as they are; None where one lies outside of the space."""
    values = {key: getattr(getattr(model_file, key.partition(".")[0]), key.partition(".")[2]) for key in space}
    return values if all(value in space[key] for key, value in values.items()) else None

"""The [[behaviour]] of a model file: what must not matter to the model, and what must push its score one way."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from math import isfinite
from typing import Any, Literal

import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from models.columns import KINDS, ColumnSettings
from models.columnsettings import settings_by_kind
from models.consistency import section_of
from models.problems import near_match
from models.sections import DEFAULT_MISSING, Section

Cell = str | bool | int | float
ADDS = {"number": (int, float), "datetime": (int, float), "text": (str,)}
"""What can be added to values of a kind: an amount, seconds, or words at the end."""
CHANGES = ("under", "set", "replace", "add")


class Behaviour(Section):
    """A change of the rows that were set aside, and what it must do to the predictions.

    Invariance and directional expectation tests of Ribeiro et al., "Beyond Accuracy: Behavioral Testing of NLP Models
    with CheckList" (ACL 2020), for columns of any kind.
    """

    name: str = Field(min_length=1, max_length=100, description="what is expected, in words")
    kind: Literal["invariance", "direction"]
    under: str | None = Field(None, description="a named shift, of all columns that it applies to")
    set: dict[str, Any] = Field(default_factory=dict, description="by column: the value that all rows get")
    replace: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="by column: values, or parts of texts, and what stands in their place"
    )
    add: dict[str, Any] = Field(
        default_factory=dict, description="by column: an amount, seconds to a date, or words at the end of a text"
    )
    expect: Literal["up", "down"] | None = Field(None, description="direction only: where the score must go")
    of: str | None = Field(None, description="direction of a multiclass model only: the class whose score it is")
    tolerance: float | None = Field(
        None, ge=0, description="how far the score may move, or move the wrong way; if not given, labels stay the same"
    )
    share: float = Field(0.95, gt=0, le=1, description="of the changed rows, for which it must hold")

    @field_validator("name")
    @classmethod
    def _one_line(cls, name: str) -> str:
        if not name.isprintable() or not name.strip():
            raise ValueError("give words on one line")
        return name

    @field_validator("set", "add")
    @classmethod
    def _cells(cls, change: dict[str, Any]) -> dict[str, Cell]:
        return {column: _cell(column, value) for column, value in change.items()}

    @field_validator("replace")
    @classmethod
    def _pairs(cls, change: dict[str, dict[str, Any]]) -> dict[str, dict[str, Cell]]:
        return {column: {old: _cell(column, new) for old, new in pairs.items()} for column, pairs in change.items()}

    @model_validator(mode="after")
    def _whole(self) -> "Behaviour":
        problems = []
        if not any(getattr(self, change) for change in CHANGES):
            problems.append(f"changes nothing; give {', '.join(CHANGES[:-1])} or {CHANGES[-1]}")
        if self.kind == "direction" and self.expect is None:
            problems.append('a direction needs expect = "up" or "down"')
        if self.kind == "invariance" and (self.expect or self.of):
            problems.append("expect and of are for a direction only; remove them")
        if problems:
            raise ValueError("; ".join(problems))
        return self


def _cell(column: str, value: Any) -> Cell:
    """The value of a column, dates as text. Raises ValueError for anything that is no single value."""
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, Cell):
        raise ValueError(f"{column!r}: give one value")
    return value


def behaviour_problems(raw: dict[str, Any]) -> Iterator[str]:
    """A line for each name that occurs twice, and each change that the columns of the model file can't take.

    What is malformed itself is passed over, columns too.
    """
    given, data = raw.get("behaviour"), raw.get("data")
    tests = [test for test in (given if isinstance(given, list) else []) if isinstance(test, dict)]
    names = Counter(test["name"] for test in tests if isinstance(test.get("name"), str))
    for name in (name for name, times in names.items() if times > 1):
        yield f"behaviour: {name!r} is the name of {names[name]}; give each its own"
    missing = data.get("missing") if isinstance(data, dict) else None
    marks = tuple(map(str, missing)) if isinstance(missing, list) else DEFAULT_MISSING
    for test in tests:
        for problem in _change_problems(test, section_of(raw, "columns"), marks):
            yield f"behaviour {test.get('name', '')!r}: {problem}"


def large_slices(raw: dict[str, Any]) -> Iterator[str]:
    """A line for each column that gates or the report slice by, and whose values are too large for that."""
    asked = {f"gates.{name}": gate for name, gate in section_of(raw, "gates").items()}
    for where, section in {**asked, "evaluation": raw.get("evaluation")}.items():
        slices = section.get("slices") if isinstance(section, dict) else None
        for name in slices if isinstance(slices, list) else ():
            given = section_of(raw, "columns").get(name) if isinstance(name, str) else None
            settings = _settings(given) if given is not None else None
            if settings and KINDS[settings.kind].shape(settings):
                yield f"{where}.slices: {name!r} is of the kind {settings.kind}, whose values are no groups; remove it"


def task_problems(tests: Sequence[Behaviour], task: str) -> Iterator[str]:
    """A line for each test that asks for what a model of the task does not have."""
    for test in tests:
        where = f"behaviour {test.name!r}"
        if task == "multiclass" and test.kind == "direction" and not test.of:
            yield f"{where}: give of = CLASS, whose score must go {test.expect}"
        if task != "multiclass" and test.of:
            yield f"{where}: of is for multiclass targets only; remove it"
        if task == "regression" and test.kind == "invariance" and test.tolerance is None:
            yield f"{where}: a regression has no labels; give a tolerance, in units of the target"


def of_problems(tests: Sequence[Behaviour], classes: Collection[str]) -> Iterator[str]:
    """A line for each test of the score of a class that does not exist."""
    for test in tests:
        if test.of is not None and test.of not in classes:
            yield f"behaviour {test.name!r}: of: no row is {test.of!r}{near_match(test.of, classes)}"


def _change_problems(test: dict[str, Any], columns: Mapping[str, Any], missing: tuple[str, ...]) -> Iterator[str]:
    settings = {name: found for name, found in zip(columns, map(_settings, columns.values()), strict=True) if found}
    under = test.get("under")
    if isinstance(under, str):
        shifts = sorted({shift for column in settings.values() for shift in KINDS[column.kind].shifts})
        if under not in shifts and len(settings) == len(columns):
            yield f"under: no column can be put under {under!r}{near_match(under, shifts)}"
    for change in ("set", "replace", "add"):
        for name, value in section_of(test, change).items():
            if name not in columns:
                yield f"{change}: {name!r} is no feature{near_match(name, list(columns))}"
            elif name in settings and isinstance(value, dict if change == "replace" else Cell):
                told = _value_problems(change, value, settings[name], missing)
                yield from (f"{change}: column {name!r} {problem}" for problem in told)


def _settings(given: Any) -> ColumnSettings | None:
    """None where the column has problems of its own."""
    try:
        found: ColumnSettings = settings_by_kind({"": given})[""]
    except ValueError:
        return None
    return found


def _value_problems(change: str, value: Any, settings: ColumnSettings, missing: tuple[str, ...]) -> Iterator[str]:
    kind = settings.kind
    if KINDS[kind].shape(settings):
        yield f"is of the kind {kind}, which can be put under a shift alone"
    elif change == "add":
        if kind not in ADDS:
            yield f"is of the kind {kind}, to which nothing can be added; set or replace its values"
        elif not isinstance(value, ADDS[kind]) or isinstance(value, bool):
            yield f"is of the kind {kind}; give {'words' if kind == 'text' else 'a number'} (is {value!r})"
        elif isinstance(value, float) and not isfinite(value):
            yield f"can't take {value!r}; give a finite number"
    elif change == "set":
        yield from _refusals(value, settings, missing)
    elif kind != "text":
        for cell in (cell for pair in value.items() for cell in pair if isinstance(cell, Cell)):
            yield from _refusals(cell, settings, missing)
    elif not all(isinstance(new, str) for new in value.values()) or "" in value:
        yield "is of the kind text; give parts of texts, and texts in their place"


def _refusals(value: Cell, settings: ColumnSettings, missing: tuple[str, ...]) -> Iterator[str]:
    for refusal in KINDS[settings.kind].parse(pa.array([value]), settings, missing).refusals:
        yield f"would refuse {value!r}: {refusal.reason}"

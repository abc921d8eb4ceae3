"""What a row of a snapshot holds: features, target, weight, and the columns that decide its split, with their rules."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.columns import KINDS
from models.columns.category.feed import CategorySettings
from models.columns.cells import as_array
from models.columns.datetime.feed import DatetimeSettings
from models.columns.kind import Parsed, Refusal
from models.columns.number.feed import NumberSettings
from models.errors import InputError
from models.modelfile import ModelFile
from models.sections import SplitName, Task
from tasks.data.checks import Rule

SOURCE = "perennial.source"
FILE = "perennial.file"
ROW = "perennial.row"
SPLIT_PREFIX = "perennial.split."
WINDOW_SPAN = "perennial.window_span"
"""Time from a window's first row to its last, where windows are split by time."""
SLICE_PREFIX = "perennial.slice."
NEWEST = "perennial.newest"
"""Only while ingesting: by which the newest of several rows with one key is found."""

SPLIT_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
LONGEST_KEY = 10_000

Newest = Literal["number", "datetime"]
Parse = Callable[[pa.ChunkedArray], Parsed]


def stored_split_name(column: str) -> str:
    """Name under which a split column is stored; apart from features, whose kind may read the same column otherwise."""
    return SPLIT_PREFIX + column


def display_name(stored: str) -> str:
    """The name that the user gave the column."""
    return stored.removeprefix(SPLIT_PREFIX).removeprefix(SLICE_PREFIX)


def slice_columns(model_file: ModelFile) -> dict[str, str]:
    """The columns to slice by, of the report and of gates, by the name under which a snapshot stores them."""
    gated = (name for gate in model_file.gates.values() for name in gate.slices)
    names = dict.fromkeys([*model_file.evaluation.slices, *gated])
    return {name if name in model_file.columns else SLICE_PREFIX + name: name for name in names}


def extra_rules(model_file: ModelFile, task: Task, newest: Newest = "number") -> tuple[Rule, ...]:
    """The rules of ingestion besides the features': target, weight, key, group, time, given split and `newest_by`.

    `newest` says how the last of these is read, in all files alike.
    Raises InputError when the weight is also a feature that is no number.
    """
    marks, split = model_file.data.missing, model_file.split
    rules = [Rule(model_file.target.column, model_file.target.column, target_parser(task, marks))]
    weight = model_file.training.weight
    if weight is not None:
        if weight in model_file.columns and model_file.columns[weight].kind != "number":
            raise InputError(f"training.weight: {weight!r} is also a feature that is no number; remove one of the two")
        rules.append(Rule(weight, weight, _weight_parser(marks)))
    names = dict.fromkeys([*split.key, *([split.group] if split.group else [])])
    rules += [Rule(stored_split_name(name), name, _text_parser(_role(model_file, name), marks)) for name in names]
    if split.time:
        rules.append(Rule(stored_split_name(split.time), split.time, _time_parser(model_file, split.time)))
        if model_file.series:
            rules.append(Rule(WINDOW_SPAN, split.time, lambda raw: Parsed(as_array(raw))))
    if split.column:
        rules.append(Rule(stored_split_name(split.column), split.column, _given_parser(marks)))
    rules += [
        Rule(stored, name, lambda raw: KINDS["category"].parse(raw, CategorySettings(min_count=1), marks))
        for stored, name in slice_columns(model_file).items()
        if name not in model_file.columns
    ]
    if split.newest_by:
        rules.append(Rule(NEWEST, split.newest_by, _newest_parser(newest, marks)))
    return tuple(rules)


def target_parser(task: Task, marks: tuple[str, ...]) -> Parse:
    """Reads the target: numbers for a regression, else texts. A missing target is refused."""
    if task == "regression":
        return lambda raw: _never_missing(KINDS["number"].parse(raw, NumberSettings(), marks), "missing target")
    return lambda raw: _never_missing(KINDS["category"].parse(raw, CategorySettings(), marks), "missing target")


def _role(model_file: ModelFile, name: str) -> str:
    return "key" if name in model_file.split.key else "group"


def _text_parser(role: str, marks: tuple[str, ...]) -> Parse:
    settings = CategorySettings(max_characters=LONGEST_KEY)

    def parse(raw: pa.ChunkedArray) -> Parsed:
        parsed = _never_missing(KINDS["category"].parse(raw, settings, marks), f"missing {role}")
        return replace(parsed, values=parsed.values.cast(pa.string()))

    return parse


def time_settings(model_file: ModelFile, name: str) -> DatetimeSettings:
    """Those of the feature or the series' time of that name, so that time zone and format are said once."""
    feature, series = model_file.columns.get(name), model_file.series
    if isinstance(feature, DatetimeSettings):
        return feature
    return DatetimeSettings(format=series.time_format if series and series.time == name else None)


def _time_parser(model_file: ModelFile, name: str) -> Parse:
    settings, marks = time_settings(model_file, name), model_file.data.missing
    return lambda raw: _never_missing(KINDS["datetime"].parse(raw, settings, marks), "missing time")


def _weight_parser(marks: tuple[str, ...]) -> Parse:
    words = {"out of range": "negative weight"}

    def parse(raw: pa.ChunkedArray) -> Parsed:
        parsed = KINDS["number"].parse(raw, NumberSettings(min=0), marks)
        refusals = tuple(
            replace(refusal, reason=words.get(refusal.reason, refusal.reason)) for refusal in parsed.refusals
        )
        return _never_missing(Parsed(parsed.values, refusals), "missing weight")

    return parse


def _given_parser(marks: tuple[str, ...]) -> Parse:
    settings = CategorySettings()

    def parse(raw: pa.ChunkedArray) -> Parsed:
        parsed = KINDS["category"].parse(raw, settings, marks)
        words = parsed.values.dictionary.to_pylist()
        known = [None if word is None else SPLIT_WORDS.get(word.casefold()) for word in words]
        values = pc.take(pa.array(known, pa.string()), parsed.values.indices)
        given = np.asarray(parsed.values.is_valid())
        unknown = given & np.asarray(values.is_null())
        refusals = (Refusal("unknown split", unknown),) if unknown.any() else ()
        return _never_missing(Parsed(values, (*parsed.refusals, *refusals)), "missing split")

    return parse


def decide_newest(columns: Iterable[pa.ChunkedArray], marks: tuple[str, ...]) -> Newest:
    """How all cells of `newest_by`, given in pieces, are read: as instants where more of them read as such."""
    numbers = instants = 0
    for column in columns:
        numbers += _refused(KINDS["number"].parse(column, NumberSettings(), marks))
        instants += _refused(KINDS["datetime"].parse(column, DatetimeSettings(), marks))
    return "datetime" if instants < numbers else "number"


def _newest_parser(newest: Newest, marks: tuple[str, ...]) -> Parse:
    """Float64: numbers, or seconds since 1970."""

    def parse(raw: pa.ChunkedArray) -> Parsed:
        if newest == "number":
            return _never_missing(KINDS["number"].parse(raw, NumberSettings(), marks), "missing newest_by")
        instant = KINDS["datetime"].parse(raw, DatetimeSettings(), marks)
        seconds = pc.divide(instant.values.cast(pa.int64()).cast(pa.float64(), safe=False), 1e6)
        return _never_missing(Parsed(seconds, instant.refusals), "missing newest_by")

    return parse


def _refused(parsed: Parsed) -> int:
    return sum(int(refusal.rows.sum()) for refusal in parsed.refusals)


def _never_missing(parsed: Parsed, reason: str) -> Parsed:
    """The same column, in which a value that is missing rather than refused is refused for this reason."""
    missing = np.asarray(parsed.values.is_null())
    for refusal in parsed.refusals:
        missing = missing & ~refusal.rows
    return replace(parsed, refusals=(*parsed.refusals, Refusal(reason, missing))) if missing.any() else parsed

"""The worst mistakes by example: the pairs of classes that are mixed up most, or the largest errors, row by row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from models.columns import KINDS
from models.columns.cells import as_array
from models.columns.kind import LONGEST_SHOWN, LargeSettings, Shown
from models.contract import Contract, ContractColumn
from tasks.data.layout import SPLIT_PREFIX, display_name
from tasks.evaluation.scored import Indices, Scored
from tasks.evaluation.unseen import Unseen

MOST_PAIRS = 5
ROWS_OF_A_PAIR = 4
ROWS_OF_ERRORS = 8
MOST_COLUMNS = 6
"""Columns of large values that are shown, and as many of others."""
MOST_SOUND = 800_000
"""Bytes of all recordings that can be heard."""


@dataclass(frozen=True)
class ShownValue:
    """A value of an example's row under its column's name; None where the column is sensitive."""

    column: str
    value: Shown | None


@dataclass(frozen=True)
class Example:
    """A row that was decided wrongly, or whose value was predicted far off."""

    row: int
    """Position among the test rows."""
    said: float
    """Probability of the decision, or the predicted value."""
    true: float
    """Probability of the true class, or the true value."""
    large: tuple[ShownValue, ...] = field(default=(), repr=False, compare=False)
    """Texts, pictures, recordings and series."""
    facts: tuple[ShownValue, ...] = field(default=(), repr=False, compare=False)
    """Other columns."""


@dataclass(frozen=True)
class Mistakes:
    """Examples of one kind of mistake; the classes are empty for a regression."""

    truth: str
    decision: str
    rows: int
    """Rows of the class `truth` that were taken for `decision`; for a regression, all that were judged."""
    of: int
    """Rows of the class `truth`."""
    examples: tuple[Example, ...]

    def record(self) -> dict[str, Any]:
        """What may be kept: row positions, classes and figures, no values of columns."""
        rows = [{"row": example.row, "said": example.said, "true": example.true} for example in self.examples]
        return {name: value for name, value in vars(self).items() if name != "examples"} | {"examples": rows}


def find_mistakes(
    contract: Contract, test: Unseen, by_importance: Sequence[str], groups: Indices | None = None
) -> tuple[Mistakes, ...]:
    """Up to five pairs of classes by the number of mistakes, or the largest errors.

    The most confident mistakes come first. Where rows of one group belong together, `groups` [N], each gives one
    example as long as there are others. Values of sensitive columns are left out, and so are the values of a regression
    whose target is sensitive.
    """
    scored = test.scored
    regression = scored.task == "regression"
    if regression and contract.target in contract.sensitive:
        return ()
    found = _errors(scored, groups) if regression else _pairs(contract, scored, groups)
    if not found:
        return ()
    chosen = np.array([example.row for mistakes in found for example in mistakes.examples], np.int64)
    shown = _show(contract, test.take(chosen), by_importance or [column.name for column in contract.columns])
    return tuple(_with_values(mistakes, shown) for mistakes in found)


def _with_values(mistakes: Mistakes, shown: Iterator[tuple[list[ShownValue], list[ShownValue]]]) -> Mistakes:
    examples = []
    for example in mistakes.examples:
        large, facts = next(shown)
        examples.append(Example(example.row, example.said, example.true, tuple(large), tuple(facts)))
    return Mistakes(mistakes.truth, mistakes.decision, mistakes.rows, mistakes.of, tuple(examples))


def _pairs(contract: Contract, scored: Scored, groups: Indices | None) -> list[Mistakes]:
    counted, count = scored.weights > 0, len(contract.classes)
    pair = np.where(counted & (scored.truth != scored.labels), scored.truth * count + scored.labels, -1)
    kinds, rows = np.unique(pair[pair >= 0], return_counts=True)
    of = np.bincount(scored.truth[counted], minlength=count)
    found = []
    for at in np.argsort(-rows, kind="stable")[:MOST_PAIRS]:
        truth, decision = divmod(int(kinds[at]), count)
        members = np.flatnonzero(pair == kinds[at])
        ranked = members[np.argsort(-scored.probabilities[members, decision], kind="stable")]
        likely = scored.probabilities[:, decision], scored.probabilities[:, truth]
        examples = [
            Example(row, float(likely[0][row]), float(likely[1][row])) for row in _first(ranked, groups, ROWS_OF_A_PAIR)
        ]
        names = str(contract.classes[truth]), str(contract.classes[decision])
        found.append(Mistakes(*names, int(rows[at]), int(of[truth]), tuple(examples)))
    return found


def _errors(scored: Scored, groups: Indices | None) -> list[Mistakes]:
    counted = np.flatnonzero(scored.weights > 0)
    error = np.abs(scored.values - scored.truth)[counted]
    ranked = counted[np.argsort(-error, kind="stable")]
    rows = _first(ranked, groups, ROWS_OF_ERRORS)
    examples = tuple(Example(row, float(scored.values[row]), float(scored.truth[row])) for row in rows)
    return [Mistakes("", "", len(counted), len(counted), examples)] if examples else []


def _first(ranked: Indices, groups: Indices | None, most: int) -> list[int]:
    """The first rows in their order, of different groups as far as there are so many."""
    if groups is None:
        return [int(row) for row in ranked[:most]]
    seen: dict[int, int] = {}
    turn = np.empty(len(ranked), np.int64)
    for place, group in enumerate(groups[ranked].tolist()):
        turn[place] = seen[group] = seen.get(group, -1) + 1
    return [int(row) for row in ranked[np.sort(np.argsort(turn, kind="stable")[:most])]]


def _show(
    contract: Contract, rows: pa.Table, by_importance: Sequence[str]
) -> Iterator[tuple[list[ShownValue], list[ShownValue]]]:
    """Of each row the large values, and its key and other values, the most important first; sounds while they fit."""
    columns = {column.name: column for column in contract.columns}
    ordered = [columns[name] for name in by_importance]
    large = [column for column in ordered if _is_large(column)][:MOST_COLUMNS]
    facts = [column for column in ordered if not _is_large(column)][:MOST_COLUMNS]
    values = {column.name: as_array(rows.column(column.name)) for column in (*large, *facts)}
    keys = {display_name(name): rows.column(name).to_pylist() for name in _keys(contract, rows)}
    room = MOST_SOUND
    for row in range(rows.num_rows):
        shown = [_value(column, values, row, room) for column in large]
        room -= sum(len(part.value.sound) for part in shown if part.value)
        known = [ShownValue(name, _key(cells[row])) for name, cells in keys.items() if name not in columns]
        yield shown, known + [_value(column, values, row, 0) for column in facts]


def _key(cell: object) -> Shown:
    return Shown() if cell is None else Shown(str(cell)[:LONGEST_SHOWN])


def _value(column: ContractColumn, values: Mapping[str, pa.Array], row: int, room: int) -> ShownValue:
    settings = column.settings
    if settings.sensitive:
        return ShownValue(column.name, None)
    shown = KINDS[settings.kind].shown(values[column.name], settings, row)
    fits = len(shown.sound) <= room
    return ShownValue(column.name, shown if fits else Shown(shown.text, shown.picture, shown.curve))


def _keys(contract: Contract, rows: pa.Table) -> list[str]:
    """Columns that are no features and decide a row's split: they say which row it is. Sensitive ones are left out."""
    stored = [name for name in contract.split.columns if name.startswith(SPLIT_PREFIX) and name in rows.column_names]
    return [name for name in stored if display_name(name) not in contract.sensitive]


def _is_large(column: ContractColumn) -> bool:
    settings = column.settings
    return isinstance(settings, LargeSettings) or bool(KINDS[settings.kind].shape(settings))

"""Behaviour tests of a model file: whether a change does not matter to the predictions, or pushes them one way."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.behaviour import Behaviour
from models.classes import find_classes
from models.columns import KINDS, ColumnSettings
from models.columns.cells import as_array, plain
from models.columns.kind import Mask
from models.contract import Contract
from tasks.data.layout import stored_split_name
from tasks.evaluation.robustness import known_shifts, shifted
from tasks.evaluation.scored import Floats, Scored
from tasks.evaluation.unseen import Predict, Unseen

MOST_ROWS = 10_000
MOST_BYTES = 1 << 26
Change = Callable[[pa.Array, Any, ColumnSettings, Contract], pa.Array]
LETTER = r"[^\W\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
"""Of words that are set apart, as those of Thai, Lao, Burmese, Khmer, Japanese and Chinese are not."""
ROUNDING = 1e-6
"""Of the score, relative to its size: what float32 can't tell apart has not moved."""


@dataclass(frozen=True)
class Behaved:
    """How a test ended on the rows that its change changes."""

    test: Behaviour
    rows: int
    """Rows that the change changes, and that would be scored after it."""
    held: int
    moved: float = np.nan
    """Mean movement of the score, positive as it goes up; NaN without rows."""
    example: str = ""
    """The worst of the rows for which it does not hold, by its key or number, and its predictions."""
    obstacle: str = ""
    """Why nothing could be tried, where that is not for want of rows."""

    @property
    def share(self) -> float:
        """Of the rows for which it holds; NaN without rows."""
        return self.held / self.rows if self.rows else np.nan


def try_behaviour(
    contract: Contract, predict: Predict, unseen: Unseen, tests: Sequence[Behaviour], key: Sequence[str], seed: int
) -> list[Behaved]:
    """Each test on the same sample of the unseen rows, by the method of `models.behaviour.Behaviour`.

    `key` are the columns that name a row; where there are none, or they are sensitive, its number among the unseen
    rows does.
    """
    if not tests or not len(unseen):
        return [Behaved(test, 0, 0) for test in tests]
    most = min(MOST_ROWS, unseen.affordable(MOST_BYTES), len(unseen))
    drawn = np.sort(np.random.default_rng(seed).choice(len(unseen), size=most, replace=False))
    sample = unseen.take(drawn)
    named = _names(sample, [] if contract.sensitive & set(key) else key, drawn)
    before = predict(sample)
    return [_behaved(contract, predict, sample, before, test, named, seed) for test in tests]


def _names(sample: pa.Table, key: Sequence[str], numbers: np.ndarray) -> Callable[[int], str]:
    """How people find a row of the sample again."""
    stored = [(name, stored_split_name(name)) for name in key if stored_split_name(name) in sample.column_names]

    def name(row: int) -> str:
        told = [f"{column} = {sample.column(position)[row].as_py()}" for column, position in stored]
        return f"the row with {', '.join(told)}" if told else f"unseen row {numbers[row] + 1}"

    return name


def _behaved(
    contract: Contract, predict: Predict, sample: pa.Table, before: Scored, test: Behaviour,
    named: Callable[[int], str], seed: int,
) -> Behaved:  # fmt: skip
    if test.of is not None and _position(contract, test.of) < 0:
        return Behaved(test, 0, 0, obstacle=f"the class {test.of!r} is unknown to the version")
    table, changed = change_rows(contract, sample, test, seed)
    rows = np.flatnonzero(changed)
    if not len(rows):
        return Behaved(test, 0, 0)
    before, after = before.take(rows), predict(table.take(pa.array(rows)))
    if test.kind == "direction":
        old, new = (_score(side, contract, test.of) for side in (before, after))
        wrong = (old - new) * (1 if test.expect == "up" else -1)
        holds, moved = wrong <= (test.tolerance or 0.0) + _rounding(old), float((new - old).mean())
    else:
        old, new = _all_scores(before), _all_scores(after)
        wrong = np.abs(new - old).max(axis=1)
        same = before.labels == after.labels if test.tolerance is None else wrong <= test.tolerance + _rounding(old)
        holds, moved = np.asarray(same), float(wrong.mean())
    example = ""
    if not holds.all():
        worst = int(np.argmax(np.where(holds, -np.inf, wrong)))
        example = named(int(rows[worst]))
        if contract.target not in contract.sensitive:
            example += f": {_told(before, contract, worst)} became {_told(after, contract, worst)}"
    return Behaved(test, len(rows), int(holds.sum()), moved, example)


def change_rows(contract: Contract, sample: pa.Table, test: Behaviour, seed: int) -> tuple[pa.Table, Mask]:
    """The rows after the change, and which of them [N] it changes; values that would be rejects change nothing."""
    table, refused = sample, np.zeros(len(sample), dtype=bool)
    if test.under:
        columns = known_shifts(contract).get(test.under, [])
        table = shifted(table, test.under, columns, np.random.default_rng(seed))
    settings = {column.name: column.settings for column in contract.columns}
    changes: tuple[tuple[Change, Mapping[str, Any]], ...]
    changes = ((_set, test.set), (_replaced, test.replace), (_added, test.add))
    for change, by_column in changes:
        for name, given in by_column.items():
            position, kind = table.column_names.index(name), KINDS[settings[name].kind]
            values = plain(as_array(table.column(position)))
            parsed = kind.parse(change(values, given, settings[name], contract), settings[name], contract.missing)
            for refusal in parsed.refusals:
                refused |= refusal.rows
            table = table.set_column(position, name, parsed.values)
    return table, _differ(sample, table, list(settings)) & ~refused


def _set(values: pa.Array, given: object, settings: ColumnSettings, contract: Contract) -> pa.Array:
    return pa.repeat(pa.scalar(given), len(values))


def _replaced(values: pa.Array, given: Mapping[str, object], settings: ColumnSettings, contract: Contract) -> pa.Array:
    """Whole values of most kinds; of texts all places where the words stand, so that two may change places."""
    if settings.kind == "text":
        stands = _anywhere(given)
        texts = [text and stands.sub(lambda place: str(given[place[0]]), text) for text in values.to_pylist()]
        return pa.array(texts, values.type)
    found = values
    for old, new in given.items():
        cells = (KINDS[settings.kind].parse(pa.array([cell]), settings, contract.missing).values for cell in (old, new))
        before, after = (plain(as_array(cell))[0] for cell in cells)
        found = pc.if_else(pc.fill_null(pc.equal(values, before), False), after, found)
    return found


def _anywhere(words: Iterable[str]) -> re.Pattern[str]:
    """The words where they are not part of a longer one; the longest that stands at a place."""
    longest = sorted(filter(None, words), key=len, reverse=True)
    return re.compile("|".join(_whole(word) for word in longest) or "(?!)")


def _whole(word: str) -> str:
    before, after = (bool(re.match(LETTER, edge)) for edge in (word[0], word[-1]))
    return f"{f'(?<!{LETTER})' * before}{re.escape(word)}{f'(?!{LETTER})' * after}"


def _added(values: pa.Array, given: float | str, settings: ColumnSettings, contract: Contract) -> pa.Array:
    if isinstance(given, str):
        return pc.binary_join_element_wise(values, given, "")
    if pa.types.is_timestamp(values.type):
        return pc.add(values, pa.scalar(round(given * 1e6), pa.duration("us")))
    return pc.add(values, float(given))


def _differ(before: pa.Table, after: pa.Table, columns: Iterable[str]) -> Mask:
    differ = np.zeros(len(before), dtype=bool)
    for name in columns:
        old, new = (plain(as_array(side.column(name))) for side in (before, after))
        moved = pc.fill_null(pc.not_equal(old, new), pc.xor(old.is_null(), new.is_null()))
        differ |= np.asarray(moved.to_numpy(zero_copy_only=False), dtype=bool)
    return differ


def _score(scored: Scored, contract: Contract, of: str | None) -> Floats:
    """[N] the value, or the probability of the positive or the named class."""
    if scored.task == "regression":
        return scored.values
    return scored.probabilities[:, 1 if of is None else _position(contract, of)]


def _position(contract: Contract, of: str) -> int:
    """Of the class of that name; -1 where there is none."""
    return int(find_classes(pa.array([of]), contract.classes)[0]) if contract.classes else -1


def _all_scores(scored: Scored) -> Floats:
    """[N, C] probabilities, or [N, 1] values."""
    return scored.values[:, None] if scored.task == "regression" else scored.probabilities


def _rounding(scores: Floats) -> Floats:
    return np.asarray(ROUNDING * np.abs(scores.reshape(len(scores), -1)).max(axis=1))


def _told(scored: Scored, contract: Contract, row: int) -> str:
    if scored.task == "regression":
        return f"{scored.values[row]:.4g}"
    label = int(scored.labels[row])
    return f"{contract.classes[label]} ({scored.probabilities[row, 1 if scored.task == 'binary' else label]:.4f})"

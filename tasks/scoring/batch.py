"""One batch of raw rows becomes predictions and rejects, in the schema of the whole output."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.cells import as_array
from models.contract import Contract, free_name
from models.errors import InputError
from tasks.actions.select import Actions
from tasks.data.batches import RawBatch
from tasks.data.checks import Checked, check_batch
from tasks.data.rejects import count_reasons, no_rejects, reject_malformed
from tasks.scoring.explain import explain
from tasks.scoring.output import constant_column, no_predictions, output_columns, own_scores
from tasks.scoring.period import Period
from tasks.scoring.predictor import Predictions, Predictor
from tasks.scoring.shadow import Shadow
from tasks.scoring.writers import value_type

WHY = "why"
NOTHING = pa.schema([])
KEEP_LESS = "name the columns to write with --keep, without it"
SEND_LESS = "write one type in all rows, since an action sends it"


@dataclass(frozen=True)
class Accepted:
    """N rows of one file or query that are no rejects."""

    source: str
    """Where they come from."""
    rows: NDArray[np.int64]
    """Their numbers within their file, [N]."""
    raw: pa.Table
    """As they came."""
    columns: Mapping[str, pa.Array]
    """The model's columns, parsed."""
    predictions: Predictions


class Watch(Protocol):
    """Looks at the rows that are scored."""

    share: float
    """Of the rows, that it counts."""

    def add(self, accepted: Accepted) -> None:
        """Takes notice of rows of the shard."""

    def taken(self) -> Mapping[str, Any]:
        """What was seen since this was asked last, as JSON."""


@dataclass(frozen=True)
class Stamp:
    """What is written beside every prediction."""

    model: str
    version: str
    run_id: str
    why: bool = False
    """Whether each row says which of its words and columns mattered most, see `explain`."""


@dataclass
class Tally:
    """Counts that grow while a shard goes on."""

    read: int = 0
    last: int = 0
    """Highest row number."""
    scored: int = 0
    rejected: int = 0
    passed: int = 0
    """Rows that were passed over on purpose."""
    reasons: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    sums: Counter[str] = field(default_factory=Counter)
    """Over the scored rows: their scores and squares, and what `Shadow` compares."""


@dataclass(frozen=True)
class Finished:
    """One batch, scored and checked, on its way to the writers."""

    predictions: pa.Table
    rejects: pa.Table
    taken: Mapping[str, pa.Table] = field(default_factory=dict)
    """Rows that actions take, by the names of the actions."""


class BatchScorer:
    """Scores batches of one run."""

    def __init__(
        self,
        predictor: Predictor,
        kept: pa.Schema,
        stamp: Stamp,
        shadow: Shadow | None = None,
        actions: Actions | None = None,
        period: Period | None = None,
        sent: pa.Schema = NOTHING,
        watch: Watch | None = None,
    ) -> None:
        """`kept` are the input columns that are written along, `sent` those that actions send.

        `watch` is shown the accepted rows, and what is predicted for them.
        """
        self.predictor, self.stamp, self.shadow, self.actions = predictor, stamp, shadow, actions
        self.period, self.watch = period, watch
        self._columns = {column.name: column.settings for column in predictor.contract.columns}
        self._kept, self._sent = len(kept), sent
        self.schema = self._output_schema(kept)

    def use_threads(self, threads: int) -> None:
        """From here on; it makes no difference to the predictions."""
        for predictor in (self.predictor, *([self.shadow.predictor] if self.shadow else [])):
            predictor.threads = threads

    def score(self, batch: RawBatch, tally: Tally) -> Finished:
        """The rows in predictions or rejects; `tally` counts them."""
        contract = self.predictor.contract
        tally.read += len(batch.rows) + len(batch.malformed)
        tally.last = max(tally.last, last_row(batch))
        untimed = no_rejects()
        if self.period and len(batch.rows):
            batch, untimed, passed = self.period.cut(batch, contract.missing, contract.sensitive)
            tally.passed += passed
        if not len(batch.rows):
            bad = reject_malformed(batch.source, batch.malformed, contract.sensitive)
            return Finished(self.schema.empty_table(), _counted(pa.concat_tables([bad, untimed]), tally))
        checked = check_batch(batch, self._columns, contract.missing, sensitive=contract.sensitive)
        parsed = {name: as_array(checked.table.column(name)) for name in self._columns}
        predictions = self.predictor.predict(parsed)
        raw = _accepted(batch, checked)
        if self.watch:
            self.watch.add(Accepted(batch.source, checked.rows, raw, parsed, predictions))
        added = self._added_columns(predictions, batch.source, checked.rows)
        taken = self.actions.select(pa.table(added), self._to_send(raw, batch.source)) if self.actions else {}
        if self.shadow:
            also, compared = self.shadow.beside(batch, checked, self.predictor, predictions)
            added |= also
            tally.sums.update(compared)
        if self.stamp.why:
            added[WHY] = pa.array(explain(self.predictor, parsed, predictions), pa.string())
        tally.scored += len(checked.table)
        rejects = _counted(pa.concat_tables([checked.rejects, untimed]), tally)
        tally.labels.update(_count_labels(predictions, contract))
        tally.sums.update(_summed(predictions))
        return Finished(self._assemble(raw, batch.source, added), rejects, taken)

    def _output_schema(self, kept: pa.Schema) -> pa.Schema:
        """Kept columns, then the columns that scoring adds under free names."""
        contract = self.predictor.contract
        nothing = no_predictions(contract)
        empty = self._added_columns(nothing, "", np.empty(0, dtype=np.int64))
        empty |= self.shadow.nothing() if self.shadow else {}
        if self.stamp.why:
            empty[WHY] = pa.array([], pa.string())
        taken = set(kept.names)
        return pa.schema([*kept, *(pa.field(free_name(name, taken), array.type) for name, array in empty.items())])

    def _added_columns(self, predictions: Predictions, source: str, rows: NDArray[np.int64]) -> dict[str, pa.Array]:
        """What scoring adds to each row, under the names that are free in most tables."""
        stamp = self.stamp
        constants = {"model": stamp.model, "model_version": stamp.version, "run_id": stamp.run_id, "source": source}
        return {
            **output_columns(predictions, self.predictor.contract),
            **{name: constant_column(value, len(rows)) for name, value in constants.items()},
            "row": pa.array(rows),
        }

    def taken_schemas(self) -> dict[str, pa.Schema]:
        """What each action takes, by its name."""
        nothing = self._added_columns(no_predictions(self.predictor.contract), "", np.empty(0, dtype=np.int64))
        taken = self.actions.select(pa.table(nothing), self._sent.empty_table()) if self.actions else {}
        return {name: table.schema for name, table in taken.items()}

    def _to_send(self, raw: pa.Table, source: str) -> pa.Table:
        """What actions send of the accepted raw rows, in the types of the whole run."""
        columns = [_as_type(raw, f, source, SEND_LESS) for f in self._sent]
        return pa.Table.from_arrays(columns, schema=self._sent)

    def _assemble(self, raw: pa.Table, source: str, added: Mapping[str, pa.Array]) -> pa.Table:
        """The accepted raw rows with the added columns, in the schema of the whole output."""
        kept = [_as_type(raw, self.schema.field(i), source, KEEP_LESS) for i in range(self._kept)]
        return pa.Table.from_arrays([*kept, *added.values()], schema=self.schema)


def _counted(rejects: pa.Table, tally: Tally) -> pa.Table:
    tally.rejected += len(rejects)
    tally.reasons.update(count_reasons(rejects))
    return rejects


def _accepted(batch: RawBatch, checked: Checked) -> pa.Table:
    """The raw rows that are no rejects."""
    if len(checked.rows) == len(batch.rows):
        return batch.table
    return batch.table.take(pa.array(np.searchsorted(batch.rows, checked.rows)))


def last_row(batch: RawBatch) -> int:
    """The highest number of a row in the batch, malformed ones too; 0 without rows."""
    return max(int(batch.rows.max(initial=0)), max((bad.row for bad in batch.malformed), default=0))


def _summed(predictions: Predictions) -> dict[str, float]:
    """Sums over the rows, of which mean and spread of the predictions are made."""
    values = own_scores(predictions).astype(np.float64)
    return {"scores": float(values.sum()), "squares": float((values**2).sum())}


def _as_type(raw: pa.Table, wanted: pa.Field, source: str, advice: str) -> pa.ChunkedArray:
    if wanted.name not in raw.column_names:
        return pa.chunked_array([pa.nulls(len(raw), wanted.type)])
    column = raw.column(wanted.name)
    if column.type == wanted.type:
        return column
    try:
        return _cast(column, wanted.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        raise InputError(
            f"{source}: column {wanted.name!r} holds {column.type} in some rows, which can't be written as "
            f"{value_type(wanted.type)} like the others; {advice}"
        ) from None


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    given = value_type(column.type)
    if pa.types.is_boolean(wanted) != pa.types.is_boolean(given) and not _takes_all(wanted, given):
        # Arrow would take each number but 0 for true.
        raise pa.ArrowTypeError("truth values and other values")
    if pa.types.is_dictionary(wanted) and not pa.types.is_dictionary(column.type):
        return column.cast(pa.string()).dictionary_encode()
    return column.cast(wanted)


def _takes_all(wanted: pa.DataType, given: pa.DataType) -> bool:
    return bool(pa.types.is_string(value_type(wanted)) or pa.types.is_null(given))


def _count_labels(predictions: Predictions, contract: Contract) -> dict[str, int]:
    if predictions.index is None:
        return {}
    counts = np.bincount(predictions.index, minlength=len(contract.classes))
    return {str(name): int(count) for name, count in zip(contract.classes, counts, strict=True) if count}

"""Scoring files into files: streamed, each row in exactly one of predictions and rejects, the counts reconciled."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from models.contract import Contract, free_name
from models.errors import InputError, PerennialError
from tasks.data.batches import RawBatch, SourceFile
from tasks.data.checks import Checked, check_batch
from tasks.data.contents import with_contents
from tasks.data.rejects import SCHEMA, count_reasons
from tasks.data.sources import peek, read_batches
from tasks.data.windows import windows_of
from tasks.scoring.explain import explain
from tasks.scoring.inputs import kept_schema, resolve_inputs
from tasks.scoring.output import output_columns
from tasks.scoring.overlap import read_ahead, write_behind
from tasks.scoring.predictor import Predictions, Predictor
from tasks.scoring.sinks import (
    Destination,
    TableWriter,
    destination,
    open_writer,
    require_writable,
    stated_rows,
    value_type,
    written_aside,
)

WHY = "why"


@dataclass(frozen=True)
class Stamp:
    """What is written beside every prediction."""

    model: str
    version: str
    run_id: str
    why: bool = False
    """Whether each row says which of its words and columns mattered most, see `explain`."""


@dataclass(frozen=True)
class Scores:
    """What a scoring run came to."""

    rows: int
    scored: int
    rejected: int
    reasons: dict[str, int]
    labels: dict[str, int]
    """Rows by label; empty for a regression."""
    seconds: float
    predictions: Path
    rejects: Path


@dataclass
class _Tally:
    """Counts that grow while the run goes on."""

    read: Counter[str] = field(default_factory=Counter)
    """Rows by file."""
    last: Counter[str] = field(default_factory=Counter)
    """Highest row number by file."""
    scored: int = 0
    rejected: int = 0
    written: int = 0
    """Predictions that the writer took."""
    set_aside: int = 0
    """Rejects that the writer took."""
    reasons: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Finished:
    """One batch, scored and checked, on its way to the writers."""

    predictions: pa.Table
    rejects: pa.Table


def score_files(
    predictor: Predictor,
    inputs: Sequence[str],
    output: Path,
    stamp: Stamp,
    keep: Sequence[str] | None = None,
    overwrite: bool = False,
    on_rows: Callable[[int], None] | None = None,
) -> Scores:
    """Scores every row of the inputs into `output`; see `sinks.destination` for its forms.

    `keep` names the input columns to write beside the predictions; None keeps all but sensitive ones.
    `on_rows` is told the rows done. Raises InputError for unreadable inputs, missing columns, and columns that the
    output's format can't hold before anything is written.
    """
    wanted = destination(output)
    return score_resolved(predictor, resolve_inputs(inputs, wanted), wanted, stamp, keep, overwrite, on_rows)


def score_resolved(
    predictor: Predictor,
    files: Sequence[SourceFile],
    wanted: Destination,
    stamp: Stamp,
    keep: Sequence[str] | None = None,
    overwrite: bool = False,
    on_rows: Callable[[int], None] | None = None,
) -> Scores:
    """As `score_files`, for files that `resolve_inputs` has found."""
    started = time.perf_counter()
    contract = predictor.contract
    kept = kept_schema(files, contract, keep)
    require_writable(kept, wanted)
    schema = _output_schema(kept, contract, stamp)
    tally = _Tally()
    with written_aside(wanted, overwrite, stamp.run_id) as hidden:
        _stream(_batches(files, contract, kept), predictor, schema, stamp, hidden, tally, on_rows)
        _reconcile(tally, files, hidden)
    return Scores(
        rows=tally.read.total(),
        scored=tally.scored,
        rejected=tally.rejected,
        reasons=dict(tally.reasons.most_common()),
        labels=dict(tally.labels.most_common()),
        seconds=time.perf_counter() - started,
        predictions=wanted.predictions,
        rejects=wanted.rejects,
    )


def _output_schema(kept: pa.Schema, contract: Contract, stamp: Stamp) -> pa.Schema:
    """Kept columns, with texts as dictionaries, then the columns that scoring adds under free names."""
    fields = [pa.field(f.name, _coded(f.type)) for f in kept]
    empty = _added_columns(_no_predictions(contract), contract, stamp, "", np.empty(0, dtype=np.int64))
    if stamp.why:
        empty[WHY] = pa.array([], pa.string())
    taken = set(kept.names)
    return pa.schema([*fields, *(pa.field(free_name(name, taken), array.type) for name, array in empty.items())])


def _coded(kind: pa.DataType) -> pa.DataType:
    return pa.dictionary(pa.int32(), pa.string()) if pa.types.is_string(kind) else kind


def _batches(files: Sequence[SourceFile], contract: Contract, kept: pa.Schema) -> Iterator[RawBatch]:
    wanted = {*contract.raw_columns, *kept.names}
    columns = {column.name: column.settings for column in contract.columns}
    windows = windows_of(contract.series, columns, contract.missing)
    for file in files:
        batches = read_batches(file, wanted)
        yield from with_contents(windows.of(batches) if windows else batches, file, columns, contract.missing)


def _stream(
    batches: Iterator[RawBatch],
    predictor: Predictor,
    schema: pa.Schema,
    stamp: Stamp,
    hidden: Destination,
    tally: _Tally,
    on_rows: Callable[[int], None] | None,
) -> None:
    """Reads ahead, scores, and writes behind; `tally` counts what went through."""
    predictions = open_writer(hidden.predictions, schema, hidden.format)
    rejects = open_writer(hidden.rejects, SCHEMA, hidden.format)

    def write(done: _Finished) -> None:
        tally.written += _append(predictions, done.predictions)
        tally.set_aside += _append(rejects, done.rejects)

    try:
        with write_behind(write) as writer:
            for batch in read_ahead(batches):
                writer.put(_score_batch(batch, predictor, schema, stamp, tally))
                if on_rows:
                    on_rows(tally.read.total())
    finally:
        predictions.close()
        rejects.close()


def _append(writer: TableWriter, table: pa.Table) -> int:
    """The number of rows that were handed to the writer."""
    if len(table):
        writer.write_table(table)
    return len(table)


def _score_batch(batch: RawBatch, predictor: Predictor, schema: pa.Schema, stamp: Stamp, tally: _Tally) -> _Finished:
    contract = predictor.contract
    columns = {column.name: column.settings for column in contract.columns}
    checked = check_batch(batch, columns, contract.missing, sensitive=contract.sensitive)
    parsed = {name: checked.table.column(name).combine_chunks() for name in columns}
    predictions = predictor.predict(parsed)
    added = _added_columns(predictions, contract, stamp, batch.source, checked.rows)
    if stamp.why:
        added[WHY] = pa.array(explain(predictor, parsed, predictions), pa.string())
    tally.read[batch.source] += len(batch.rows) + len(batch.malformed)
    tally.last[batch.source] = max(tally.last[batch.source], _last_row(batch))
    tally.scored += len(checked.table)
    tally.rejected += len(checked.rejects)
    tally.reasons.update(count_reasons(checked.rejects))
    tally.labels.update(_count_labels(predictions, contract))
    return _Finished(_assemble(batch, checked, added, schema), checked.rejects)


def _added_columns(
    predictions: Predictions,
    contract: Contract,
    stamp: Stamp,
    source: str,
    rows: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> dict[str, pa.Array]:
    """What scoring adds to each row, under the names that are free in most tables."""
    constants = {"model": stamp.model, "model_version": stamp.version, "run_id": stamp.run_id, "source": source}
    return {
        **output_columns(predictions, contract),
        **{name: _constant(value, len(rows)) for name, value in constants.items()},
        "row": pa.array(rows),
    }


def _constant(value: str, length: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(length, dtype=np.int32)), pa.array([value]))


def _no_predictions(contract: Contract) -> Predictions:
    if contract.task == "regression":
        return Predictions(None, None, np.empty(0, dtype=np.float32))
    return Predictions(np.empty(0, dtype=np.int64), np.empty((0, len(contract.classes)), dtype=np.float32), None)


def _assemble(batch: RawBatch, checked: Checked, added: dict[str, pa.Array], schema: pa.Schema) -> pa.Table:
    """The accepted raw rows with the added columns, in the schema of the whole output."""
    raw = batch.table
    if len(checked.rows) < len(batch.rows):
        raw = raw.take(pa.array(np.searchsorted(batch.rows, checked.rows)))
    kept_count = len(schema) - len(added)
    kept = [_as_type(raw, schema.field(i), batch.source) for i in range(kept_count)]
    return pa.Table.from_arrays([*kept, *added.values()], schema=schema)


def _as_type(raw: pa.Table, wanted: pa.Field, source: str) -> pa.ChunkedArray:
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
            f"{value_type(wanted.type)} like the others; name the columns to write with --keep, without it"
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


def _last_row(batch: RawBatch) -> int:
    return max(int(batch.rows.max(initial=0)), max((bad.row for bad in batch.malformed), default=0))


def _reconcile(tally: _Tally, files: Sequence[SourceFile], hidden: Destination) -> None:
    """Passes when every row of the files is in the finished predictions or rejects; raises PerennialError otherwise."""
    read = tally.read.total()
    problems = list(_unread(tally, files))
    if read != tally.scored + tally.rejected:
        problems.append(f"{read} rows were read, but {tally.scored} scored and {tally.rejected} rejected")
    ends = {"scored": (tally.scored, tally.written), "rejected": (tally.rejected, tally.set_aside)}
    problems += [f"{due} rows were {end}, but {put} written" for end, (due, put) in ends.items() if due != put]
    for path, due in ((hidden.predictions, tally.scored), (hidden.rejects, tally.rejected)):
        held = stated_rows(path, hidden.format)
        if held not in (None, due):
            problems.append(f"{path.name} holds {held} rows instead of {due}")
    if problems:
        raise PerennialError(f"{'; '.join(problems)}; nothing was written")


def _unread(tally: _Tally, files: Sequence[SourceFile]) -> Iterator[str]:
    """A line for each file of which fewer rows, or more, were read than it has.

    Where a file doesn't state its rows, none may be missing among their numbers.
    """
    for file in files:
        stated, read, last = peek(file).rows, tally.read[file.path], tally.last[file.path]
        if stated not in (None, read):
            yield f"{file.path} has {stated} rows, but {read} were read"
        elif read != last:
            yield f"{file.path}: {read} rows were read up to row {last}"

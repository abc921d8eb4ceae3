"""What became of the rows of a window: the truth beside the predictions, where labels have arrived."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.classes import find_classes
from models.columns import KINDS
from models.columns.category.feed import CategorySettings
from models.columns.cells import as_array
from models.columns.number.feed import NumberSettings
from models.contract import Contract
from models.errors import InputError
from tasks.data.checks import require_columns
from tasks.data.database import is_database
from tasks.data.layout import LONGEST_KEY, target_parser
from tasks.data.sources import peek, read_batches, resolve
from tasks.evaluation.scored import Scored, joined
from tasks.scoring.inputs import Sources
from tasks.scoring.predictor import Predictions

MOST_ROWS = 500_000
"""Rows that are kept; of more, a random part."""


@dataclass(frozen=True)
class LabelFiles:
    """Where labels have arrived, apart from the rows."""

    uri: str
    on: str
    """Column that both tables have."""

    @classmethod
    def of(cls, uri: str | None, on: str | None, new: bool = False) -> "LabelFiles | None":
        """None where none are given. Raises InputError for one without the other, for databases, and with `new`."""
        if uri is None and on is None:
            return None
        if uri is None or on is None:
            raise InputError("--labels and --on: give both, the files and the column by which labels belong to rows")
        if is_database(uri):
            raise InputError("--labels: give files; rows and labels of a database are joined by --query")
        if new:
            raise InputError(
                "--labels and --new: rows whose labels arrive were read before; give --labels without --new"
            )
        return cls(uri, on)


@dataclass(frozen=True)
class Labels:
    """Truth by key, from another table than the rows."""

    on: str
    """Column that both tables have."""
    keys: pa.Array
    """Distinct texts [L]."""
    truth: pa.ChunkedArray
    """Labels in the spelling of the target's parser, none missing [L]."""

    def of(self, rows: pa.Table, contract: Contract) -> pa.Array:
        """The labels of the rows [N], null where there is none."""
        places = pc.index_in(_as_keys(rows.column(self.on), contract), value_set=self.keys, skip_nulls=True)
        return as_array(self.truth.take(places))


def read_labels(files: LabelFiles, contract: Contract) -> Labels:
    """The labels in files, by the texts of their column `on`.

    Rows are passed over whose key or label is missing, by the marks of the model file, or can't be read. Raises
    InputError for missing columns, a key with two labels, and files that are no tables.
    """
    uri, on = files.uri, files.on
    wanted = {on, contract.target}
    parse = target_parser(contract.task, contract.missing)
    pieces = []
    for file in resolve(uri):
        require_columns(sorted(wanted), peek(file).schema.names, file.path)
        for batch in read_batches(file, wanted):
            keys = _as_keys(batch.table.column(on), contract)
            truth = as_array(parse(batch.table.column(contract.target)).values)
            plain = truth.cast(pa.float64() if contract.task == "regression" else pa.string())
            pieces.append(pa.table({"key": keys, "truth": plain}))
    table = pa.concat_tables(pieces).drop_null() if pieces else pa.table({"key": [], "truth": []})
    # One row for each key and label, so that a key with two labels is there twice.
    distinct = table.group_by(["key", "truth"]).aggregate([])
    counts = pc.value_counts(distinct.column("key"))
    twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    if len(twice):
        hidden = on in contract.sensitive or contract.target in contract.sensitive
        shown = "a key" if hidden else f"{on} {twice[0].as_py()!r}"
        raise InputError(f"{uri}: {shown} has several labels" + (f", as have {len(twice) - 1} more" * (len(twice) > 1)))
    return Labels(on, as_array(distinct.column("key")), distinct.column("truth"))


def _as_keys(raw: pa.ChunkedArray, contract: Contract) -> pa.Array:
    """Texts in one spelling: 17, 17.0 and "17" are one key, as they are where rows are split by it."""
    settings = CategorySettings(max_characters=LONGEST_KEY)
    return as_array(KINDS["category"].parse(raw, settings, contract.missing).values.cast(pa.string()))


class Outcomes:
    """Collects truth and predictions of rows; of very many a random part, the same in each run."""

    def __init__(self, contract: Contract, labels: Labels | None) -> None:
        self.contract, self.labels = contract, labels
        self.labelled, self.unknown = 0, 0
        """Rows with a label, and those of them whose class the version does not know."""
        self._parse = target_parser(contract.task, contract.missing)
        self._parts: list[Scored] = []
        self._share, self._random = 1.0, np.random.default_rng(0)

    @classmethod
    def wanted(cls, contract: Contract, labels: Labels | None, sources: Sources) -> "Outcomes | None":
        """None where no labels have arrived: neither `labels` nor all sources that are read now have the target.

        Raises InputError for labels of windows whose target is not that of one row, and a key that the rows lack.
        """
        if contract.series and contract.series.target != "end":
            if labels:
                what = f"series.target is {contract.series.target!r}, of several rows"
                raise InputError(f"--labels: {contract.name}: {what}, which can't be compared by row")
            return None
        read = {file.path for file in sources.files}
        tables = [(file.path, schema) for file, schema in sources.tables if file.path in read]
        if labels:
            for path, schema in tables:
                require_columns([labels.on], schema.names, path)
            return cls(contract, labels)
        present = all(contract.target in schema.names for _, schema in tables)
        return cls(contract, None) if present else None

    @property
    def columns(self) -> Sequence[str]:
        """Those of the rows that are needed beside the features."""
        weight = [self.contract.weight] if self.contract.weight else []
        return [self.labels.on if self.labels else self.contract.target, *weight]

    def add(self, raw: pa.Table, predictions: Predictions) -> None:
        """Takes the rows that have a label; `raw` are the rows [N] that were predicted."""
        cells = self.labels.of(raw, self.contract) if self.labels else raw.column(self.contract.target)
        parsed = self._parse(pa.chunked_array([cells]) if isinstance(cells, pa.Array) else cells)
        known = as_array(parsed.values).is_valid().to_numpy(zero_copy_only=False)
        for refusal in parsed.refusals:
            known &= ~refusal.rows
        self.labelled += int(known.sum())
        if self._share < 1:
            known &= self._random.random(len(known)) < self._share
        self._keep(self._scored(as_array(parsed.values), predictions, self._weights(raw), known))

    def scored(self) -> Scored | None:
        """All rows that were kept; None where there are none."""
        return joined(self._parts) if self._parts else None

    def _keep(self, scored: Scored) -> None:
        if len(scored):
            self._parts.append(scored)
        if sum(map(len, self._parts)) > MOST_ROWS:
            everything = joined(self._parts)
            self._parts = [everything.take(self._random.random(len(everything)) < 0.5)]
            self._share /= 2

    def _scored(
        self, truth: pa.Array, predictions: Predictions, weights: NDArray[np.float64] | None, known: NDArray[np.bool_]
    ) -> Scored:
        task, weight = self.contract.task, None if weights is None else weights[known]
        cells = truth.filter(pa.array(known))
        if predictions.values is not None:
            values = predictions.values[known].astype(np.float64)
            return Scored(task, cells.cast(pa.float64()).to_numpy(zero_copy_only=False), values=values, weight=weight)
        codes = find_classes(cells, self.contract.classes)
        self.unknown += int((codes < 0).sum())
        labels, probabilities = predictions.index, predictions.probabilities
        if labels is None or probabilities is None:
            raise InputError(f"{self.contract.name}: the version returns no classes")
        found = Scored(
            task, codes, labels=labels[known], probabilities=probabilities[known].astype(np.float64), weight=weight
        )
        return found.take(codes >= 0)

    def _weights(self, raw: pa.Table) -> NDArray[np.float64] | None:
        """Of each row, 1 where none is given; None where the version was judged without."""
        name = self.contract.weight
        if name is None:
            return None
        if name not in raw.column_names:
            return np.ones(len(raw))
        values = KINDS["number"].parse(raw.column(name), NumberSettings(), self.contract.missing).values
        found = np.asarray(as_array(values).cast(pa.float64()).to_numpy(zero_copy_only=False))
        return np.where(np.isfinite(found) & (found >= 0), found, 1.0)

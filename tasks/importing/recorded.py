"""Answers that the original framework gave for some rows, and how far ours are from them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.classes import find_classes
from models.columns.cells import as_array
from models.contract import Contract, free_name
from models.errors import InputError, RefusedError
from models.problems import near_match
from tasks.data.batches import RawBatch, SourceFile
from tasks.data.checks import check_batch
from tasks.data.contents import with_contents
from tasks.data.sources import peek, read_batches, resolve
from tasks.data.windows import TOO_SHORT, windows_of
from tasks.importing.confined import Progress, unwatched
from tasks.importing.proof import rows_at_once
from tasks.importing.session import failing_plainly
from tasks.scoring.output import no_predictions, output_columns
from tasks.scoring.predictor import Predictions, Predictor

OWN = "those of the pipeline itself"
ADVICE = "look at the inputs, the order of the classes, or graph.tolerance"
OWN_ADVICE = (
    "its converter errs, or a column is of another kind here than where it was fitted; convert it yourself, and give "
    "graph.recorded"
)


class DiffersError(RefusedError):
    """The graph does not answer as the framework did that it comes from: no version may be made of it."""


@dataclass(frozen=True)
class Recorded:
    """How far the version is from what was recorded."""

    rows: int
    difference: float
    """Largest difference of a probability, or of a value relative to the spread of the recorded values."""
    labels_differ: int
    """Rows with another most likely class although the next is further from it than the tolerance."""
    tolerance: float
    labels_alone: bool = False
    """No number was recorded that could differ."""
    asked: bool = False
    """Nothing was recorded: the original was asked itself."""

    def line(self) -> str:
        """For people."""
        if self.labels_alone and self.asked:
            return f"{self.rows:,} labels are those of the pipeline itself, which gives no probabilities"
        if self.labels_alone:
            return f"{self.rows:,} recorded labels agree; no probabilities were recorded"
        whose = "as the pipeline itself" if self.asked else "as recorded"
        return f"{whose} within {self.difference:.2g} on {self.rows:,} rows (allowed {self.tolerance:g})"

    def metrics(self) -> dict[str, float]:
        """For the run: the difference, where one was measured."""
        return {} if self.labels_alone else {"recorded_difference": self.difference}


def compare_recorded(
    predictor: Predictor, uri: str, tolerance: float, progress: Progress = unwatched, asked: bool = False
) -> Recorded:
    """The comparison on all rows of a file that holds the raw columns and, named as predictions are, answers.

    These are `label`, `probability_CLASS` of some or all classes, or `value`; with "_" behind where a raw column is
    called so. `asked` are answers that the original was asked for here. Raises InputError for a file without them, or
    with rows that can't be scored, and DiffersError where an answer is further from the
    recorded one than the tolerance.
    """
    (file, *others) = resolve(uri)
    if others:
        raise InputError(f"graph.recorded: {uri} is {len(others) + 1} files; give one")
    contract = predictor.contract
    answers = _answers_in(file, contract)
    batches = _batches(file, contract, list(answers.values()))
    parts = [_compare(predictor, piece, answers) for batch in batches for piece in _pieces(batch, predictor, progress)]
    if not parts:
        raise InputError(f"{file.path}: holds no rows with recorded answers")
    apart, spread, margin, other = (np.concatenate(each) for each in zip(*parts, strict=True))
    scale = float(np.std(spread)) or 1.0 if contract.task == "regression" else 1.0
    differ = other & (margin > tolerance)
    difference = float(apart.max(initial=0.0)) / scale
    found = Recorded(len(other), difference, int(differ.sum()), tolerance, [*answers] == ["label"], asked)
    if not found.difference <= tolerance:
        worst = int(np.argmax(apart)) + 1
        beyond = int((apart / scale > tolerance).sum())
        whose, advice = (OWN, OWN_ADVICE) if asked else (f"those in {file.path}", ADVICE)
        raise DiffersError(
            f"{contract.name}: answers differ from {whose} by {found.difference:.2g} (allowed {tolerance:g}), most in "
            f"row {worst}, in {beyond} of {found.rows} rows, with {found.labels_differ} other labels; {advice}"
        )
    if found.labels_differ:
        where = "for the pipeline itself" if asked else f"in {file.path}"
        raise DiffersError(
            f"{contract.name}: the label of {found.labels_differ} of {found.rows} rows is another than "
            f"{where}, the first of them row {int(np.argmax(differ)) + 1}; recorded labels should be the most "
            "likely classes"
        )
    return found


def _answers_in(file: SourceFile, contract: Contract) -> dict[str, str]:
    """Columns of the file with recorded answers, by what they are called among the predictions."""
    present = peek(file).schema.names
    named = [name for name in output_columns(no_predictions(contract), contract) if name != "probability"]
    taken = set(contract.raw_columns)
    found = {name: column for name in named if (column := free_name(name, taken)) in present}
    if not found:
        wanted = ", ".join(free_name(name, taken) for name in named[:4])
        hint = near_match(free_name(named[-1], taken), present)
        raise InputError(f"{file.path}: no column holds recorded answers; call them {wanted}{hint}")
    return found


def _batches(file: SourceFile, contract: Contract, answers: list[str]) -> Iterator[RawBatch]:
    columns = {column.name: column.settings for column in contract.columns}
    raw = read_batches(file, {*contract.raw_columns, *answers})
    windows = windows_of(contract.series, columns, contract.missing)
    return with_contents(windows.of(raw) if windows else raw, file, columns, contract.missing)


def _pieces(batch: RawBatch, predictor: Predictor, progress: Progress) -> Iterator[RawBatch]:
    """The batch cut so that a graph that is slow shows that it goes on."""
    at_once = rows_at_once(predictor)
    for start in range(0, max(len(batch.table), 1), at_once):
        progress()
        yield batch.part(start, start + at_once, () if start else batch.malformed)


Compared = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]
"""Of each row: how far its answers are, its recorded value, its margin, and whether its label is another."""


def _compare(predictor: Predictor, batch: RawBatch, answers: dict[str, str]) -> Compared:
    contract = predictor.contract
    checked = check_batch(batch, {c.name: c.settings for c in contract.columns}, contract.missing)
    bad = [reject for reject in checked.rejects.to_pylist() if reject["reason"] != TOO_SHORT]
    if bad:
        raise InputError(
            f"{batch.source}: row {bad[0]['row']} can't be scored: {bad[0]['column']!r} {bad[0]['reason']}"
        )
    kept = batch.table.filter(pa.array(np.isin(batch.rows, checked.rows)))
    columns = {c.name: as_array(checked.table.column(c.name)) for c in contract.columns}
    with failing_plainly(batch.source):
        found = predictor.predict(columns)
    ours = output_columns(found, contract)
    apart, spread = np.zeros(len(kept)), np.zeros(len(kept))
    for name in (name for name in answers if name != "label"):
        theirs = _numbers(kept, answers[name], batch.source)
        difference = np.abs(np.asarray(ours[name], dtype=np.float64) - theirs)
        apart, spread = np.maximum(apart, np.where(np.isnan(difference), np.inf, difference)), theirs
    other, margin = np.zeros(len(kept), dtype=bool), np.full(len(kept), np.inf)
    if "label" in answers and found.index is not None:
        other, margin = _labels(found, find_classes(as_array(kept.column(answers["label"])), contract.classes))
    return apart, spread, margin, other


def _numbers(rows: pa.Table, column: str, source: str) -> NDArray[np.float64]:
    try:
        return np.asarray(rows.column(column).cast(pa.float64()).to_numpy(), dtype=np.float64)
    except pa.ArrowInvalid:
        raise InputError(f"{source}: {column!r} should hold numbers alone") from None


def _labels(found: Predictions, recorded: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each row's most likely class is another than the recorded one, and how far it is from the next.

    Frameworks name that class, and know nothing of a threshold that the costs of mistakes move.
    """
    probabilities = np.asarray(found.probabilities, dtype=np.float64)
    ordered = np.sort(probabilities, axis=1)
    return probabilities.argmax(axis=1) != recorded, np.asarray(ordered[:, -1] - ordered[:, -2])

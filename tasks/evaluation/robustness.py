"""How much worse a model gets where its inputs are not as usual: dark pictures, typing errors, a biased sensor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.columns import KINDS
from models.columns.cells import as_array
from models.contract import Contract, ContractColumn
from models.modelfile import UNDER
from tasks.evaluation.importance import Predict
from tasks.evaluation.metrics import compute_metrics

MOST_ROWS = 2_000
MOST_BYTES = 1 << 28


@dataclass(frozen=True)
class Shifted:
    """The metrics of the same rows as they are and under one named shift of all columns that it applies to."""

    shift: str
    columns: tuple[str, ...]
    rows: int
    usual: dict[str, float]
    metrics: dict[str, float]


def evaluate_shifts(
    contract: Contract,
    predict: Predict,
    test: pa.Table,
    names: Sequence[str],
    seed: int,
    shifts: Iterable[str] | None = None,
) -> list[Shifted]:
    """The named metrics under each of the shifts (None: all that the columns' kinds know), on a sample of the rows."""
    known = known_shifts(contract)
    wanted = known if shifts is None else {shift: known[shift] for shift in shifts if shift in known}
    if not wanted or not test.num_rows:
        return []
    sample = test.take(_sample(test, seed))
    usual = compute_metrics(predict(sample), names)
    found = []
    for shift, columns in wanted.items():
        generator = np.random.default_rng(seed)
        scored = predict(_shift(sample, shift, columns, generator))
        shown = tuple(column.name for column in columns)
        found.append(Shifted(shift, shown, sample.num_rows, usual, compute_metrics(scored, names)))
    return found


def gated_metrics(
    contract: Contract, predict: Predict, rows: pa.Table, gates: Iterable[str], seed: int
) -> dict[str, float]:
    """The value of each gate of the form metric_under_shift on the rows; one that they can't define is left out."""
    asked = {gate: gate.split(UNDER, 1) for gate in gates if UNDER in gate}
    metrics, shifts = ([*dict.fromkeys(names[i] for names in asked.values())] for i in (0, 1))
    shifted = evaluate_shifts(contract, predict, rows, metrics, seed, shifts)
    found = {part.shift: part.metrics for part in shifted}
    values = {gate: found.get(shift, {}).get(metric) for gate, (metric, shift) in asked.items()}
    return {gate: value for gate, value in values.items() if value is not None}


def known_shifts(contract: Contract) -> dict[str, list[ContractColumn]]:
    """The columns that each shift applies to, by its name."""
    found: dict[str, list[ContractColumn]] = {}
    for column in contract.columns:
        for shift in KINDS[column.settings.kind].shifts:
            found.setdefault(shift, []).append(column)
    return found


def _sample(test: pa.Table, seed: int) -> pa.Array:
    affordable = MOST_BYTES * test.num_rows // max(test.nbytes, 1)
    rows = max(1, min(test.num_rows, MOST_ROWS, affordable))
    return pa.array(np.sort(np.random.default_rng(seed).choice(test.num_rows, rows, replace=False)))


def _shift(table: pa.Table, shift: str, columns: Sequence[ContractColumn], generator: np.random.Generator) -> pa.Table:
    for column in columns:
        position = table.column_names.index(column.name)
        change = KINDS[column.settings.kind].shifts[shift]
        values = change(as_array(table.column(position)), column.settings, generator)
        table = table.set_column(position, table.schema.field(position), values)
    return table

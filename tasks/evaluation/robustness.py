"""How much worse a model gets where its inputs are not as usual: dark pictures, typing errors, a biased sensor."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from models.columns import KINDS
from models.columns.cells import as_array
from models.contract import Contract, ContractColumn
from models.modelfile import UNDER
from tasks.evaluation.metrics import compute_metrics
from tasks.evaluation.scored import Scored
from tasks.evaluation.unseen import Predict, Unseen

MOST_ROWS = 2_000
MOST_BYTES = 1 << 26


@dataclass(frozen=True)
class Shifted:
    """The metrics of the same rows as they are and under one named shift of all columns that it applies to."""

    shift: str
    words: str
    columns: tuple[str, ...]
    rows: int
    usual: dict[str, float]
    metrics: dict[str, float]


def evaluate_shifts(
    contract: Contract, predict: Predict, test: Unseen, names: Sequence[str], seed: int
) -> list[Shifted]:
    """The named metrics under all shifts that the columns' kinds know, on a sample of the rows."""
    known = known_shifts(contract)
    if not known or not len(test):
        return []
    sample = _sample(test, seed)
    usual = compute_metrics(predict(sample), names)
    return [
        Shifted(
            shift,
            KINDS[columns[0].settings.kind].shifts[shift].words,
            tuple(column.name for column in columns),
            sample.num_rows,
            usual,
            compute_metrics(_scored_under(shift, columns, predict, sample, seed), names),
        )
        for shift, columns in known.items()
    ]


def gated_metrics(
    contract: Contract, predict: Predict, test: Unseen, gates: Iterable[str], seed: int
) -> dict[str, float]:
    """The value of each gate of the form metric_under_shift on a sample; one that it can't define is left out."""
    asked = [(gate, *gate.split(UNDER, 1)) for gate in gates if UNDER in gate]
    if not asked or not len(test):
        return {}
    known, sample = known_shifts(contract), _sample(test, seed)
    values: dict[str, float] = {}
    for shift in dict.fromkeys(shift for _, _, shift in asked if shift in known):
        scored = _scored_under(shift, known[shift], predict, sample, seed)
        wanted = {metric: gate for gate, metric, under in asked if under == shift}
        values |= {wanted[metric]: value for metric, value in compute_metrics(scored, list(wanted)).items()}
    return values


def _scored_under(
    shift: str, columns: Sequence[ContractColumn], predict: Predict, sample: pa.Table, seed: int
) -> Scored:
    return predict(shifted(sample, shift, columns, np.random.default_rng(seed)))


def known_shifts(contract: Contract) -> dict[str, list[ContractColumn]]:
    """The columns that each shift applies to, by its name."""
    found: dict[str, list[ContractColumn]] = {}
    for column in contract.columns:
        for shift in KINDS[column.settings.kind].shifts:
            found.setdefault(shift, []).append(column)
    return found


def _sample(test: Unseen, seed: int) -> pa.Table:
    return test.sample(min(MOST_ROWS, test.affordable(MOST_BYTES)), np.random.default_rng(seed))


def shifted(table: pa.Table, shift: str, columns: Sequence[ContractColumn], generator: np.random.Generator) -> pa.Table:
    """The rows with these columns under the shift."""
    for column in columns:
        position = table.column_names.index(column.name)
        change = KINDS[column.settings.kind].shifts[shift]
        values = change(as_array(table.column(position)), column.settings, generator)
        table = table.set_column(position, table.schema.field(position), values)
    return table

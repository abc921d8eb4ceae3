"""The whole judgement of one graph on its test rows: the numbers that the report shows and the gates can use."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.classes import Classes, class_codes
from models.columns import ColumnSettings
from models.columns.cells import as_array
from models.contract import Contract
from models.errors import InputError
from models.modelfile import METRICS
from models.sections import Task
from tasks.evaluation.baselines import RIVALS, Baseline, Rows, features_of, rival_of, seen_by, train_baselines
from tasks.evaluation.bootstrap import Interval, Resampling, intervals, paired_difference, rows_resampled
from tasks.evaluation.examples import Mistakes, find_mistakes
from tasks.evaluation.groups import group_codes
from tasks.evaluation.importance import Importance, importance_rows, permutation_importance
from tasks.evaluation.metrics import ClassRow, compute_metrics, per_class
from tasks.evaluation.robustness import Shifted, evaluate_shifts
from tasks.evaluation.scored import Scored
from tasks.evaluation.slices import Slice, choose_columns, evaluate_slices
from tasks.evaluation.unseen import Predict, Unseen

SHIFT_METRICS = 3
"""Metrics that are shown under each shift."""


@dataclass(frozen=True)
class BaselineResult:
    """A baseline's metrics on the test rows, and the network's lead over it in the primary metric."""

    name: str
    rows: int
    """Rows it was trained on, of the training and validation rows."""
    seconds: float
    metrics: dict[str, float]
    lead: Interval
    scored: Scored = field(repr=False, compare=False)


@dataclass(frozen=True)
class Evaluation:
    """What is known about one graph; `record()` is the part that goes into JSON."""

    task: Task
    primary: str
    """The metric that slices, importance and baselines are compared by."""
    rows: int
    classes: Classes
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    by_class: tuple[ClassRow, ...]
    baselines: tuple[BaselineResult, ...]
    slices: tuple[Slice, ...]
    importance: tuple[Importance, ...]
    robustness: tuple[Shifted, ...]
    """The task's first metrics under every shift that the kinds of the columns know."""
    mistakes: tuple[Mistakes, ...]
    """The worst ones by example."""
    notes: tuple[str, ...]
    """What was sampled or left out, in plain words."""
    scored: Scored = field(repr=False, compare=False)

    @property
    def rival(self) -> BaselineResult | None:
        """The baseline that looks at the columns."""
        return next((baseline for baseline in self.baselines if baseline.name != "dummy"), None)

    def record(self) -> dict[str, Any]:
        """All numbers as JSON values, undefined ones as null; scored rows and values of columns are left out."""
        plain = {name: value for name, value in vars(self).items() if name != "scored"}
        plain["baselines"] = [
            {name: value for name, value in vars(baseline).items() if name != "scored"} for baseline in self.baselines
        ]
        plain["mistakes"] = [mistakes.record() for mistakes in self.mistakes]
        return dict(_json(plain))


def evaluate(
    contract: Contract,
    predict: Predict,
    train: pa.Table,
    test: Unseen,
    *,
    slices: Sequence[str] = (),
    group: str | None = None,
    train_rows: int | None = None,
    resamples: int = 300,
    seed: int = 0,
) -> Evaluation:
    """The judgement of the graph behind `predict` on the test rows of a snapshot.

    `train` are the training and validation rows, large values `summarised`, or a sample of these `train_rows` rows, see
    `sample_rows`; only the baselines learn from it. `group` names the column whose rows of one value belong together,
    which intervals take into account.

    Raises InputError when there are no test rows, or no such column to slice by.
    """
    _check(test, slices)
    scored, table = test.scored, test.table
    primary = METRICS[contract.task][0]
    names = [column.name for column in contract.columns]
    importance = permutation_importance(predict, test, names, primary, seed)
    by_importance = [found.column for found in importance] or names
    sliced_by = list(slices) or choose_columns(table, by_importance)
    resampling = Resampling(resamples, seed, None if group is None else group_codes(table.column(group)))
    return Evaluation(
        task=contract.task,
        primary=primary,
        rows=len(scored),
        classes=contract.classes,
        metrics=compute_metrics(scored),
        intervals=intervals(scored, METRICS[contract.task], resampling),
        by_class=tuple(per_class(scored, contract.classes)) if contract.classes else (),
        baselines=_baselines(contract, scored, train, table, resampling),
        slices=tuple(evaluate_slices(scored, table, sliced_by, METRICS[contract.task], contract.sensitive)),
        importance=tuple(importance),
        robustness=tuple(evaluate_shifts(contract, predict, test, METRICS[contract.task][:SHIFT_METRICS], seed)),
        mistakes=find_mistakes(contract, test, by_importance, resampling.groups),
        notes=_notes(contract, train_rows or train.num_rows, train.num_rows, test),
        scored=scored,
    )


def _check(test: Unseen, slices: Sequence[str]) -> None:
    if not len(test):
        raise InputError("split: no test rows to judge the model on; give more data or a larger split.test")
    unknown = [name for name in slices if name not in test.table.column_names]
    if unknown:
        raise InputError(*(f"evaluation.slices: the data has no column {name!r}" for name in unknown))


def _baselines(
    contract: Contract, scored: Scored, train: pa.Table, test: pa.Table, resampling: Resampling
) -> tuple[BaselineResult, ...]:
    if contract.weight is not None:
        train = train.filter(pc.greater(train.column(contract.weight), 0))
    columns, classes = _columns(contract), len(contract.classes)
    rival = rival_of(classes, columns)
    features = features_of(rival, train, test, columns, classes, resampling.seed)
    weight = None if contract.weight is None else train.column(contract.weight).to_numpy()
    found = train_baselines(
        contract.task,
        classes,
        Rows(features.train, _truth(train.column(contract.target), contract), weight),
        Rows(features.test, scored.truth, scored.weight),
        features.categorical,
        contract.threshold,
        resampling.seed,
        rival,
    )
    return tuple(_compare(scored, baseline, resampling) for baseline in found)


def _columns(contract: Contract) -> dict[str, ColumnSettings]:
    return {column.name: column.settings for column in contract.columns}


def _truth(column: pa.ChunkedArray, contract: Contract) -> NDArray[Any]:
    if contract.task == "regression":
        return np.asarray(column.to_numpy(), dtype=np.float64)
    return class_codes(as_array(column), contract.classes)


def _compare(scored: Scored, baseline: Baseline, resampling: Resampling) -> BaselineResult:
    primary = METRICS[scored.task][0]
    lead = paired_difference(primary, scored, baseline.scored, resampling)
    return BaselineResult(
        baseline.name, baseline.rows, baseline.seconds, compute_metrics(baseline.scored), lead, baseline.scored
    )


def _notes(contract: Contract, train_rows: int, learnt_rows: int, test: Unseen) -> tuple[str, ...]:
    test_rows, columns = len(test), _columns(contract)
    used, resampled = importance_rows(test_rows, len(columns), test.nbytes), rows_resampled(test_rows)
    rival = rival_of(len(contract.classes), columns)
    seen, name = seen_by(rival, columns), RIVALS[rival].capitalize()
    said = (
        (bool(seen), f"{name} sees {'; '.join(seen)}."),
        (
            train_rows > learnt_rows,
            f"{name} was trained on {learnt_rows:,} of {train_rows:,} training and validation rows.",
        ),
        (test_rows > resampled, f"Intervals are from {resampled:,} of {test_rows:,} test rows."),
        (used < test_rows, f"Importance was measured on {used:,} of {test_rows:,} test rows."),
    )
    return tuple(text for applies, text in said if applies)


def _json(value: Any) -> Any:
    """The same value in JSON types: NaN becomes null, dataclasses become objects."""
    if hasattr(value, "__dataclass_fields__"):
        return _json(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_json(inner) for inner in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value

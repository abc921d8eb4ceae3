"""What the network has to beat on the same rows: a guess that ignores all columns, and gradient boosting."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.cells import as_array
from models.columns.kind import Mask
from models.sections import Task
from tasks.evaluation.scored import Floats, Indices, Scored, scored_values

MOST_ROWS = 200_000
MOST_VALUES = 254
"""Values of a category that boosting tells apart: it has 255 bins."""
ITERATIONS = 200
FEW_CELLS = 2_000_000
"""Up to here one thread is as fast as many, and doesn't wait for cores that others use."""
TREES = 1_000
"""Trees in all; with many classes each iteration grows one per class."""


@dataclass(frozen=True)
class Rows:
    """Columns as boosting takes them, with their truth. NaN is a missing value."""

    features: Floats
    """[N, F]."""
    truth: NDArray[Any]
    weight: Floats | None


@dataclass(frozen=True)
class Baseline:
    """A simple model trained on all but the test rows, and what it says about the test rows."""

    name: str
    scored: Scored
    rows: int
    """Rows it was trained on."""
    seconds: float


def train_baselines(
    task: Task,
    class_count: int,
    train: Rows,
    test: Rows,
    categorical: Sequence[bool],
    threshold: float | None,
    seed: int,
) -> list[Baseline]:
    """Dummy and histogram gradient boosting, both by scikit-learn.

    `categorical` [F] marks columns of codes. A binary baseline decides by
    `threshold`, the network's own, so that only the probabilities are compared.
    """
    from sklearn.dummy import DummyClassifier, DummyRegressor

    regression = task == "regression"
    dummy = DummyRegressor() if regression else DummyClassifier(strategy="prior")
    models = {"dummy": dummy, "boosting": _boosting(task, train, categorical, seed)}
    return [_train(name, model, class_count, train, test, threshold) for name, model in models.items()]


def sample_rows(rows: Mask, seed: int) -> Mask:
    """The marked rows, or 200,000 of them where there are more: boosting hardly gets better beyond. Masks [N]."""
    marked = np.flatnonzero(rows)
    if len(marked) <= MOST_ROWS:
        return rows
    sampled = np.zeros_like(rows)
    sampled[np.random.default_rng(seed).choice(marked, MOST_ROWS, replace=False)] = True
    return sampled


def feature_matrix(train: pa.Table, test: pa.Table, columns: Sequence[str]) -> tuple[Floats, Floats, list[bool]]:
    """Train and test columns as float64 [N, F], and which are codes of categories; other types are left out.

    Codes are by frequency in the training rows; values beyond 254 or unseen are missing, as are nulls. A date is five
    columns: seconds since 1970, and the hour, weekday, day and month, which the network has too.
    """
    kept = [
        feature for name in columns for feature in _encode(as_array(train.column(name)), as_array(test.column(name)))
    ]
    if not kept:
        return np.zeros((train.num_rows, 1)), np.zeros((test.num_rows, 1)), [False]
    return np.stack([k[0] for k in kept], axis=1), np.stack([k[1] for k in kept], axis=1), [k[2] for k in kept]


def _encode(train: pa.Array, test: pa.Array) -> list[tuple[Floats, Floats, bool]]:
    """What a column becomes: training and test values [N], and whether they are codes."""
    kind = train.type
    if pa.types.is_dictionary(kind):
        return [(*_codes(train, test), True)]
    if pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return [(_floats(train), _floats(test), False)]
    if pa.types.is_timestamp(kind):
        return [(first, second, False) for first, second in zip(_calendar(train), _calendar(test), strict=True)]
    return []


def _calendar(dates: pa.Array) -> list[Floats]:
    """Seconds since 1970, hour of the day with its fraction, weekday from Monday 0, day of the month, and month."""
    seconds = _floats(dates.cast(pa.timestamp("us", "UTC")).cast(pa.int64())) / 1e6
    return [seconds, seconds % 86400 / 3600, *(_floats(part(dates)) for part in (pc.day_of_week, pc.day, pc.month))]


def _floats(values: pa.Array) -> Floats:
    return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _codes(train: pa.Array, test: pa.Array) -> tuple[Floats, Floats]:
    text = train.cast(pa.string())
    counted = pc.value_counts(text.drop_null())
    order = np.argsort(-counted.field("counts").to_numpy(zero_copy_only=False), kind="stable")[:MOST_VALUES]
    vocabulary = counted.field("values").take(pa.array(order))
    return _floats(pc.index_in(text, vocabulary)), _floats(pc.index_in(test.cast(pa.string()), vocabulary))


def _boosting(task: Task, train: Rows, categorical: Sequence[bool], seed: int) -> Any:
    """Boosting that stops early on a part of its own training rows, where each class is frequent enough to be split."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    counts = np.array([len(train.truth)]) if task == "regression" else np.unique(train.truth, return_counts=True)[1]
    stops = bool(counts.min() >= 2 and 0.1 * counts.sum() >= max(10, len(counts)))
    trees_at_once = len(counts) if task == "multiclass" else 1
    kind = HistGradientBoostingRegressor if task == "regression" else HistGradientBoostingClassifier
    return kind(
        max_iter=max(20, min(ITERATIONS, TREES // trees_at_once)),
        categorical_features=np.asarray(categorical, dtype=bool),
        early_stopping=stops,
        n_iter_no_change=10,
        random_state=seed,
    )


def _train(name: str, model: Any, class_count: int, train: Rows, test: Rows, threshold: float | None) -> Baseline:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    started = time.perf_counter()
    with threadpool_limits(None if train.features.size > FEW_CELLS else 1, user_api="openmp"):
        model.fit(train.features, train.truth, sample_weight=train.weight)
        if class_count:
            scored = _classify(model, class_count, test, threshold)
        else:
            scored = scored_values(test.truth, model.predict(test.features), test.weight)
    return Baseline(name, scored, len(train.truth), time.perf_counter() - started)


def _classify(model: Any, class_count: int, test: Rows, threshold: float | None) -> Scored:
    """Probabilities of all classes, 0 for those that the training rows lacked."""
    probabilities = np.zeros((len(test.truth), class_count))
    probabilities[:, model.classes_] = model.predict_proba(test.features)
    labels: Indices = probabilities.argmax(axis=1)
    if class_count == 2 and threshold is not None:
        labels = (probabilities[:, 1] >= threshold).astype(np.int64)
    task: Task = "binary" if class_count == 2 else "multiclass"
    return Scored(task, test.truth, labels=labels, probabilities=probabilities, weight=test.weight)

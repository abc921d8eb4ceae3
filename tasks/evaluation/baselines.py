"""What the network has to beat on the same rows: a guess that ignores all columns, and boosting or a linear model."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns import KINDS, ColumnSettings
from models.columns.cells import is_text
from models.columns.kind import Mask
from models.sections import Task
from tasks.data.contents import row_bytes
from tasks.evaluation.features import MOST_WORDS, Features, dense_features, sparse_features
from tasks.evaluation.quiet import quiet
from tasks.evaluation.scored import Floats, Indices, Scored, scored_values

Rival = Literal["boosting", "linear"]
RIVALS: Mapping[str, str] = MappingProxyType({"boosting": "gradient boosting", "linear": "logistic regression"})
"""What they are called."""

MOST_ROWS = 200_000
FEW_OF_A_CLASS = 10
"""Rows that a sample has of each class, if there are so many."""
MOST_SUMMARISED = 20_000
"""Rows whose texts, pictures, recordings or series are summarised."""
MOST_BYTES = 1 << 29
"""Of their values."""
ITERATIONS = 200
FEW_CELLS = 2_000_000
"""Up to here one thread is as fast as many, and doesn't wait for cores that others use."""
TREES = 1_000
"""Trees in all; with many classes each iteration grows one per class."""
MANY_CLASSES = 20
MOST_WEIGHTS = 2_000_000
"""Of a linear model in all; with many classes each word has one per class."""


@dataclass(frozen=True)
class Rows:
    """Columns as baselines take them, with their truth. NaN is a missing value."""

    features: Any
    """Floats [N, F], or a sparse matrix of that shape."""
    truth: NDArray[Any]
    weight: Floats | None


@dataclass(frozen=True)
class Baseline:
    """A simple model trained on all but the test rows, and what it says about the test rows."""

    name: str
    """`dummy`, or the rival's."""
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
    rival: Rival = "boosting",
) -> list[Baseline]:
    """Dummy, and histogram gradient boosting or multinomial logistic regression, all by scikit-learn.

    `categorical` [F] marks columns of codes. A binary baseline decides by
    `threshold`, the network's own, so that only the probabilities are compared.
    """
    from sklearn.dummy import DummyClassifier, DummyRegressor

    regression = task == "regression"
    dummy = DummyRegressor() if regression else DummyClassifier(strategy="prior")
    model = _linear() if rival == "linear" else _boosting(task, train, categorical, seed)
    models = {"dummy": dummy, rival: model} if regression or len(np.unique(train.truth)) > 1 else {"dummy": dummy}
    return [_train(name, model, class_count, train, test, threshold) for name, model in models.items()]


def sample_rows(rows: Mask, seed: int, most: int = MOST_ROWS, classes: Indices | None = None) -> Mask:
    """The marked rows, or so many of them where there are more: baselines hardly get better beyond. Masks [N].

    A few of each class come first, `classes` [N] any numbers of them, so that no rare one is lost; the others are drawn
    from all alike.
    """
    marked = np.flatnonzero(rows)
    if len(marked) <= most:
        return rows
    drawn = np.random.default_rng(seed).permutation(marked)
    if classes is not None:
        turn = _turns(classes[drawn])
        few = min(FEW_OF_A_CLASS, max(1, most // (2 * int((turn == 0).sum()))))
        drawn = drawn[np.argsort(turn >= few, kind="stable")]
    sampled = np.zeros_like(rows)
    sampled[drawn[:most]] = True
    return sampled


def _turns(classes: Indices) -> Indices:
    """How many rows of the same class are before each, [N]."""
    order = np.argsort(classes, kind="stable")
    _, starts, counts = np.unique(classes[order], return_index=True, return_counts=True)
    turns = np.empty(len(classes), np.int64)
    turns[order] = np.arange(len(classes)) - np.repeat(starts, counts)
    return turns


def rows_affordable(columns: Mapping[str, ColumnSettings]) -> int:
    """How many rows baselines learn from: fewer where values have to be summarised first, or are large."""
    if not _has_summaries(columns):
        return MOST_ROWS
    return max(1, min(MOST_SUMMARISED, MOST_BYTES // max(1, row_bytes(columns))))


def rival_of(class_count: int, columns: Mapping[str, ColumnSettings]) -> Rival:
    """The baseline that suits: boosting, but a linear model for classes of texts, and for many classes of large values.

    There, boosting would be slow, or weak with the features and trees that time allows.
    """
    many = class_count > MANY_CLASSES and _has_summaries(columns)
    return "linear" if many or (class_count and any(map(_is_words, columns.values()))) else "boosting"


def features_of(
    rival: Rival,
    train: pa.Table,
    test: pa.Table,
    columns: Mapping[str, ColumnSettings],
    class_count: int,
    seed: int,
) -> Features:
    """The columns as the rival takes them."""
    if rival == "boosting":
        return dense_features(train, test, columns, seed)
    return sparse_features(train, test, columns, min(MOST_WORDS, max(1, MOST_WEIGHTS // class_count)))


def seen_by(rival: Rival, columns: Mapping[str, ColumnSettings]) -> list[str]:
    """In words, what the rival sees in place of values that are no numbers or names."""
    words = {
        "boosting": "texts as up to 100 components of their words (TF-IDF and truncated SVD)",
        "linear": "texts as the weights (TF-IDF) of their words and pairs of words",
    }
    seen = [words[rival] if _is_words(s) else KINDS[s.kind].summarised for s in columns.values()]
    return [phrase for phrase in dict.fromkeys(seen) if phrase]


def _has_summaries(columns: Mapping[str, ColumnSettings]) -> bool:
    return any(_is_words(settings) or KINDS[settings.kind].summarised for settings in columns.values())


def _is_words(settings: ColumnSettings) -> bool:
    return is_text(KINDS[settings.kind].arrow_type(settings))


def _linear() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10, tol=1e-3, max_iter=60)


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
    with quiet(), threadpool_limits(None if train.features.size > FEW_CELLS else 1, user_api="openmp"):
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

"""The metrics of a task, by scikit-learn. A metric that the rows can't define is NaN and left out, never an error.

Rows of weight 0 are absent: they neither bring a class nor make it rare.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from sklearn import metrics as sk

from models.errors import InputError
from models.modelfile import FEWEST_CLASSES, LOWER_IS_BETTER, METRICS
from tasks.evaluation.quiet import quiet
from tasks.evaluation.scored import Floats, Indices, Scored

Metric = Callable[[Scored], float]
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "average_precision": "Average precision",
        "roc_auc": "ROC AUC",
        "roc_auc_macro": "ROC AUC, mean of classes",
        "f1": "F1",
        "f1_macro": "F1, mean of classes",
        "precision": "Precision",
        "precision_macro": "Precision, mean of classes",
        "recall": "Recall",
        "recall_macro": "Recall, mean of classes",
        "accuracy": "Accuracy",
        "top_3_accuracy": "Accuracy of the best 3",
        "balanced_accuracy": "Balanced accuracy",
        "log_loss": "Log loss",
        "brier": "Brier score",
        "calibration_error": "Calibration error",
        "rmse": "Root mean squared error",
        "mae": "Mean absolute error",
        "r2": "R²",
    }
)

TOP = 3
"""Of so many likeliest classes one should be right; of few classes that says nothing."""
CALIBRATION_BINS = 15
"""As in Guo et al. 2017."""


@dataclass(frozen=True)
class ClassRow:
    """One class against the rest; NaN where the rows can't define the figure."""

    name: str
    support: int
    precision: float
    recall: float
    f1: float
    average_precision: float
    roc_auc: float


def metric(name: str) -> Metric:
    """The function that computes one metric: NaN where the rows can't define it. Raises InputError for other names."""
    if name not in _FUNCTIONS:
        raise InputError(f"{name}: no such metric; known are {', '.join(_FUNCTIONS)}")
    function = _FUNCTIONS[name]

    def measure(scored: Scored) -> float:
        with quiet():
            return function(scored.counted)

    return measure


def compute_metrics(scored: Scored, names: Sequence[str] | None = None) -> dict[str, float]:
    """The named metrics, or all of the task; those that the rows can't define are left out."""
    wanted = METRICS[scored.task] if names is None else names
    counted = scored.counted
    found = {name: metric(name)(counted) for name in wanted}
    return {name: value for name, value in found.items() if not np.isnan(value)}


def improvement(name: str, challenger: float, champion: float) -> float:
    """How much better the challenger's value is: positive is better, whichever way the metric runs."""
    return champion - challenger if name in LOWER_IS_BETTER else challenger - champion


def present_classes(scored: Scored) -> Indices:
    """Classes that occur in the truth of rows that count. Macro averages are over these."""
    return np.unique(scored.counted.truth)


def per_class(scored: Scored, classes: Sequence[str | int | bool]) -> list[ClassRow]:
    """One row per class, in the order of `classes`."""
    counted = scored.counted
    if not len(counted):
        return [ClassRow(str(name), 0, *(np.nan,) * 5) for name in classes]
    with quiet():
        return _per_class(counted, classes)


def _per_class(scored: Scored, classes: Sequence[str | int | bool]) -> list[ClassRow]:
    precision, recall, f1, _ = sk.precision_recall_fscore_support(
        scored.truth, scored.labels, labels=np.arange(len(classes)), sample_weight=scored.weight, zero_division=np.nan
    )
    support = np.bincount(scored.truth, minlength=len(classes))
    return [
        ClassRow(
            name=str(name),
            support=int(support[i]),
            precision=float(precision[i]),
            recall=float(recall[i]),
            f1=float(f1[i]),
            average_precision=_class_average_precision(scored, i),
            roc_auc=_class_auc(scored, i),
        )
        for i, name in enumerate(classes)
    ]


def has_many_classes(scored: Scored) -> bool:
    """Whether it says something that a class is among the three likeliest."""
    return len(scored) > 0 and scored.class_count >= FEWEST_CLASSES["top_3_accuracy"]


def among_likeliest(scored: Scored) -> NDArray[np.bool_]:
    """Whether the true class is among the three likeliest of each row, [N]."""
    likeliest = np.argpartition(-scored.probabilities, TOP - 1, axis=1)[:, :TOP]
    return np.asarray((likeliest == scored.truth[:, None]).any(axis=1))


def calibration_bins(scored: Scored) -> tuple[Indices, Floats, Floats]:
    """Bin of each row, its confidence and whether it came true, each [N].

    Binary: the positive class's probability and whether the row is positive (Naeini et al. 2015). Multiclass: the top
    probability and whether the likeliest class is the true one (Guo et al. 2017). Bins are of equal width.
    """
    probabilities = scored.normalized
    if scored.task == "binary":
        confidence, hit = probabilities[:, 1], scored.truth == 1
    else:
        confidence, hit = probabilities.max(axis=1), scored.truth == probabilities.argmax(axis=1)
    bins = np.minimum((confidence * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    return bins, confidence, hit.astype(np.float64)


def _calibration_error(scored: Scored) -> float:
    """Expected calibration error: the mean gap between confidence and frequency, weighted by bin."""
    if not len(scored):
        return np.nan
    bins, confidence, hit = calibration_bins(scored)
    gaps = np.bincount(bins, weights=scored.weights * (confidence - hit))
    return float(np.abs(gaps).sum() / scored.weights.sum())


def _defined(needed: Callable[[Scored], bool], function: Metric) -> Metric:
    return lambda scored: float(function(scored)) if needed(scored) else np.nan


def _has_rows(scored: Scored) -> bool:
    return len(scored) > 0


def _has_positives(scored: Scored) -> bool:
    return bool((scored.truth == 1).any())


def _has_spread(scored: Scored) -> bool:
    return len(scored) > 1 and bool((scored.truth != scored.truth[0]).any())


def _one_against_rest(scored: Scored, index: int, function: Callable[..., float]) -> float:
    is_class: NDArray[np.bool_] = scored.truth == index
    if is_class.all() or not is_class.any():
        return np.nan
    return float(function(is_class, scored.probabilities[:, index], sample_weight=scored.weight))


def _class_average_precision(scored: Scored, index: int) -> float:
    return _one_against_rest(scored, index, sk.average_precision_score)


def _class_auc(scored: Scored, index: int) -> float:
    return _one_against_rest(scored, index, sk.roc_auc_score)


def _macro_auc(scored: Scored) -> float:
    return float(np.mean([_class_auc(scored, index) for index in present_classes(scored)]))


def _log_loss(scored: Scored) -> float:
    labels = np.arange(scored.class_count)
    return float(sk.log_loss(scored.truth, scored.normalized, labels=labels, sample_weight=scored.weight))


def _brier(scored: Scored) -> float:
    labels = np.arange(scored.class_count)
    return float(sk.brier_score_loss(scored.truth, scored.normalized, labels=labels, sample_weight=scored.weight))


def _binary(function: Callable[..., float]) -> Metric:
    return lambda scored: function(scored.truth, scored.labels, sample_weight=scored.weight, zero_division=0.0)


def _macro(function: Callable[..., float]) -> Metric:
    return lambda scored: function(
        scored.truth,
        scored.labels,
        labels=present_classes(scored),
        average="macro",
        sample_weight=scored.weight,
        zero_division=0.0,
    )


def _of_labels(function: Callable[..., float]) -> Metric:
    return lambda scored: function(scored.truth, scored.labels, sample_weight=scored.weight)


def _of_values(function: Callable[..., float]) -> Metric:
    return lambda scored: function(scored.truth, scored.values, sample_weight=scored.weight)


_FUNCTIONS: Mapping[str, Metric] = MappingProxyType(
    {
        "average_precision": _defined(_has_spread, lambda scored: _class_average_precision(scored, 1)),
        "roc_auc": _defined(_has_spread, lambda scored: _class_auc(scored, 1)),
        "f1": _defined(_has_positives, _binary(sk.f1_score)),
        "precision": _defined(_has_positives, _binary(sk.precision_score)),
        "recall": _defined(_has_positives, _binary(sk.recall_score)),
        "accuracy": _defined(_has_rows, _of_labels(sk.accuracy_score)),
        "top_3_accuracy": _defined(
            has_many_classes, lambda scored: np.average(among_likeliest(scored), weights=scored.weights)
        ),
        "balanced_accuracy": _defined(_has_rows, _macro(sk.recall_score)),
        "f1_macro": _defined(_has_rows, _macro(sk.f1_score)),
        "precision_macro": _defined(_has_rows, _macro(sk.precision_score)),
        "recall_macro": _defined(_has_rows, _macro(sk.recall_score)),
        "roc_auc_macro": _defined(_has_spread, _macro_auc),
        "log_loss": _defined(_has_rows, _log_loss),
        "brier": _defined(_has_rows, _brier),
        "calibration_error": _calibration_error,
        "rmse": _defined(_has_rows, _of_values(sk.root_mean_squared_error)),
        "mae": _defined(_has_rows, _of_values(sk.mean_absolute_error)),
        "r2": _defined(_has_spread, _of_values(sk.r2_score)),
    }
)

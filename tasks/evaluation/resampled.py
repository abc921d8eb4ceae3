"""Metrics under many weightings of the same rows at once, equal to scikit-learn's on each.

This is the arithmetic of the bootstrap: scikit-learn would sort the rows anew for each resample. Weights W have shape
[N, R], one column per resample; every result has shape [R] and is NaN where a resample can't define the metric.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tasks.evaluation.metrics import CALIBRATION_BINS, among_likeliest, calibration_bins, has_many_classes
from tasks.evaluation.scored import Floats, Indices, Scored

Results = dict[str, Floats]
Resampled = Callable[[Floats], Results]
"""From W [N, R] to metrics [R]."""

_CURVES = {"average_precision", "roc_auc", "roc_auc_macro"}
_MEANS = {"log_loss", "brier", "top_3_accuracy", "mae", "rmse", "r2"}


def prepare(scored: Scored, names: Sequence[str]) -> Resampled:
    """A function from weights [N, R] to the named metrics [R] each; what doesn't depend on weights is done once."""
    wanted = set(names)
    parts: list[Resampled] = []
    if "average_precision" in wanted:
        parts.append(_average_precision(scored, 1))
    if "roc_auc" in wanted:
        parts.append(_roc_auc(scored, 1))
    if "roc_auc_macro" in wanted:
        parts.append(_macro_auc(scored))
    if "calibration_error" in wanted:
        parts.append(_calibration_error(scored))
    if wanted & _MEANS:
        parts.append(_errors(scored) if scored.task == "regression" else _losses(scored))
    if wanted - _CURVES - _MEANS - {"calibration_error"}:
        parts.append(_decisions(scored))

    def evaluate(weights: Floats) -> Results:
        found: Results = {}
        for part in parts:
            found |= part(weights)
        return {name: found[name] for name in names}

    return evaluate


def _ratio(above: Floats, below: Floats, otherwise: float = np.nan) -> Floats:
    return np.divide(above, below, out=np.full_like(above, otherwise), where=below > 0)


def _by_score(scored: Scored, index: int) -> tuple[Callable[[Floats], Floats], NDArray[np.bool_], Indices]:
    """How to order weights by falling score of a class, the class's rows in that order, and where ties end."""
    order = np.argsort(-scored.probabilities[:, index], kind="stable")
    scores = scored.probabilities[order, index]
    ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    in_order = bool((order == np.arange(len(order))).all())
    return (lambda weights: weights if in_order else weights[order]), scored.truth[order] == index, ends


def _average_precision(scored: Scored, index: int) -> Resampled:
    """Precision at each distinct score, weighted by the recall gained there."""
    reorder, is_class, ends = _by_score(scored, index)

    def evaluate(weights: Floats) -> Results:
        ordered = reorder(weights)
        positive = np.cumsum(ordered * is_class[:, None], axis=0)[ends]
        total = np.cumsum(ordered, axis=0)[ends]
        gained = np.diff(positive, axis=0, prepend=0)
        area = np.einsum("gr,gr->r", gained, _ratio(positive, total, 0.0))
        mixed = (positive[-1] > 0) & (positive[-1] < total[-1])
        return {"average_precision": np.where(mixed, _ratio(area, positive[-1]), np.nan)}

    return evaluate


def _roc_auc(scored: Scored, index: int) -> Resampled:
    """The share of pairs in which the class's row has the higher score, ties counted half (Mann and Whitney 1947)."""
    reorder, is_class, ends = _by_score(scored, index)
    tie = np.searchsorted(ends, np.flatnonzero(is_class))
    last, first = ends[tie], np.append(0, ends + 1)[tie]

    def evaluate(weights: Floats) -> Results:
        ordered = reorder(weights)
        above = np.zeros((len(ordered) + 1, weights.shape[1]))
        np.cumsum(ordered * ~is_class[:, None], axis=0, out=above[1:])
        negative, positive = above[-1], ordered[is_class]
        passed = np.einsum("pr,pr->r", positive, above[first] + above[last + 1])
        return {"roc_auc": 1 - _ratio(passed, 2 * negative * positive.sum(axis=0))}

    return evaluate


def _macro_auc(scored: Scored) -> Resampled:
    classes = [_roc_auc(scored, int(index)) for index in np.unique(scored.truth)]

    def evaluate(weights: Floats) -> Results:
        areas = np.stack([of_class(weights)["roc_auc"] for of_class in classes])
        return {"roc_auc_macro": _mean_of_defined(areas)}

    return evaluate


def _mean_of_defined(by_class: Floats) -> Floats:
    defined = ~np.isnan(by_class)
    return _ratio(np.where(defined, by_class, 0.0).sum(axis=0), defined.sum(axis=0))


def _calibration_error(scored: Scored) -> Resampled:
    bins, confidence, hit = calibration_bins(scored)
    gaps = _grouped(bins, CALIBRATION_BINS, confidence - hit)
    return lambda weights: {"calibration_error": _ratio(np.abs(gaps @ weights).sum(axis=0), weights.sum(axis=0))}


def _grouped(groups: Indices, count: int, values: NDArray[np.generic] | None = None) -> sparse.csr_matrix:
    """The sparse matrix [count, N] that sums rows of weights by group, times `values` if given."""
    rows = len(groups)
    entries = np.ones(rows) if values is None else values.astype(np.float64)
    return sparse.csr_matrix((entries, (groups, np.arange(rows))), shape=(count, rows))


def _losses(scored: Scored) -> Resampled:
    probabilities = scored.normalized
    of_truth = probabilities[np.arange(len(scored)), scored.truth]
    epsilon = np.finfo(np.float64).eps
    squares = (probabilities**2).sum(axis=1) - 2 * of_truth + 1
    by_row = {
        "log_loss": -np.log(np.clip(of_truth, epsilon, 1 - epsilon)),
        "brier": squares / (2 if scored.class_count == 2 else 1),
        "top_3_accuracy": among_likeliest(scored) if has_many_classes(scored) else np.full(len(scored), np.nan),
    }

    def evaluate(weights: Floats) -> Results:
        means = _ratio(np.stack([*by_row.values()]) @ weights, weights.sum(axis=0))
        return dict(zip(by_row, means, strict=True))

    return evaluate


def _errors(scored: Scored) -> Resampled:
    error = scored.truth - scored.values
    centred = scored.truth - scored.truth.mean()
    by_row = np.stack([np.abs(error), error**2, centred, centred**2])

    def evaluate(weights: Floats) -> Results:
        mae, squared, mean, around = _ratio(by_row @ weights, weights.sum(axis=0))
        spread = around - mean**2
        constant = spread <= 1e-12 * around
        r2 = np.where(constant, np.nan, 1 - _ratio(squared, spread))
        return {"mae": mae, "rmse": np.sqrt(squared), "r2": r2}

    return evaluate


def _decisions(scored: Scored) -> Resampled:
    """Everything that depends on the decided classes alone, from weighted counts by class."""
    count = scored.class_count
    correct = _grouped(scored.truth, count, scored.truth == scored.labels)
    actual, decided = _grouped(scored.truth, count), _grouped(scored.labels, count)

    def evaluate(weights: Floats) -> Results:
        hits, support, claims = correct @ weights, actual @ weights, decided @ weights
        recall = _ratio(hits, support)
        precision = np.where(support > 0, _ratio(hits, claims, 0.0), np.nan)
        f1 = np.where(support > 0, _ratio(2 * hits, support + claims), np.nan)
        found = {
            "accuracy": _ratio(hits.sum(axis=0), support.sum(axis=0)),
            "balanced_accuracy": _mean_of_defined(recall),
        }
        if scored.task == "binary":
            return found | {"recall": recall[1], "precision": precision[1], "f1": f1[1]}
        macro = {"recall_macro": recall, "precision_macro": precision, "f1_macro": f1}
        return found | {name: _mean_of_defined(by_class) for name, by_class in macro.items()}

    return evaluate

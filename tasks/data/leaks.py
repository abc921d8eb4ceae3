"""Columns that give the target away: known only after the fact, or the target under another name."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.modelfile import Task
from tasks.data.observe import Observed

ENOUGH = 0.99
"""ROC AUC, balanced accuracy or R2 that one honest column hardly ever reaches alone."""
SURE = 0.95
"""Share of one class among the rows of one value from which the value is as good as the class."""
LIFT = 3.0
FEWEST = 10
MOST_VALUES = 5
ROWS = 20_000


def find_leaks(columns: Mapping[str, Observed], target: pa.Array, task: Task) -> dict[str, str]:
    """Why a column leaks, for each one that does.

    A column leaks when a shallow tree on it alone, cross-validated, predicts the target almost perfectly, or when
    nearly all rows of one of its few values are of one class that is rare elsewhere. `target` are parsed values, null
    where missing; of many rows a fixed random choice is looked at.
    """
    known = np.flatnonzero(np.asarray(target.is_valid()))
    rows = known if len(known) <= ROWS else np.random.default_rng(0).choice(known, ROWS, replace=False)
    taken = target.take(pa.array(np.sort(rows)))
    truth = (
        taken.to_numpy(zero_copy_only=False) if task == "regression" else np.asarray(taken.to_pylist(), dtype=object)
    )
    if len(truth) < 50 or (task != "regression" and np.unique(truth.astype(str), return_counts=True)[1].min() < 3):
        return {}
    found: dict[str, str] = {}
    for name, column in columns.items():
        reason = _giveaway(column.values, target) if task != "regression" else ""
        reason = reason or _predicts(column.values.take(pa.array(np.sort(rows))), truth, task)
        if reason:
            found[name] = reason
    return found


def _giveaway(values: pa.Array, target: pa.Array) -> str:
    """The sentence about the value that is as good as a class, or nothing."""
    texts = values.cast(pa.string())
    if len(pc.unique(texts).drop_null()) > MOST_VALUES:
        return ""
    classes = target.cast(pa.string())
    share = {entry["values"].as_py(): entry["counts"].as_py() / len(classes) for entry in pc.value_counts(classes)}
    pairs = pa.table({"value": texts, "class": classes}).group_by(["value", "class"]).aggregate([([], "count_all")])
    totals = {entry["values"].as_py(): entry["counts"].as_py() for entry in pc.value_counts(texts)}
    for pair in pairs.to_pylist():
        value, name, count = pair["value"], pair["class"], pair["count_all"]
        sure = count / totals[value]
        if value is not None and name is not None and count >= FEWEST and sure >= SURE and sure >= LIFT * share[name]:
            return f"{count} of the {totals[value]} rows where it is {value} have target {name}"
    return ""


def _predicts(values: pa.Array, truth: NDArray[np.generic], task: Task) -> str:
    """The sentence about how well the column alone predicts the target, or nothing."""
    from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    x = _as_matrix(values)
    if task == "regression":
        numbers = truth.astype(np.float64)
        folds = KFold(3, shuffle=True, random_state=0)
        guesses = cross_val_predict(DecisionTreeRegressor(max_depth=10, random_state=0), x, numbers, cv=folds)
        score = float(r2_score(numbers, guesses))
        return f"alone it explains the target (R2 {score:.3f})" if score >= ENOUGH else ""
    names = truth.astype(str)
    tree = DecisionTreeClassifier(max_depth=6, min_samples_leaf=2, random_state=0)
    if task == "binary":
        positive = names == np.unique(names)[1]
        score = float(roc_auc_score(positive, cross_val_predict(tree, x, names, cv=3, method="predict_proba")[:, 1]))
        return f"alone it tells the classes apart (ROC AUC {score:.3f})" if score >= ENOUGH else ""
    score = float(balanced_accuracy_score(names, cross_val_predict(tree, x, names, cv=3)))
    return f"alone it tells the classes apart (balanced accuracy {score:.3f})" if score >= ENOUGH else ""


def _as_matrix(values: pa.Array) -> NDArray[np.float64]:
    """Numbers as they are; of texts the thirty most frequent as one column each; NaN or zeros where missing."""
    if not pa.types.is_dictionary(values.type):
        numbers = values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values
        return np.asarray(numbers.cast(pa.float64()).to_numpy(zero_copy_only=False)).reshape(-1, 1)
    codes = pc.fill_null(values.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    frequent = np.argsort(-np.bincount(codes[codes >= 0], minlength=1), kind="stable")[:30]
    return np.asarray(codes[:, None] == frequent[None, :], dtype=np.float64)

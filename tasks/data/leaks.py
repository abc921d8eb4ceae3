"""Columns that give the target away: known only after the fact, or the target under another name."""

from collections.abc import Collection, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.sections import Task
from tasks.data.observe import Observed

ENOUGH = 0.99
"""ROC AUC, balanced accuracy or R2 that one honest column hardly ever reaches alone."""
SURE = 0.95
"""Share of one class among the rows of one value from which the value is as good as the class."""
LIFT = 3.0
FEWEST = 10
RARE = 0.01
"""Share below which a class, if there are others to tell apart, has too few rows to be told apart reliably."""
MOST_VALUES = 5
ROWS = 20_000
FEWEST_ROWS = 50


def find_leaks(
    columns: Mapping[str, Observed], target: pa.Array, task: Task, sensitive: Collection[str] = ()
) -> dict[str, str]:
    """Why a column leaks, for each one that does.

    A column leaks when a shallow tree on it alone, cross-validated, predicts the target almost perfectly, or when
    nearly all rows of one of its few values are of one class that is rare elsewhere. `target` are parsed values, null
    where missing; of many rows a fixed random choice is looked at, and of rare classes only the latter is found.
    A column that has one value for each class leaks however many classes there are. Files are not looked into.
    Values of the `sensitive` columns are not told.
    """
    known = np.flatnonzero(np.asarray(target.is_valid()))
    rows = known if len(known) <= ROWS else np.random.default_rng(0).choice(known, ROWS, replace=False)
    if len(rows) < FEWEST_ROWS:
        return {}
    rows = _frequent(np.sort(rows), target, task)
    truth = target.take(pa.array(rows)).to_numpy(zero_copy_only=False)
    varied = task == "regression" or len(np.unique(truth.astype(str))) > 1
    if task == "regression" and len(np.unique(truth)) < 2:
        return {}
    found: dict[str, str] = {}
    for name, column in columns.items():
        if column.has_files:
            continue
        reason = _giveaway(column.values, target, name in sensitive) if task != "regression" else ""
        if not reason and task != "regression":
            reason = names_classes(column.values, target)
        if not reason and varied:
            reason = _predicts(column.values.take(pa.array(rows)), truth, task)
        if reason:
            found[name] = reason
    return found


def names_classes(values: pa.Array, target: pa.Array) -> str:
    """The sentence about a column that is the target under other names, one for each class, or nothing."""
    table = pa.table({"value": values, "class": target.cast(pa.string())})
    known = table.filter(pc.and_(table["value"].is_valid(), table["class"].is_valid()))
    pairs = known.group_by(["value", "class"]).aggregate([([], "count_all")])
    one_to_one = len(pairs) == len(pc.unique(pairs["value"])) == len(pc.unique(pairs["class"]))
    learnable = (pc.sum(pc.greater_equal(pairs["count_all"], FEWEST)).as_py() or 0) > 1
    everywhere = len(known) >= FEWEST_ROWS and len(pairs) == len(pc.unique(table["class"].drop_null()))
    named = one_to_one and learnable and everywhere
    return "it has one value for each class" if named else ""


def _frequent(rows: NDArray[np.int64], target: pa.Array, task: Task) -> NDArray[np.int64]:
    """The rows whose class is frequent enough to be learnt; of a regression, all rows.

    A few rows of one class would end the search, or hide in the mean over classes what gives all others away. The
    rarer class of two stays however small its share is, because there would be nothing left to tell apart.
    """
    if task == "regression":
        return rows
    taken = target.take(pa.array(rows)).cast(pa.string()).to_numpy(zero_copy_only=False).astype(str)
    _, codes, counts = np.unique(taken, return_inverse=True, return_counts=True)
    enough = counts >= FEWEST
    if enough.sum() > 2:
        common = enough & (counts >= RARE * len(rows))
        enough = common if common.sum() > 1 else enough
    return rows[enough[codes]]


def _giveaway(values: pa.Array, target: pa.Array, hidden: bool) -> str:
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
            shown = "one value" if hidden else value
            return f"{count} of the {totals[value]} rows where it is {shown} have target {name}"
    return ""


def _predicts(values: pa.Array, truth: NDArray[np.generic], task: Task) -> str:
    """The sentence about how well the column alone predicts the target, or nothing."""
    from sklearn.metrics import balanced_accuracy_score, r2_score, roc_auc_score
    from sklearn.model_selection import KFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    x = _as_matrix(values)
    if task == "regression":
        # By ranks too: a few far values, which no tree guesses, would hide a copy of a skewed target.
        scales = (truth.astype(np.float64), np.unique(truth.astype(np.float64), return_inverse=True)[1])
        folds = KFold(3, shuffle=True, random_state=0)
        tree = DecisionTreeRegressor(max_depth=10, random_state=0)
        score = max(float(r2_score(y, cross_val_predict(tree, x, y, cv=folds))) for y in scales)
        return f"alone it explains the target (R2 {score:.3f})" if score >= ENOUGH else ""
    names = truth.astype(str)
    classifier = DecisionTreeClassifier(max_depth=6, min_samples_leaf=2, random_state=0)
    if task == "binary":
        positive = names == np.unique(names)[1]
        score = float(
            roc_auc_score(positive, cross_val_predict(classifier, x, names, cv=3, method="predict_proba")[:, 1])
        )
        return f"alone it tells the classes apart (ROC AUC {score:.3f})" if score >= ENOUGH else ""
    score = float(balanced_accuracy_score(names, cross_val_predict(classifier, x, names, cv=3)))
    return f"alone it tells the classes apart (balanced accuracy {score:.3f})" if score >= ENOUGH else ""


def _as_matrix(values: pa.Array) -> NDArray[np.float64]:
    """Numbers as they are; of texts the thirty most frequent as one column each, and one that says what is missing."""
    if not pa.types.is_dictionary(values.type):
        numbers = values.cast(pa.int64()) if pa.types.is_timestamp(values.type) else values
        return np.asarray(numbers.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)).reshape(-1, 1)
    codes = pc.fill_null(values.indices.cast(pa.int64()), -1).to_numpy(zero_copy_only=False)
    frequent = np.argsort(-np.bincount(codes[codes >= 0], minlength=1), kind="stable")[:30]
    frequent = np.append(frequent, -1)
    return np.asarray(codes[:, None] == frequent[None, :], dtype=np.float64)

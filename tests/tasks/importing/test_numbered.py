"""Classes that a graph lists as numbers, of whatever count, and the names that the data has for them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from tests.imports import bring, quoted, write_spec
from tests.tasks.importing.by_hand import COLUMNS, problems_of, rows

NAMES = np.array(["w", "v", "u"])
NUMBERS = {"from 1 on": [1, 2, 3], "with gaps": [-1, 4, 9]}


def three() -> pd.DataFrame:
    frame = rows()
    return frame.assign(kind=NAMES[np.digitize(frame["a"], [-0.4, 0.4])])


def fitted_to(numbers: list[int], kind: type) -> tuple[np.ndarray, object]:
    """Features, and what was fitted to numbers that stand for the names."""
    features = three()[["a", "b"]].to_numpy(np.float32)
    truth = three()["kind"].map(dict(zip(NAMES, numbers, strict=True)))
    return features, kind().fit(features, truth)


@pytest.mark.parametrize("kind", [LogisticRegression, LinearSVC])
@pytest.mark.parametrize("numbers", NUMBERS)
def test_names_stand_for_numbers_in_the_graphs_order(tmp_path: Path, numbers: str, kind: type) -> None:
    features, fitted = fitted_to(NUMBERS[numbers], kind)
    graph = f"missing = 0\nclasses = {quoted(*NAMES)}" + ("\nlabel = 'label'" if kind is LinearSVC else "")
    spec = write_spec(tmp_path, three(), 'column = "kind"', COLUMNS, graph)
    found = bring(to_onnx(fitted, features), spec)
    said = np.array(found.contract.classes)[found.predict(three()).index]
    wanted = NAMES[np.searchsorted(NUMBERS[numbers], fitted.predict(features))]
    assert (said == wanted).mean() > 0.98 and len(set(wanted)) == 3


@pytest.mark.parametrize("numbers", NUMBERS)
def test_what_is_advised_where_names_are_missing_or_too_few(tmp_path: Path, numbers: str) -> None:
    features, fitted = fitted_to(NUMBERS[numbers], LinearSVC)
    model = to_onnx(fitted, features)
    for classes, said in {
        "": "give graph.classes, the names in its order",
        "classes = ['w', 'v']": "there are 2 (w, v), and the graph lists 3",
        "classes = ['w', 'v', 'u', 'x']": "there are 4 (w, v, u, x), and the graph lists 3",
    }.items():
        graph = f"missing = 0\nlabel = 'label'\n{classes}"
        (problem,) = problems_of(model, write_spec(tmp_path, three(), 'column = "kind"', COLUMNS, graph))
        assert said in problem


def test_numbers_in_another_order_are_no_names_for_numbers(tmp_path: Path) -> None:
    features, fitted = fitted_to([1, 2, 3], LogisticRegression)
    graph = f"missing = 0\nclasses = {quoted('3', '2', '1')}"
    frame = three().assign(kind=np.digitize(three()["a"], [-0.4, 0.4]) + 1)
    spec = write_spec(tmp_path, frame, 'column = "kind"\nkind = "multiclass"', COLUMNS, graph)
    (problem,) = problems_of(to_onnx(fitted, features), spec)
    assert "not what the graph lists itself, in this order: 1, 2, 3; remove the line" in problem

"""Ensembles of XGBoost as onnxmltools writes them, against XGBoost's own predictions."""

from pathlib import Path

import numpy as np
import onnxmltools
import pytest
from onnxmltools.convert.common.data_types import FloatTensorType

from tasks.importing.recorded import DiffersError
from tests.imports import bring, quoted, write_spec
from tests.tasks.importing.test_frameworks import MACHINE_COLUMNS, machines

xgboost = pytest.importorskip("xgboost", reason="xgboost-cpu, of which these tests are, is not installed")

FEATURES = ["torque", "wear", "type"]
TYPES = ["L", "M", "H"]
FED = f"[graph.inputs.features]\ncolumns = {quoted(*FEATURES)}\ncodes.type = {quoted(*TYPES)}"
FRAME = machines()
CODED = FRAME.assign(type=FRAME["type"].map({name: code for code, name in enumerate(TYPES)}))[FEATURES]
VALUES = CODED.to_numpy(np.float32)
"""With gaps in numbers and categories, which XGBoost sends down a branch of their own."""


def converted(fitted: object) -> bytes:
    made = onnxmltools.convert_xgboost(fitted, initial_types=[("features", FloatTensorType([None, len(FEATURES)]))])
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("native", [False, True], ids=["coded", "categories of its own"])
def test_two_classes_with_gaps_and_categories(tmp_path: Path, native: bool) -> None:
    truth = (FRAME["failed"] == "yes").astype(int)
    settings = {"feature_types": ["q", "q", "c"], "enable_categorical": True} if native else {"base_score": 0.2}
    fitted = xgboost.XGBClassifier(n_estimators=20, max_depth=4, **settings).fit(VALUES[::2], truth[::2])
    graph = f"classes = {quoted('no', 'yes')}\n{FED}"
    found = bring(converted(fitted), write_spec(tmp_path, FRAME, 'column = "failed"', MACHINE_COLUMNS, graph))
    ours = found.probabilities(FRAME, ["no", "yes"])
    np.testing.assert_allclose(ours, fitted.predict_proba(VALUES), atol=1e-5)


@pytest.mark.parametrize("objective", ["multi:softprob", "multi:softmax"])
def test_three_classes_whose_scores_softmax_leaves_as_logits(tmp_path: Path, objective: str) -> None:
    order = ["high", "low", "mid"]
    grade = np.random.default_rng(0).choice(3, len(FRAME), p=[0.2, 0.3, 0.5])
    grade = np.where(FRAME["wear"] > 160, 0, grade)
    frame = FRAME.assign(grade=np.array(order)[grade])
    fitted = xgboost.XGBClassifier(n_estimators=8, max_depth=3, objective=objective).fit(VALUES[::2], grade[::2])
    meaning = "logits" if objective == "multi:softmax" else "probabilities"
    graph = f"classes = {quoted(*order)}\n{meaning} = 'probabilities'\n{FED}"
    found = bring(converted(fitted), write_spec(tmp_path, frame, 'column = "grade"', MACHINE_COLUMNS, graph))
    np.testing.assert_allclose(found.probabilities(frame, order), fitted.predict_proba(VALUES), atol=1e-5)


@pytest.mark.parametrize("objective", ["reg:squarederror", "count:poisson"])
def test_a_value(tmp_path: Path, objective: str) -> None:
    frame = FRAME.assign(cost=FRAME["wear"] / 100 + np.random.default_rng(0).random(len(FRAME)))
    fitted = xgboost.XGBRegressor(n_estimators=20, max_depth=4, objective=objective).fit(
        VALUES[::2], frame["cost"][::2]
    )
    found = bring(converted(fitted), write_spec(tmp_path, frame, 'column = "cost"', MACHINE_COLUMNS, FED))
    np.testing.assert_allclose(found.predict(frame).values, fitted.predict(VALUES), atol=1e-5)


def test_a_conversion_that_errs_is_refused_by_what_was_recorded(tmp_path: Path) -> None:
    """As that of onnxmltools 1.16 does for a regression by logistic loss, of whose scores it makes no shares."""
    frame = FRAME.assign(share=(FRAME["wear"] / 250).clip(0, 1))
    fitted = xgboost.XGBRegressor(n_estimators=5, objective="reg:logistic").fit(VALUES[::2], frame["share"][::2])
    complete = frame.dropna(subset=FEATURES)
    answers = fitted.predict(VALUES[frame.index.isin(complete.index)])
    complete[FEATURES].assign(value=answers).to_csv(tmp_path / "answers.csv", index=False)
    graph = f"recorded = {str(tmp_path / 'answers.csv')!r}\n{FED}"
    with pytest.raises(DiffersError, match="answers differ from those in"):
        bring(converted(fitted), write_spec(tmp_path, frame, 'column = "share"', MACHINE_COLUMNS, graph))

import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics as sk

from models.errors import InputError
from models.modelfile import METRICS
from tasks.evaluation.metrics import compute_metrics, improvement, metric, per_class
from tasks.evaluation.scored import Scored, scored_classes, scored_values
from tests.tasks.evaluation.samples import classified, regressed


@pytest.fixture(autouse=True)
def _no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_every_metric_of_every_task_is_computed() -> None:
    for scored in (classified(), classified(classes=8), regressed()):
        assert set(compute_metrics(scored)) == set(METRICS[scored.task])


def test_the_best_three_are_scikit_learns_and_asked_for_where_there_are_many_classes() -> None:
    many, few = classified(classes=8), classified(classes=6)
    labels = np.arange(8)
    expected = sk.top_k_accuracy_score(many.truth, many.probabilities, k=3, labels=labels, sample_weight=many.weight)
    assert compute_metrics(many)["top_3_accuracy"] == pytest.approx(expected)
    assert "top_3_accuracy" not in compute_metrics(few)


def test_binary_metrics_are_scikit_learns_with_weights() -> None:
    scored = classified(ties=True, weighted=True)
    found = compute_metrics(scored)
    truth, score, weight = scored.truth, scored.probabilities[:, 1], scored.weight
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(truth, score, sample_weight=weight))
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(truth, score, sample_weight=weight))
    assert found["f1"] == pytest.approx(sk.f1_score(truth, scored.labels, sample_weight=weight))
    assert found["brier"] == pytest.approx(sk.brier_score_loss(truth, score, sample_weight=weight))
    assert found["log_loss"] == pytest.approx(sk.log_loss(truth, y_proba=score, sample_weight=weight))
    balanced = sk.balanced_accuracy_score(truth, scored.labels, sample_weight=weight)
    assert found["balanced_accuracy"] == pytest.approx(balanced)


def test_macro_auc_is_scikit_learns_one_against_rest() -> None:
    scored = classified(classes=4)
    expected = sk.roc_auc_score(scored.truth, scored.probabilities, multi_class="ovr", average="macro")
    assert compute_metrics(scored, ["roc_auc_macro"]) == {"roc_auc_macro": pytest.approx(expected)}


def test_regression_by_hand() -> None:
    scored = scored_values(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 6.0]), np.array([1.0, 1.0, 2.0]))
    found = compute_metrics(scored)
    assert found["mae"] == pytest.approx(6 / 4)
    assert found["rmse"] == pytest.approx(np.sqrt(18 / 4))
    assert found["r2"] == pytest.approx(1 - 18 / 2.75)


def test_calibration_error_by_hand() -> None:
    """Two bins: 0.9 promised and 3 of 4 came true; 0.3 promised and none of one did."""
    positive = np.array([0.9, 0.9, 0.9, 0.9, 0.3])
    truth = np.array([1, 1, 1, 0, 0])
    scored = scored_classes(truth, (positive > 0.5).astype(np.int64), np.stack([1 - positive, positive], axis=1))
    assert metric("calibration_error")(scored) == pytest.approx((4 * 0.15 + 0.3) / 5)


def test_confidence_of_several_classes_is_that_of_the_likeliest() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.1, 0.7, 0.2]])
    scored = scored_classes(np.array([0, 2]), np.array([0, 1]), probabilities)
    assert metric("calibration_error")(scored) == pytest.approx(abs(0.7 - 0.5))


def test_metrics_of_an_absent_class_are_left_out() -> None:
    scored = classified()
    negatives = scored.take(scored.truth == 0)
    assert set(compute_metrics(negatives)) == {
        "accuracy",
        "balanced_accuracy",
        "log_loss",
        "brier",
        "calibration_error",
    }


def test_macro_averages_are_over_classes_that_occur() -> None:
    scored = classified(classes=4)
    some = scored.take(scored.truth != 2)
    expected = sk.recall_score(some.truth, some.labels, labels=[0, 1, 3], average="macro")
    found = compute_metrics(some)
    assert found["recall_macro"] == pytest.approx(expected)
    assert found["balanced_accuracy"] == pytest.approx(expected)
    assert set(found) == set(METRICS["multiclass"]) - {"top_3_accuracy"}


@pytest.mark.parametrize("scored", [classified(), classified(classes=3), regressed()])
def test_no_rows_define_no_metric(scored: Scored) -> None:
    assert compute_metrics(scored.take(np.zeros(len(scored), dtype=bool))) == {}


def test_a_constant_target_has_no_r2() -> None:
    found = compute_metrics(scored_values(np.full(3, 2.0), np.array([1.0, 2.0, 3.0])))
    assert set(found) == {"rmse", "mae"}


def test_an_unknown_metric_is_an_input_error() -> None:
    with pytest.raises(InputError, match="acuracy: no such metric"):
        metric("acuracy")


def test_improvement_is_positive_when_the_challenger_is_better() -> None:
    assert improvement("roc_auc", challenger=0.9, champion=0.8) == pytest.approx(0.1)
    assert improvement("rmse", challenger=3.0, champion=4.0) == pytest.approx(1.0)
    assert improvement("latency_p99_ms", challenger=5.0, champion=4.0) == pytest.approx(-1.0)


def test_per_class_rows_are_one_against_the_rest() -> None:
    scored = classified(classes=3, weighted=True)
    rows = per_class(scored, ["low", "middle", "high"])
    expected = sk.precision_recall_fscore_support(scored.truth, scored.labels, sample_weight=scored.weight)
    assert [row.name for row in rows] == ["low", "middle", "high"]
    np.testing.assert_allclose([row.precision for row in rows], expected[0])
    np.testing.assert_allclose([row.recall for row in rows], expected[1])
    np.testing.assert_allclose([row.f1 for row in rows], expected[2])
    assert [row.support for row in rows] == np.bincount(scored.truth).tolist()
    auc = sk.roc_auc_score(scored.truth == 2, scored.probabilities[:, 2], sample_weight=scored.weight)
    assert rows[2].roc_auc == pytest.approx(auc)


def test_per_class_of_an_absent_class_is_nan_not_a_warning() -> None:
    scored = classified(classes=3)
    rows = per_class(scored.take(scored.truth != 1), ["a", "b", "c"])
    assert rows[1].support == 0
    assert np.isnan([rows[1].recall, rows[1].average_precision, rows[1].roc_auc]).all()


def test_rows_of_weight_zero_bring_no_class() -> None:
    """Of the two classes with weight one is found always and one half the time: the third is not a miss."""
    truth, labels = np.array([0, 1, 1, 2]), np.array([0, 1, 0, 0])
    scored = scored_classes(truth, labels, np.eye(3)[labels] * 0.7 + 0.1, np.array([1.0, 1.0, 1.0, 0.0]))
    assert metric("balanced_accuracy")(scored) == pytest.approx(0.75)
    assert metric("recall_macro")(scored) == pytest.approx(0.75)
    assert not np.isnan(metric("roc_auc_macro")(scored))
    rows = per_class(scored, ["a", "b", "c"])
    assert [row.support for row in rows] == [1, 2, 0]
    assert np.isnan([rows[2].recall, rows[2].average_precision]).all()


@pytest.mark.parametrize("scored", [classified(9), classified(9, classes=3), regressed(9)])
def test_weights_of_zero_in_all_define_no_metric(scored: Scored) -> None:
    nothing = replace(scored, weight=np.zeros(9))
    assert compute_metrics(nothing) == {}
    assert all(row.support == 0 and np.isnan(row.recall) for row in per_class(nothing, ["a", "b", "c"]))


def test_classes_of_few_rows_are_no_warning() -> None:
    scored = scored_classes(np.arange(8), np.arange(8), np.eye(8) * 0.5 + 0.0625)
    assert compute_metrics(scored)["accuracy"] == 1
    assert len(per_class(scored, list(range(8)))) == 8

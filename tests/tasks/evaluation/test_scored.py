import numpy as np

from tasks.evaluation.scored import scored_classes
from tests.tasks.evaluation.samples import classified, regressed


def test_take_keeps_rows_together() -> None:
    scored = classified(50, classes=3, weighted=True)
    index = np.array([7, 7, 2])
    taken = scored.take(index)
    assert len(taken) == 3
    np.testing.assert_array_equal(taken.truth, scored.truth[[7, 7, 2]])
    np.testing.assert_array_equal(taken.labels, scored.labels[[7, 7, 2]])
    np.testing.assert_array_equal(taken.probabilities, scored.probabilities[[7, 7, 2]])
    np.testing.assert_array_equal(taken.weights, scored.weights[[7, 7, 2]])


def test_take_accepts_a_mask() -> None:
    scored = regressed(20)
    mask = scored.truth > 50
    taken = scored.take(mask)
    np.testing.assert_array_equal(taken.values, scored.values[mask])
    assert taken.weight is None
    assert len(taken) == mask.sum()


def test_two_columns_of_probabilities_make_a_binary_task() -> None:
    assert classified(classes=2).task == "binary"
    assert classified(classes=3).task == "multiclass"
    assert regressed().class_count == 0


def test_float32_probabilities_are_normalized_in_float64() -> None:
    raw = np.array([[0.1, 0.9], [1 / 3, 2 / 3]], dtype=np.float32)
    scored = scored_classes(np.array([0, 1]), np.array([1, 1]), raw.astype(np.float64))
    np.testing.assert_allclose(scored.normalized.sum(axis=1), 1.0, rtol=0, atol=1e-15)

"""Calibration: temperatures and thresholds against scikit-learn and brute force, and the graph's decisions."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import log_loss

from models.calibration import CalibratedClasses, CalibratedValue, fit_temperature
from models.sections import Cost
from models.threshold import choose_threshold
from tests.models.networks import BINARY, VALUE, inputs_of_every_kind, network_of_every_kind


def overconfident(rows: int = 20_000) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits three times too large, and classes drawn from the honest probabilities."""
    rng = np.random.default_rng(0)
    honest = rng.normal(size=(rows, 3))
    drawn = (softmax(honest, axis=1).cumsum(1) < rng.random((rows, 1))).sum(1)
    return honest * 3, drawn.astype(np.int64)


def test_the_temperature_undoes_overconfidence() -> None:
    assert fit_temperature(*overconfident()) == pytest.approx(3, rel=0.05)


def test_no_temperature_on_a_grid_has_a_smaller_log_loss() -> None:
    logits, truth = overconfident(2000)
    weight = np.random.default_rng(1).uniform(0, 2, len(truth))
    best = fit_temperature(logits, truth, weight)
    losses = [
        log_loss(truth, softmax(logits / t, axis=1), sample_weight=weight) for t in (best, *np.geomspace(0.1, 15, 60))
    ]
    assert losses[0] <= min(losses[1:]) + 1e-4


@pytest.mark.parametrize("rows", [15, 30])
def test_few_rows_do_not_spoil_honest_probabilities(rows: int) -> None:
    """Honest and sharp logits: over 30 small samples the loss on many rows hardly leaves that of T = 1."""
    logits, truth = drawn(5000, 0)
    honest = log_loss(truth, softmax(logits, axis=1))
    found = [fit_temperature(*drawn(rows, seed)) for seed in range(1, 31)]
    assert np.mean([log_loss(truth, softmax(logits / t, axis=1)) for t in found]) < honest + 0.03


def drawn(rows: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sharp logits, and classes drawn from their probabilities."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, 3)) * 4
    return logits, (softmax(logits, axis=1).cumsum(1) < rng.random((rows, 1))).sum(1).astype(np.int64)


def test_rows_that_are_all_right_do_not_make_the_network_sure() -> None:
    truth = np.arange(16) % 3
    assert 0.6 < fit_temperature(np.eye(3)[truth] * 4.0, truth) < 1


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.5])
def test_many_rows_give_the_likeliest_temperature(temperature: float) -> None:
    logits, truth = drawn(2000, 0)
    grid = np.geomspace(0.5, 2, 400)
    losses = [log_loss(truth, softmax(logits * temperature / t, axis=1)) for t in grid]
    assert fit_temperature(logits * temperature, truth) == pytest.approx(grid[np.argmin(losses)], rel=0.02)


def test_weights_decide_which_rows_the_temperature_fits() -> None:
    sharp, blunt = drawn(3000, 0), drawn(3000, 1)
    logits, truth = np.concatenate([sharp[0] * 3, blunt[0] / 2]), np.concatenate([sharp[1], blunt[1]])
    first = np.repeat([1.0, 0.0], 3000)
    assert fit_temperature(logits, truth, first) == pytest.approx(3, rel=0.05)
    assert fit_temperature(logits, truth, 1 - first) == pytest.approx(0.5, rel=0.05)
    assert fit_temperature(logits, truth, first * 1e-4) == pytest.approx(fit_temperature(logits, truth, first))
    assert fit_temperature(logits, truth, first * 0) == 1


def test_without_rows_the_temperature_is_one() -> None:
    assert fit_temperature(np.empty((0, 2)), np.empty(0, np.int64)) == 1


def test_the_threshold_is_where_both_decisions_cost_the_same() -> None:
    threshold = choose_threshold(Cost(false_alarm=1, miss=20))
    assert (1 - threshold) * 1 == pytest.approx(threshold * 20)
    assert choose_threshold(None) == 0.5


def test_no_other_threshold_costs_less_on_calibrated_probabilities() -> None:
    rng = np.random.default_rng(0)
    probability = rng.beta(1, 3, 200_000)
    positive = rng.random(len(probability)) < probability

    def cost(threshold: float) -> float:
        called = probability >= threshold
        return float((called & ~positive).sum() * 1 + (~called & positive).sum() * 4)

    assert cost(choose_threshold(Cost(false_alarm=1, miss=4))) <= min(map(cost, np.linspace(0, 1, 51))) * 1.005


def test_probabilities_are_the_tempered_softmax_and_decide_the_class() -> None:
    network, inputs = network_of_every_kind(), inputs_of_every_kind(50)
    index, probabilities = CalibratedClasses(network, temperature=2.0).eval()(inputs)
    expected = torch.softmax(network.aggregate(network(inputs)) / 2, dim=1)
    assert torch.allclose(probabilities, expected, atol=1e-6)
    assert (index.dtype, probabilities.dtype) == (torch.int64, torch.float32)
    assert torch.equal(index, expected.argmax(1))


def test_a_binary_decision_follows_the_threshold() -> None:
    network, inputs = network_of_every_kind(), inputs_of_every_kind(50)
    _, probabilities = CalibratedClasses(network)(inputs)
    threshold = float(probabilities[:, 1].median())
    index, _ = CalibratedClasses(network, threshold=threshold)(inputs)
    assert torch.equal(index == 1, probabilities[:, 1] >= threshold)


def test_balanced_training_is_corrected_by_bayes_rule() -> None:
    network, inputs = network_of_every_kind(), inputs_of_every_kind(20)
    balanced = network.aggregate(network(inputs)).exp()
    joint = balanced * torch.tensor(BINARY.prior)
    _, probabilities = CalibratedClasses(network, prior=BINARY.prior)(inputs)
    assert torch.allclose(probabilities, joint / joint.sum(1, keepdim=True), atol=1e-6)


def test_a_regression_gives_one_value_per_row() -> None:
    network, inputs = network_of_every_kind(VALUE), inputs_of_every_kind(6)
    value = CalibratedValue(network)(inputs)
    assert value.shape == (6,)
    assert torch.equal(value, network.aggregate(network(inputs))[:, 0])

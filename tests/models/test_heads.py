"""Heads: losses against torch and scikit-learn, and the common prediction of the members."""

import pytest
import torch
from sklearn.metrics import log_loss
from torch.nn import functional

from models.heads import OUTLIER, ClassHead, TargetStatistics, ValueHead, build_head

OUTPUTS = torch.randn(6, 3, 4, generator=torch.Generator().manual_seed(0))
TRUTH = torch.tensor([0, 1, 2, 3, 0, 1])
FOUR = TargetStatistics(prior=(0.4, 0.3, 0.2, 0.1))
SPREAD = TargetStatistics(mean=50.0, scale=20.0)


def test_the_members_common_probability_is_their_mean() -> None:
    together = ClassHead(3, 8, FOUR).aggregate(OUTPUTS)
    assert torch.allclose(together.exp(), OUTPUTS.softmax(2).mean(1), atol=1e-6)


def test_class_losses_are_cross_entropies() -> None:
    head = ClassHead(3, 8, FOUR)
    each = torch.stack([functional.cross_entropy(OUTPUTS[:, m], TRUTH, reduction="none") for m in range(3)]).mean(0)
    assert torch.allclose(head.member_losses(OUTPUTS, TRUTH), each, atol=1e-6)
    together = head.aggregate(OUTPUTS)
    expected = log_loss(TRUTH.numpy(), together.exp().numpy(), labels=range(4))
    assert float(head.losses(together, TRUTH).mean()) == pytest.approx(expected, abs=1e-5)


def test_an_untrained_class_head_predicts_the_prior() -> None:
    head = ClassHead(3, 8, FOUR)
    together = head.aggregate(head(torch.zeros(1, 3, 8))).exp()[0]
    assert together.tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_values_are_in_the_targets_unit() -> None:
    head = ValueHead(2, 8, SPREAD)
    assert head.aggregate(torch.tensor([[[1.0], [2.0]]])).tolist() == [[50 + 20 * 1.5]]


def test_value_losses_are_squared_and_linear_far_away() -> None:
    head = ValueHead(1, 8, SPREAD)
    outputs = torch.zeros(2, 1, 1)
    near, far = 2.0, 10.0
    target = torch.tensor([50 + 20 * near, 50 + 20 * far])
    expected = [near**2 / 2, OUTLIER * (far - OUTLIER / 2)]
    assert head.member_losses(outputs, target).tolist() == pytest.approx(expected)
    assert head.losses(head.aggregate(outputs), target).tolist() == pytest.approx(expected)


def test_targets_far_from_zero_keep_their_differences() -> None:
    """Around 1e8 float32 tells values 8 apart; standardised in float64, tenths of a spread of 1 are exact."""
    head = ValueHead(1, 8, TargetStatistics(mean=1e8, scale=1.0))
    target = torch.tensor([1e8 + 0.5, 1e8 - 1.5], dtype=torch.float64)
    losses = head.member_losses(torch.zeros(2, 1, 1), target)
    assert losses.dtype == torch.float32
    assert losses.tolist() == pytest.approx([0.5**2 / 2, 1.5**2 / 2])


def test_the_target_decides_the_head() -> None:
    assert isinstance(build_head(2, 4, FOUR), ClassHead)
    assert isinstance(build_head(2, 4, SPREAD), ValueHead)


def test_each_member_has_a_linear_map_of_its_own() -> None:
    head = ClassHead(3, 8, FOUR)
    hidden = torch.randn(5, 3, 8)
    expected = torch.stack([hidden[:, m] @ head.weight[m] + head.bias[m] for m in range(3)], 1)
    assert torch.allclose(head(hidden), expected, atol=1e-5)

"""Calibration: honest probabilities from logits, and the decision that costs least on average."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from torch import Tensor, nn

from models.network import FusionNetwork

Floats = NDArray[np.float64]
LARGEST_LOG_TEMPERATURE = 3.0
PRIOR_SPREAD = 0.5
"""Standard deviation of log temperature before any row is seen: most networks lie within a factor of 2.7 of 1."""


def fit_temperature(logits: Floats, truth: NDArray[np.int64], weight: Floats | None = None) -> float:
    """The likeliest temperature of softmax(logits / temperature) (Guo et al. 2017), near 1 where rows are few.

    Logits [N, C], class indices [N], weights [N]. The maximum a posteriori under log T ~ N(0, 0.5^2): the likelihood
    alone collapses on a few rows that the network separates; from some hundred on both agree. Unequal weights count as
    the rows that they are worth, (sum w)^2 / sum w^2 (Kish 1965). Between 0.05 and 20; 1 where no row has a weight.
    """
    weights = np.ones(len(truth)) if weight is None else weight
    if not weights.sum() > 0:
        return 1.0
    rows, worth = np.arange(len(truth)), weights.sum() ** 2 / (weights**2).sum()

    def surprise(log_temperature: float) -> float:
        chosen = log_softmax(logits.astype(np.float64) / np.exp(log_temperature), axis=1)[rows, truth]
        return float((log_temperature / PRIOR_SPREAD) ** 2 / 2 - worth * np.average(chosen, weights=weights))

    found = minimize_scalar(surprise, bounds=(-LARGEST_LOG_TEMPERATURE, LARGEST_LOG_TEMPERATURE), method="bounded")
    return float(np.exp(found.x)) if found.fun < surprise(0.0) else 1.0


class CalibratedClasses(nn.Module):
    """A network with its calibration and decision: inputs -> (class index int64 [N], probabilities float32 [N, C])."""

    log_shift: Tensor
    temperature: Tensor

    def __init__(
        self,
        network: FusionNetwork,
        temperature: float = 1.0,
        threshold: float | None = None,
        prior: tuple[float, ...] = (),
    ) -> None:
        """`threshold` is for two classes, `prior` (shares in training) for a network trained on balanced classes."""
        super().__init__()
        self.network = network
        self.threshold = threshold
        self.register_buffer("temperature", torch.tensor(temperature))
        self.register_buffer("log_shift", torch.tensor(prior or (1.0,)).clamp(min=1e-12).log())

    def logits(self, inputs: dict[str, Tensor]) -> Tensor:
        """Logits [N, C] before the temperature, corrected for balanced training (Saerens et al. 2002)."""
        return self.network.aggregate(self.network(inputs)) + self.log_shift

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The decided class [N] and the calibrated probabilities [N, C]."""
        probabilities = torch.softmax(self.logits(inputs) / self.temperature, dim=1)
        if self.threshold is None:
            return probabilities.argmax(dim=1), probabilities
        return (probabilities[:, 1] >= self.threshold).long(), probabilities


class CalibratedValue(nn.Module):
    """A network's regression: inputs -> value float32 [N] in the target's unit."""

    def __init__(self, network: FusionNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """The predicted value [N]."""
        return self.network.aggregate(self.network(inputs)).squeeze(1)

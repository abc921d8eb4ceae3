"""Heads: what the trunk's members say about the target, how wrong that is, and how their voices become one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

SMALLEST = 1e-37
"""Probability that float32 tells from 0."""
OUTLIER = 5.0
"""Standard deviations from which the loss of a value grows linearly."""


@dataclass(frozen=True)
class TargetStatistics:
    """What training rows say about the target: shares of the classes, or mean and spread of the values."""

    prior: tuple[float, ...] = ()
    """Share of each class, empty for regression."""
    mean: float = 0.0
    scale: float = 1.0


class Head(nn.Module, ABC):
    """One linear map per member, [N, members, width] -> [N, members, outputs]."""

    def __init__(self, members: int, width: int, outputs: int) -> None:
        super().__init__()
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(members, width, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(members, outputs))

    def forward(self, hidden: Tensor) -> Tensor:
        """Each member's outputs, [N, members, outputs]."""
        return torch.bmm(hidden.transpose(0, 1), self.weight).transpose(0, 1) + self.bias

    @abstractmethod
    def member_losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Loss of each row, the mean over its members, [N]."""

    @abstractmethod
    def aggregate(self, outputs: Tensor) -> Tensor:
        """The members' common prediction, [N, outputs]."""

    @abstractmethod
    def losses(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Loss of each row's common prediction, [N]."""


class ClassHead(Head):
    """Log-probabilities of the classes; the target is the class index, int64 [N]."""

    def __init__(self, members: int, width: int, target: TargetStatistics) -> None:
        super().__init__(members, width, len(target.prior))
        with torch.no_grad():
            self.bias.copy_(torch.tensor(target.prior).clamp(min=1e-6).log())

    def member_losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of each row, the mean over its members, [N]."""
        rows, members, _ = outputs.shape
        losses = functional.cross_entropy(outputs.flatten(0, 1), target.repeat_interleave(members), reduction="none")
        return losses.view(rows, members).mean(1)

    def aggregate(self, outputs: Tensor) -> Tensor:
        """Log of the mean of the members' probabilities, [N, classes]."""
        return torch.softmax(outputs, dim=2).mean(1).clamp(min=SMALLEST).log()

    def losses(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of each row, [N]."""
        return functional.cross_entropy(prediction, target, reduction="none")


class ValueHead(Head):
    """A value in the target's unit; the members work on the standardised target. The target is float64 [N].

    The loss is squared up to five standard deviations and linear beyond (Huber 1964): nearly the mean is predicted,
    and the few extreme values of a skewed target don't drown the rest.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, members: int, width: int, target: TargetStatistics) -> None:
        super().__init__(members, width, 1)
        # As scalars, the exporter would take values within 1e-8 of 0 for 0 and drop the arithmetic.
        self.register_buffer("mean", torch.full((1, 1), target.mean))
        self.register_buffer("scale", torch.full((1, 1), target.scale))

    def member_losses(self, outputs: Tensor, target: Tensor) -> Tensor:
        """Huber loss of each row in standard deviations, the mean over its members, [N]."""
        expected = ((target.unsqueeze(1) - self.mean) / self.scale).float().expand(outputs.shape[:2])
        return functional.huber_loss(outputs.squeeze(2), expected, reduction="none", delta=OUTLIER).mean(1)

    def aggregate(self, outputs: Tensor) -> Tensor:
        """Mean of the members in the target's unit, [N, 1]."""
        return outputs.mean(1) * self.scale + self.mean

    def losses(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Huber loss of each row in standard deviations, [N]."""
        error = ((prediction - target.unsqueeze(1)) / self.scale).float().squeeze(1)
        return functional.huber_loss(error, torch.zeros_like(error), reduction="none", delta=OUTLIER)


def build_head(members: int, width: int, target: TargetStatistics) -> Head:
    """The head that the target needs: classes where it has a prior, else a value."""
    return ClassHead(members, width, target) if target.prior else ValueHead(members, width, target)

"""Scored rows: what a graph said about rows whose truth is known. Every judgement starts from these."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.sections import Task

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


def _no_labels() -> Indices:
    return np.empty(0, dtype=np.int64)


def _no_probabilities() -> Floats:
    return np.empty((0, 0))


def _no_values() -> Floats:
    return np.empty(0)


@dataclass(frozen=True)
class Scored:
    """N rows with truth and prediction. Classes are indices 0..C-1; a binary model's positive class is 1.

    What a task doesn't have is empty: labels and probabilities of a regression, values of a classification.
    """

    task: Task
    truth: NDArray[Any]
    """Class indices int64 [N], or float64 values [N] of a regression."""
    labels: Indices = field(default_factory=_no_labels)
    """Decided classes [N]; for a binary model by its threshold, so not always the likelier class."""
    probabilities: Floats = field(default_factory=_no_probabilities)
    """[N, C]."""
    values: Floats = field(default_factory=_no_values)
    """Predicted values [N] of a regression."""
    weight: Floats | None = None
    """Sample weights [N], or None when all rows count the same."""

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def class_count(self) -> int:
        """The number of classes C that the graph knows; 0 for a regression."""
        return int(self.probabilities.shape[1])

    @property
    def weights(self) -> Floats:
        """Sample weights [N], ones when none were given."""
        return np.ones(len(self)) if self.weight is None else self.weight

    @property
    def counted(self) -> "Scored":
        """The rows whose weight is above 0; the others are as if they were absent."""
        if self.weight is None or bool((self.weight > 0).all()):
            return self
        return self.take(self.weight > 0)

    @property
    def normalized(self) -> Floats:
        """Probabilities [N, C] whose rows sum to 1 in float64, which float32 output misses by rounding."""
        return np.asarray(self.probabilities / self.probabilities.sum(axis=1, keepdims=True))

    def take(self, index: NDArray[Any]) -> "Scored":
        """The rows of a mask [N] or of row numbers, in that order."""
        regression = self.task == "regression"
        return Scored(
            task=self.task,
            truth=self.truth[index],
            labels=self.labels if regression else self.labels[index],
            probabilities=self.probabilities if regression else self.probabilities[index],
            values=self.values[index] if regression else self.values,
            weight=None if self.weight is None else self.weight[index],
        )


def joined(parts: Sequence[Scored]) -> Scored:
    """The rows of all parts, of which there is at least one, in their order."""
    first = parts[0]
    return Scored(
        task=first.task,
        truth=np.concatenate([part.truth for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        probabilities=np.concatenate([part.probabilities for part in parts]),
        values=np.concatenate([part.values for part in parts]),
        weight=None if first.weight is None else np.concatenate([part.weights for part in parts]),
    )


def scored_classes(truth: Indices, labels: Indices, probabilities: Floats, weight: Floats | None = None) -> Scored:
    """Scored rows of a classification; binary when there are two columns of probabilities."""
    task: Task = "binary" if probabilities.shape[1] == 2 else "multiclass"
    return Scored(task, truth, labels=labels, probabilities=probabilities.astype(np.float64), weight=weight)


def scored_values(truth: Floats, values: Floats, weight: Floats | None = None) -> Scored:
    """Scored rows of a regression."""
    return Scored("regression", truth, values=values.astype(np.float64), weight=weight)

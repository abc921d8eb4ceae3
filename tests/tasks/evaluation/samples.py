"""Scored rows to judge: random, with ties, weights and classes that are missing from the truth."""

import numpy as np

from tasks.evaluation.scored import Scored, scored_classes, scored_values


def classified(
    rows: int = 200, classes: int = 2, seed: int = 0, *, ties: bool = False, weighted: bool = False
) -> Scored:
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, classes, rows)
    logits = generator.normal(size=(rows, classes))
    logits[np.arange(rows), truth] += 0.8
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if ties:
        probabilities = np.round(probabilities, 1) + 0.01
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    weight = generator.uniform(0.2, 3.0, rows) if weighted else None
    return scored_classes(truth, probabilities.argmax(axis=1), probabilities, weight)


def regressed(rows: int = 200, seed: int = 0, *, weighted: bool = False) -> Scored:
    generator = np.random.default_rng(seed)
    truth = generator.normal(50, 10, rows)
    weight = generator.uniform(0.2, 3.0, rows) if weighted else None
    return scored_values(truth, truth + generator.normal(1, 4, rows), weight)

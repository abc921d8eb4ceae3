"""The interval of the calibration error, whose estimate is too large where rows are few, and more so when resampled."""

import numpy as np

from tasks.evaluation.metrics import CALIBRATION_BINS, calibration_bins, metric
from tasks.evaluation.scored import Floats, Scored


def calibration_interval(scored: Scored, low: float, high: float, draws: int, seed: int) -> tuple[float, float]:
    """The 95 % interval from the percentiles `low` and `high` of the resampled error; never below 0.

    The basic bootstrap: the percentiles are mirrored at the estimate, which takes back as much of the upward bias as
    resampling added (Davison and Hinkley 1997, 5.2). It reaches down to 0 where the estimate is no larger than honest
    probabilities would give by chance (consistency resampling, Bröcker and Smith 2007).
    """
    value = metric("calibration_error")(scored)
    by_chance = float(np.quantile(_errors_of_honest_probabilities(scored, draws, seed), 0.975))
    lowest = 0.0 if value <= by_chance else max(0.0, 2 * value - high)
    return lowest, 2 * value - low


def _errors_of_honest_probabilities(scored: Scored, draws: int, seed: int) -> Floats:
    """The calibration error [draws] of these rows if each came true with the probability that was promised."""
    generator = np.random.default_rng(seed)
    bins, confidence, _ = calibration_bins(scored)
    weights, errors = scored.weights, np.empty(draws)
    for draw in range(draws):
        gap = confidence - (generator.random(len(confidence)) < confidence)
        gaps = np.bincount(bins, weights=weights * gap, minlength=CALIBRATION_BINS)
        errors[draw] = np.abs(gaps).sum() / weights.sum()
    return errors

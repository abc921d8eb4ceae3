"""The decision that costs least on average; torch-free."""

from models.sections import Cost


def choose_threshold(cost: Cost | None) -> float:
    """The probability from which calling the positive class costs less on average; 0.5 without costs.

    The analytic optimum, false_alarm / (false_alarm + miss) (Elkan 2001), rather than the best cut on validation rows:
    the probability is calibrated, so the two agree up to the noise of the cut, which is large where positives are rare.
    """
    return 0.5 if cost is None else cost.false_alarm / (cost.false_alarm + cost.miss)

"""A version in another precision is asked whether it is as good as its parent, in place of parity with torch."""

import numpy as np
import pytest

from models.sections import Promotion
from tasks.evaluation.scored import Scored, scored_classes, scored_values
from tasks.registry.gates import Evidence, Parent, Verdict, judge

RULES = Promotion(min_rows=100, resamples=300)
ROWS = 1000
TRUTH = np.arange(ROWS) % 3


def right(share: float, rows: int = ROWS) -> Scored:
    """Three classes, decided right on the first `share` of the rows."""
    truth = np.arange(rows) % 3
    labels = np.where(np.arange(rows) < share * rows, truth, (truth + 1) % 3)
    return scored_classes(truth, labels, np.eye(3)[labels] * 0.7 + 0.1)


def judged(challenger: Scored, parent: Scored | None, margin: float = 0.01) -> Verdict:
    return judge(Evidence(challenger, None, parent=Parent("4", parent, margin)), {}, RULES)


def test_a_variant_that_is_as_good_passes_and_says_so() -> None:
    verdict = judged(right(0.9), right(0.9))
    assert verdict.outcome == "yes"
    check = next(check for check in verdict.checks if check.gate == "accuracy against parent")
    assert (check.low, check.high, check.limit) == (0.0, 0.0, -0.01)
    assert check.text == (
        "accuracy is 0.0000 worse than that of its parent, version 4 (95 % interval +0.0000 to +0.0000); "
        "the interval lies at -0.0100 or above"
    )


def test_a_variant_that_is_worse_is_refused() -> None:
    verdict = judged(right(0.86), right(0.9))
    assert verdict.outcome == "no"
    assert verdict.reasons[0].startswith("accuracy is 0.0400 worse than that of its parent, version 4 (95 % interval")


def test_the_interval_decides_and_not_the_difference() -> None:
    """0.008 worse on 1,000 rows: within the margin as it is, not by the interval."""
    assert judged(right(0.892), right(0.9)).outcome == "no"
    assert judged(right(0.892), right(0.9), margin=0.02).outcome == "yes"


def test_an_error_may_grow_by_a_share_of_the_parents() -> None:
    truth = np.linspace(0, 100, ROWS)
    parent, child = scored_values(truth, truth + 2.0), scored_values(truth, truth + 2.03)
    assert judged(child, parent, margin=0.02).outcome == "yes"
    assert judged(child, parent, margin=0.01).outcome == "no"


def test_without_its_parent_nothing_can_be_told() -> None:
    verdict = judged(right(0.9), None)
    assert verdict.outcome == "undecided"
    assert "its parent, version 4, is gone" in verdict.reasons[0]


@pytest.mark.parametrize("rows", [99])
def test_too_few_rows_compare_nothing(rows: int) -> None:
    verdict = judged(right(0.9, rows), right(0.9, rows))
    assert verdict.outcome == "undecided"
    assert [check.gate for check in verdict.checks] == ["unseen rows"]


def test_a_parent_that_can_not_be_scored_is_not_told_to_be_gone() -> None:
    why = "the data no longer has its column 'heat'"
    verdict = judge(Evidence(right(0.9), None, parent=Parent("4", None, 0.01, why)), {}, RULES)
    assert verdict.outcome == "undecided"
    assert verdict.reasons == [
        "its parent, version 4, can't be asked about these rows: the data no longer has its column 'heat'; it can't be "
        "told whether it is as good"
    ]

"""Another form of a version: no differing row among few says little about all rows."""

import numpy as np
import pytest

from tasks.evaluation.bootstrap import Interval, Resampling
from tasks.evaluation.form import difference_to_origin
from tasks.evaluation.scored import Scored, scored_classes


def answers(rows: int, sure: float, wrong: int = 0) -> Scored:
    """`rows` rows of two classes in turn, the first `wrong` of which are decided wrongly."""
    truth = np.arange(rows) % 2
    labels = np.where(np.arange(rows) < wrong, 1 - truth, truth)
    return scored_classes(truth, labels, np.where(np.arange(2) == labels[:, None], sure, 1 - sure))


def difference(form: Scored, origin: Scored, name: str = "accuracy", groups: int | None = None) -> Interval:
    codes = None if groups is None else np.arange(len(form)) % groups
    return difference_to_origin(name, form, origin, Resampling(200, 0, codes))


@pytest.mark.parametrize("rows", [100, 600])
def test_where_no_row_differs_the_rule_of_three_bounds_what_may_be_lost(rows: int) -> None:
    found = difference(answers(rows, 0.8), answers(rows, 0.9))
    assert (found.low, found.difference, found.high) == (-3 / rows, 0.0, 3 / rows)


def test_groups_count_once() -> None:
    assert difference(answers(600, 0.8), answers(600, 0.9), groups=30).low == -0.1


def test_the_same_answers_are_no_other_form() -> None:
    same = answers(100, 0.9)
    assert difference(answers(100, 0.9 + 1e-6), same) == Interval(0.0, 0.0, 0.0)


def test_what_differs_is_left_to_the_bootstrap() -> None:
    found = difference(answers(100, 0.8, wrong=3), answers(100, 0.9))
    assert found.difference == pytest.approx(-0.03) and found.low < -0.03 < found.high <= 0
    assert difference(answers(100, 0.8), answers(100, 0.9), "roc_auc").low == 0


def test_a_variant_that_is_worse_than_the_limit_hardly_ever_passes_on_few_rows() -> None:
    """1.5 points worse, 100 rows, a limit of .01: by the bootstrap alone 22 of 100 such passed."""
    random = np.random.default_rng(0)
    found = [difference(answers(100, 0.8, int(random.binomial(100, 0.015))), answers(100, 0.9)) for _ in range(60)]
    assert not any(each.low >= -0.01 for each in found)

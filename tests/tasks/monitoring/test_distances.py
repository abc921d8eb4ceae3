"""Against scipy, and values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp

from tasks.monitoring.distances import holm, homogeneity, jensen_shannon, kolmogorov_smirnov, stability_index

COUNTS = st.lists(st.integers(0, 1000), min_size=2, max_size=2)


def floats(*counts: float) -> np.ndarray:
    return np.array(counts, dtype=np.float64)


def test_the_stability_index_is_what_is_worked_out_by_hand() -> None:
    by_hand = (0.2 - 0.1) * math.log(0.2 / 0.1) + (0.3 - 0.4) * math.log(0.3 / 0.4)
    assert stability_index(floats(10, 40, 50), floats(40, 60, 100)) == pytest.approx(by_hand)
    assert by_hand == pytest.approx(0.0980829)


def test_an_empty_cell_counts_half_a_row_and_one_that_is_empty_in_both_nothing() -> None:
    p, q = 0.5 / 100.5, 10 / 100
    by_hand = (q - p) * math.log(q / p) + (0.9 - 100 / 100.5) * math.log(0.9 / (100 / 100.5))
    assert stability_index(floats(0, 100, 0), floats(10, 90, 0)) == pytest.approx(by_hand)
    assert stability_index(floats(5, 5), floats(0, 0)) == 0


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=30))
def test_the_distance_is_that_of_scipy(pairs: list[tuple[int, int]]) -> None:
    before, now = (floats(*counts) for counts in zip(*pairs, strict=True))
    if before.sum() and now.sum():
        expected = jensenshannon(before, now, base=2)
        assert jensen_shannon(before, now) == pytest.approx(0 if math.isnan(expected) else expected, abs=1e-7)


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_kolmogorov_and_smirnov_agree_with_scipy_where_each_value_has_a_bin(shift: float) -> None:
    rng = np.random.default_rng(3)
    before, now = (np.round(rng.normal(by, 1, 3000) * 10).clip(-40, 40) for by in (0, shift))
    counts = [np.bincount((values + 40).astype(int), minlength=81).astype(float) for values in (before, now)]
    found, expected = kolmogorov_smirnov(counts[0], counts[1]), ks_2samp(before, now, method="asymp")
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue, rel=0.1)


def test_bins_never_make_a_shift_look_less_like_chance() -> None:
    rng = np.random.default_rng(0)
    before, now = rng.normal(0, 1, 4000), rng.normal(0.05, 1, 4000)
    edges = [-np.inf, *np.quantile(before, np.linspace(0.05, 0.95, 19)), np.inf]
    counts = [np.histogram(values, edges)[0].astype(float) for values in (before, now)]
    assert kolmogorov_smirnov(counts[0], counts[1]).p_value >= ks_2samp(before, now, method="asymp").pvalue


def test_large_cells_are_tested_as_by_scipy() -> None:
    before, now = floats(100, 300, 50), floats(40, 80, 30)
    expected = chi2_contingency([before, now], correction=False)
    found = homogeneity(before, now)
    assert (found.statistic, found.p_value) == pytest.approx((expected.statistic, expected.pvalue))


def test_two_cells_are_a_test_of_two_proportions() -> None:
    found = homogeneity(floats(30, 970), floats(60, 940))
    pooled = 90 / 2000
    z = (0.06 - 0.03) / math.sqrt(pooled * (1 - pooled) * 2 / 1000)
    assert found.statistic == pytest.approx(z**2)
    assert found.p_value == pytest.approx(math.erfc(z / math.sqrt(2)))


def test_few_expected_rows_are_tested_exactly() -> None:
    found = homogeneity(floats(0, 10_000), floats(1, 9))
    assert found.p_value == pytest.approx(fisher_exact([[0, 10_000], [1, 9]]).pvalue) == pytest.approx(10 / 10_010)


def test_small_cells_are_put_together() -> None:
    before, now = floats(500, 480, 1, 3, 2, 4, 10), floats(250, 240, 1, 2, 2, 0, 5)
    together = chi2_contingency([[500, 480, 20], [250, 240, 10]], correction=False)
    found = homogeneity(before, now)
    assert (found.statistic, found.p_value) == pytest.approx((together.statistic, together.pvalue))


def test_of_rows_that_share_values_one_counts() -> None:
    before, now = floats(300, 700), floats(360, 640)
    assert homogeneity(before, now, 10).p_value == pytest.approx(homogeneity(before / 10, now / 10).p_value)
    assert kolmogorov_smirnov(before, now, 10).p_value > kolmogorov_smirnov(before, now).p_value
    assert kolmogorov_smirnov(before, now, 10).statistic == pytest.approx(0.06)


def test_holm_is_what_is_worked_out_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(COUNTS, COUNTS)
def test_nothing_is_compared_with_nothing(before: list[int], now: list[int]) -> None:
    for test in (homogeneity, kolmogorov_smirnov):
        found = test(floats(*before), floats(*now))
        assert 0 <= found.p_value <= 1
        if not sum(before) or not sum(now):
            assert found.p_value == 1

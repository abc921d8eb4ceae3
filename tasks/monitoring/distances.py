"""How far two distributions are apart, and how likely it is that they are that far apart by chance."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, kolmogorov

Floats = NDArray[np.float64]
HALF_A_ROW = 0.5
"""What an empty cell counts as where a logarithm is taken of it."""
FEWEST_EXPECTED = 5.0
"""Rows that a cell must be expected to hold for a chi-square test (Cochran 1954)."""


@dataclass(frozen=True)
class Test:
    """A statistic and the probability of one as large or larger where nothing has changed."""

    statistic: float
    p_value: float


NOTHING = Test(0.0, 1.0)


def stability_index(before: Floats, now: Floats) -> float:
    """The population stability index of two rows of counts [B] (Siddiqi 2006), 0 where either is empty.

    It is the sum of (q - p) ln(q / p) over the shares p and q, Jeffreys' divergence. Empty cells count half a row.
    """
    if not before.sum() or not now.sum():
        return 0.0
    p, q = (np.where(counts > 0, counts, HALF_A_ROW) for counts in _somewhere(before, now))
    p, q = p / p.sum(), q / q.sum()
    return float(((q - p) * np.log(q / p)).sum())


def jensen_shannon(before: Floats, now: Floats) -> float:
    """The Jensen-Shannon distance of two rows of counts [B], from 0 to 1 (Endres and Schindelin 2003)."""
    if not before.sum() or not now.sum():
        return 0.0
    p, q = before / before.sum(), now / now.sum()
    middle = (p + q) / 2
    return float(np.sqrt(max((_entropy(middle) - (_entropy(p) + _entropy(q)) / 2), 0.0)))


def kolmogorov_smirnov(before: Floats, now: Floats, overlap: int = 1) -> Test:
    """The two-sample test of counts [B] in ordered bins, with the limiting distribution of its statistic.

    Within bins the distributions may be further apart than is seen, so that the p-value is rather too large
    (Noether 1963). Of `overlap` rows one counts.
    """
    m, n = before.sum() / overlap, now.sum() / overlap
    if not m or not n:
        return NOTHING
    distance = float(np.abs(np.cumsum(before) / before.sum() - np.cumsum(now) / now.sum()).max())
    return Test(distance, float(kolmogorov(distance * np.sqrt(m * n / (m + n)))))


def homogeneity(before: Floats, now: Floats, overlap: int = 1) -> Test:
    """A test that two rows of counts [B] have one distribution: Pearson's chi-square, of two cells where few are
    expected Fisher's exact one.

    Cells that are too small are put together. Of `overlap` rows one counts.
    """
    counts = _large_enough(np.stack(_somewhere(before, now)) / overlap)
    if counts.shape[1] < 2 or not counts.sum(axis=1).all():
        return NOTHING
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    statistic = float(((counts - expected) ** 2 / expected).sum())
    if counts.shape[1] == 2 and expected.min() < FEWEST_EXPECTED:
        return Test(statistic, _fisher(counts))
    return Test(statistic, float(chdtrc(counts.shape[1] - 1, statistic)))


def _large_enough(counts: Floats) -> Floats:
    """The cells [2, B] in which enough rows are expected, and the others as one; two cells stay as they are."""
    while counts.shape[1] > 2:
        fewest = counts.sum(axis=0) * counts.sum(axis=1).min() / counts.sum()
        order = np.argsort(fewest, kind="stable")
        if fewest[order[0]] >= FEWEST_EXPECTED:
            break
        small = max(2, int((fewest < FEWEST_EXPECTED).sum()))
        together = counts[:, order[:small]].sum(axis=1, keepdims=True)
        counts = np.concatenate([counts[:, order[small:]], together], axis=1)
    return counts


def _fisher(counts: Floats) -> float:
    # It takes half a second to load, and is seldom needed.
    from scipy.stats import fisher_exact

    return float(fisher_exact(np.round(counts).astype(np.int64)).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values for as many tests at once (Holm 1979).

    Where those below a level are taken for changes, the chance of any false one among them is at most that level.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(order), 0, -1)
    found = np.empty(len(order))
    found[order] = np.minimum(np.maximum.accumulate(factors * np.asarray(p_values, dtype=np.float64)[order]), 1.0)
    return [float(value) for value in found]


def _somewhere(before: Floats, now: Floats) -> tuple[Floats, Floats]:
    """The cells that are not empty in both."""
    held = (before + now) > 0
    return before[held], now[held]


def _entropy(shares: Floats) -> float:
    held = shares[shares > 0]
    return float(-(held * np.log2(held)).sum())

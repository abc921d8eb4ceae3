import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.modelfile import METRICS
from tasks.evaluation.bootstrap import Resampling, draw_counts, intervals, paired_difference
from tasks.evaluation.metrics import compute_metrics
from tasks.evaluation.resampled import prepare
from tasks.evaluation.scored import Floats, Scored, scored_classes, scored_values
from tests.tasks.evaluation.samples import classified, regressed


def drawn_counts(rows: int, resamples: int, seed: int) -> Floats:
    return np.concatenate(list(draw_counts(rows, resamples, seed)), axis=1)


def by_scikit_learn(scored: Scored, counts: Floats) -> dict[str, list[float]]:
    """Each metric on rows that are really repeated."""
    found = [compute_metrics(scored.take(np.repeat(np.arange(len(scored)), column))) for column in counts.T.astype(int)]
    return {name: [metrics.get(name, np.nan) for metrics in found] for name in METRICS[scored.task]}


def assert_equal_to_scikit_learn(scored: Scored, resamples: int = 4, seed: int = 0) -> None:
    counts = drawn_counts(len(scored), resamples, seed)
    weights = counts if scored.weight is None else counts * scored.weight[:, None]
    found = prepare(scored, METRICS[scored.task])(weights)
    for name, expected in by_scikit_learn(scored, counts).items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-9, atol=1e-12, err_msg=name)


@settings(max_examples=15, deadline=None)
@given(rows=st.integers(2, 40), classes=st.integers(2, 4), seed=st.integers(0, 999), ties=st.booleans())
def test_resampled_metrics_are_scikit_learns(rows: int, classes: int, seed: int, ties: bool) -> None:
    assert_equal_to_scikit_learn(classified(rows, classes, seed, ties=ties), seed=seed)


@pytest.mark.parametrize("classes", [2, 5])
def test_resampled_metrics_honour_weights(classes: int) -> None:
    assert_equal_to_scikit_learn(classified(120, classes, ties=True, weighted=True))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 30),
    classes=st.sampled_from([0, 2, 3, 5]),
    seed=st.integers(0, 999),
    absent=st.floats(0.2, 1.0),
)
def test_both_ways_rows_of_weight_zero_are_absent(rows: int, classes: int, seed: int, absent: float) -> None:
    scored = classified(rows, classes, seed, ties=True, weighted=True) if classes else regressed(rows, seed)
    weight = np.where(np.random.default_rng(seed).random(rows) < absent, 0.0, scored.weights)
    scored = replace(scored, weight=weight)
    names = METRICS[scored.task]
    found, kept = compute_metrics(scored), compute_metrics(scored.take(weight > 0))
    assert found == kept
    resampled = prepare(scored, names)(weight[:, None])
    for name in names:
        np.testing.assert_allclose(resampled[name][0], kept.get(name, np.nan), rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("weighted", [False, True])
def test_resampled_errors_are_scikit_learns(weighted: bool) -> None:
    assert_equal_to_scikit_learn(regressed(60, weighted=weighted))


def test_r2_is_undefined_where_the_resampled_truth_is_constant() -> None:
    assert_equal_to_scikit_learn(scored_values(np.array([1.1, 1.1, 7.3]), np.array([1.0, 1.5, 7.0])), resamples=60)


def test_counts_are_draws_with_replacement() -> None:
    pieces = list(draw_counts(units=50, resamples=200, seed=1))
    counts = np.concatenate(pieces, axis=1)
    assert counts.shape == (50, 200)
    np.testing.assert_array_equal(counts.sum(axis=0), 50)
    assert counts.mean() == pytest.approx(1.0)
    assert counts.var() == pytest.approx(1 - 1 / 50, abs=0.05)


def test_large_data_is_resampled_in_pieces() -> None:
    pieces = [counts.shape for counts in draw_counts(units=150_000, resamples=3, seed=0)]
    assert pieces == [(150_000, 1)] * 3


def test_the_interval_of_a_share_is_that_of_theory() -> None:
    scored = classified(2000, seed=3)
    share = compute_metrics(scored, ["accuracy"])["accuracy"]
    low, high = intervals(scored, ["accuracy"], Resampling(1000, 0))["accuracy"]
    spread = 1.96 * np.sqrt(share * (1 - share) / 2000)
    assert low == pytest.approx(share - spread, abs=0.004)
    assert high == pytest.approx(share + spread, abs=0.004)


def promised(rows: int, sharpened: float, seed: int) -> tuple[Scored, Floats]:
    """Promises, with classes drawn from other probabilities unless `sharpened` is 1, and those probabilities."""
    generator = np.random.default_rng(seed)
    promise = generator.beta(0.7, 1.5, rows)
    odds = (promise / (1 - promise)) ** sharpened
    honest = odds / (1 + odds)
    truth = (generator.random(rows) < honest).astype(np.int64)
    return scored_classes(truth, (promise > 0.5).astype(np.int64), np.stack([1 - promise, promise], axis=1)), honest


@pytest.mark.parametrize("sharpened", [1.0, 0.8, 0.6])
def test_the_interval_of_the_calibration_error_covers_the_true_one(sharpened: float) -> None:
    """Percentiles cover it in 0 to 60 of 100 samples."""
    many, honest = promised(300_000, sharpened, seed=0)
    promise = many.probabilities[:, 1]
    bins = (promise * 15).astype(np.int64)
    true = np.abs(np.bincount(bins, weights=promise - honest)).sum() / len(promise)
    found = [
        intervals(promised(400, sharpened, seed)[0], ["calibration_error"], Resampling(150, 0))["calibration_error"]
        for seed in range(1, 61)
    ]
    assert np.mean([low <= true <= high for low, high in found]) > 0.8


def test_intervals_honour_sample_weights() -> None:
    """A mistake weighs three times as much; the spread is that of a ratio of sums (delta method)."""
    scored = classified(4000, seed=3)
    hit = scored.truth == scored.labels
    weight = np.where(hit, 1.0, 3.0)
    share = hit.sum() / weight.sum()
    spread = 1.96 * np.sqrt((weight**2 * (hit - share) ** 2).sum()) / weight.sum()
    low, high = intervals(replace(scored, weight=weight), ["accuracy"], Resampling(800, 0))["accuracy"]
    assert [low, high] == pytest.approx([share - spread, share + spread], abs=0.004)


@pytest.mark.parametrize(("positives", "defined"), [(1, True), (0, False)])
def test_a_metric_has_an_interval_where_half_of_the_resamples_define_it(positives: int, defined: bool) -> None:
    """One of n rows is drawn in 63 of 100 resamples: (1 - 1/n)^n are without it."""
    scored = classified(100, seed=1)
    truth = (np.arange(100) < positives).astype(np.int64)
    assert ("recall" in intervals(replace(scored, truth=truth), ["recall"], Resampling(300, 0))) is defined


def test_fewer_than_half_of_the_resamples_are_no_interval() -> None:
    """Two rows, one of each class: half of the resamples hold both; of three, with weight on two, 12 in 27."""
    scored = replace(classified(3), truth=np.array([0, 1, 1]), weight=np.array([1.0, 1.0, 0.0]))
    resampling = Resampling(2000, 0)
    share = np.concatenate([(counts[0] > 0) & (counts[1] > 0) for counts in resampling.draw(3)]).mean()
    assert share == pytest.approx(12 / 27, abs=0.03)
    assert intervals(scored, ["roc_auc"], resampling) == {}
    assert np.isnan(paired_difference("roc_auc", scored, scored, resampling).low)
    assert "accuracy" in intervals(scored, ["accuracy"], resampling)


@pytest.mark.parametrize("scored", [classified(300), classified(300, 4), regressed(300)])
def test_intervals_are_deterministic_and_hold_the_value(scored: Scored) -> None:
    names = METRICS[scored.task]
    found = intervals(scored, names, Resampling(100, 5))
    assert found == intervals(scored, names, Resampling(100, 5))
    assert found != intervals(scored, names, Resampling(100, 6))
    for name, value in compute_metrics(scored).items():
        assert found[name][0] <= value + 1e-9
        assert found[name][1] >= value - 1e-9


def test_undefined_metrics_have_no_interval() -> None:
    scored = classified()
    found = intervals(scored.take(scored.truth == 0), METRICS["binary"], Resampling(50, 0))
    assert set(found) == {"accuracy", "balanced_accuracy", "log_loss", "brier", "calibration_error"}
    assert intervals(scored.take(np.array([], dtype=int)), ["accuracy"], Resampling(50, 0)) == {}


def better(scored: Scored) -> Scored:
    """The same rows with every second mistake corrected."""
    if scored.task == "regression":
        return scored_values(scored.truth, (scored.truth + scored.values) / 2, scored.weight)
    truth = np.where(np.arange(len(scored)) % 2 == 0, scored.truth, scored.labels)
    probabilities = scored.probabilities + np.eye(scored.class_count)[truth]
    return Scored(scored.task, scored.truth, truth, probabilities / 2, weight=scored.weight)


@pytest.mark.parametrize(
    ("name", "scored"),
    [("roc_auc", classified()), ("log_loss", classified()), ("f1_macro", classified(classes=3)), ("rmse", regressed())],
)
def test_the_lead_of_a_better_model_lies_above_zero(name: str, scored: Scored) -> None:
    lead = paired_difference(name, better(scored), scored, Resampling(200, 0))
    assert 0 < lead.low < lead.difference < lead.high
    behind = paired_difference(name, scored, better(scored), Resampling(200, 0))
    np.testing.assert_allclose([behind.low, behind.high], [-lead.high, -lead.low])


def test_both_models_are_judged_on_the_same_resamples() -> None:
    scored = classified(weighted=True)
    lead = paired_difference("roc_auc", scored, scored, Resampling(100, 0))
    assert (lead.low, lead.high, lead.difference) == (0.0, 0.0, 0.0)


def test_the_paired_interval_is_that_of_repeated_rows() -> None:
    champion = classified(80)
    challenger = better(champion)
    counts = drawn_counts(80, 60, seed=2)
    drawn = [np.repeat(np.arange(80), column) for column in counts.T.astype(int)]
    leads = [
        compute_metrics(champion.take(rows))["log_loss"] - compute_metrics(challenger.take(rows))["log_loss"]
        for rows in drawn
    ]
    found = paired_difference("log_loss", challenger, champion, Resampling(60, 2))
    np.testing.assert_allclose([found.low, found.high], np.quantile(leads, [0.025, 0.975]))


@pytest.mark.parametrize("rows", [np.array([], dtype=int), np.array([0])])
def test_a_lead_that_the_rows_cannot_define_is_nan(rows: np.ndarray) -> None:
    scored = classified().take(rows)
    lead = paired_difference("roc_auc", scored, scored, Resampling(50, 0))
    assert np.isnan([lead.low, lead.high, lead.difference]).all()


def test_sixteen_thousand_rows_take_seconds() -> None:
    scored = classified(16_000)
    started = time.process_time()
    intervals(scored, METRICS["binary"], Resampling(300, 0))
    paired_difference("average_precision", scored, scored, Resampling(300, 0))
    assert time.process_time() - started < 12

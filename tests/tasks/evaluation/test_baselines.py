import numpy as np
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from models.columns.category.feed import CategorySettings
from models.columns.image.feed import ImageSettings
from models.columns.number.feed import NumberSettings
from models.columns.text.feed import TextSettings
from tasks.evaluation.baselines import Rows, features_of, rival_of, rows_affordable, sample_rows, train_baselines
from tasks.evaluation.metrics import metric
from tests.tasks.evaluation.cases import as_category


def rows(count: int = 1500, classes: int = 2, seed: int = 0) -> Rows:
    generator = np.random.default_rng(seed)
    features = generator.normal(size=(count, 3))
    truth = np.digitize(features[:, 0] + 0.3 * generator.normal(size=count), np.linspace(-1, 1, classes + 1)[1:-1])
    return Rows(features, truth.astype(np.int64), None)


def test_boosting_learns_and_the_dummy_guesses() -> None:
    dummy, boosting = train_baselines("binary", 2, rows(), rows(400, seed=1), [False] * 3, 0.5, seed=0)
    assert (dummy.name, boosting.name) == ("dummy", "boosting")
    assert metric("roc_auc")(dummy.scored) == 0.5
    assert metric("roc_auc")(boosting.scored) > 0.9
    assert boosting.rows == 1500


def test_a_binary_baseline_decides_by_the_given_threshold() -> None:
    for threshold in (0.1, 0.8):
        boosting = train_baselines("binary", 2, rows(), rows(400, seed=1), [False] * 3, threshold, seed=0)[1].scored
        np.testing.assert_array_equal(boosting.labels, boosting.probabilities[:, 1] >= threshold)


def test_classes_that_training_lacks_get_no_probability() -> None:
    train, test = rows(300, classes=4), rows(100, classes=4, seed=1)
    kept = train.truth != 2
    some = Rows(train.features[kept], train.truth[kept], None)
    boosting = train_baselines("multiclass", 4, some, test, [False] * 3, None, seed=0)[1].scored
    assert boosting.probabilities.shape == (100, 4)
    assert not boosting.probabilities[:, 2].any()
    assert not (boosting.labels == 2).any()


def test_a_class_of_one_row_does_not_stop_boosting() -> None:
    train = rows(300, classes=2)
    truth = train.truth.copy()
    truth[0] = 2
    found = train_baselines("multiclass", 3, Rows(train.features, truth, None), rows(50), [False] * 3, None, seed=0)
    assert len(found) == 2


def test_regression_honours_sample_weights() -> None:
    """Half the rows say 0 and weigh nothing, so the mean is that of the others."""
    features, truth = np.zeros((200, 1)), np.repeat([0.0, 10.0], 100)
    train = Rows(features, truth, np.repeat([1e-9, 1.0], 100))
    found = train_baselines("regression", 0, train, Rows(features, truth, None), [False], None, seed=0)
    for baseline in found:
        np.testing.assert_allclose(baseline.scored.values, 10.0, atol=0.01)


def test_boosting_is_scikit_learns() -> None:
    train, test = rows(120), rows(60, seed=1)
    truth = train.features @ [1.0, 2.0, 0.0]
    found = train_baselines("regression", 0, Rows(train.features, truth, None), test, [False] * 3, None, seed=3)[1]
    model = HistGradientBoostingRegressor(max_iter=200, n_iter_no_change=10, early_stopping=True, random_state=3)
    np.testing.assert_allclose(found.scored.values, model.fit(train.features, truth).predict(test.features))


def test_large_data_is_sampled_once() -> None:
    rows = np.arange(100) % 2 == 0
    assert sample_rows(rows, seed=0) is rows
    sampled = sample_rows(rows, seed=0, most=10)
    assert sampled.sum() == 10
    assert not (sampled & ~rows).any()
    assert np.array_equal(sampled, sample_rows(rows, seed=0, most=10))


def test_rows_with_pictures_are_bounded_by_their_bytes() -> None:
    assert rows_affordable({"x": NumberSettings()}) == 200_000
    assert rows_affordable({"x": NumberSettings(), "t": TextSettings()}) == 20_000
    assert rows_affordable({"p": ImageSettings(size=224)}) == 2**29 // (224 * 224 * 3)


def test_a_sample_keeps_a_few_rows_of_each_class_and_the_shares_of_the_others() -> None:
    generator = np.random.default_rng(0)
    classes = generator.choice([3, 5], 100_000, p=[0.7, 0.3])
    classes[generator.choice(100_000, 14, replace=False)] = 9
    classes[7] = 11
    rows = np.arange(100_000) != 8
    for seed in range(3):
        sampled = sample_rows(rows, seed, most=2_000, classes=classes)
        assert sampled.sum() == 2_000 and not sampled[8]
        counts = dict(zip(*np.unique(classes[sampled], return_counts=True), strict=True))
        assert counts[9] in range(10, 15) and counts[11] == 1
        assert counts[3] / 2_000 == pytest.approx(0.7, abs=0.04)
        assert np.array_equal(sampled, sample_rows(rows, seed, most=2_000, classes=classes))
    assert not np.array_equal(sampled, sample_rows(rows, 0, most=2_000, classes=classes))


def test_a_small_sample_of_many_classes_has_all_of_them_and_is_half_drawn_from_all_alike() -> None:
    classes = np.repeat(np.arange(40), [10_000, *[20] * 39])
    sampled = sample_rows(np.ones(len(classes), bool), 0, most=160, classes=classes)
    counts = np.bincount(classes[sampled], minlength=40)
    assert counts.min() >= 2 and counts.sum() == 160
    assert counts[0] > 50


def test_classes_of_texts_and_many_classes_of_pictures_have_a_linear_rival() -> None:
    assert rival_of(77, {"t": TextSettings()}) == rival_of(2, {"t": TextSettings()}) == "linear"
    assert rival_of(0, {"t": TextSettings()}) == "boosting", "of a regression"
    assert [rival_of(classes, {"p": ImageSettings()}) for classes in (20, 77)] == ["boosting", "linear"]
    assert rival_of(77, {"x": NumberSettings()}) == "boosting"


def test_rows_of_one_class_leave_the_dummy_alone() -> None:
    rows = Rows(np.zeros((30, 1)), np.zeros(30, np.int64), None)
    found = train_baselines("binary", 2, rows, rows, [False], 0.5, 0, "boosting")
    assert [baseline.name for baseline in found] == ["dummy"]


def test_the_linear_rival_learns_words_and_numbers() -> None:
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 22, 900)
    texts = [f"please {'ab'[t % 2]}{t // 2} now" for t in truth]
    side = as_category([None if t % 5 == 0 else ("left", "right")[t % 2] for t in truth])
    table = pa.table({"text": texts, "side": side, "x": np.where(truth % 7, truth, np.nan)})
    columns = {"text": TextSettings(), "side": CategorySettings(), "x": NumberSettings()}
    features = features_of("linear", table.slice(0, 600), table.slice(600), columns, 22, seed=0)
    train, test = Rows(features.train, truth[:600], None), Rows(features.test, truth[600:], None)
    found = train_baselines("multiclass", 22, train, test, features.categorical, None, 0, "linear")
    assert [baseline.name for baseline in found] == ["dummy", "linear"]
    assert metric("accuracy")(found[1].scored) == 1.0
    assert metric("accuracy")(found[0].scored) < 0.2

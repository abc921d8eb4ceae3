from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from tasks.evaluation import baselines
from tasks.evaluation.baselines import Rows, feature_matrix, sample_rows, train_baselines
from tasks.evaluation.metrics import metric
from tests.tasks.evaluation.cases import as_category


def test_features_are_numbers_codes_and_parts_of_dates() -> None:
    noon = datetime(2026, 3, 17, 12, 30, tzinfo=UTC)  # a Tuesday
    train = pa.table(
        {
            "number": pa.array([1.5, None, 3.0]),
            "category": as_category(["rare", "often", "often"]),
            "flag": pa.array([True, False, None]),
            "time": pa.array([noon, None, noon], pa.timestamp("us", tz="UTC")),
            "picture": pa.array([b"a", b"b", b"c"]),
        }
    )
    test = train.set_column(1, "category", as_category(["often", "unseen", None]))
    features, test_features, categorical = feature_matrix(train, test, train.column_names)
    date, no_date = [noon.timestamp(), 12.5, 1, 17, 3], [np.nan] * 5
    assert categorical == [False, True, *[False] * 6]
    np.testing.assert_array_equal(features, [[1.5, 1, 1, *date], [np.nan, 0, 0, *no_date], [3, 0, np.nan, *date]])
    np.testing.assert_array_equal(test_features[:, 1], [0, np.nan, np.nan])


def test_no_usable_column_leaves_a_constant() -> None:
    table = pa.table({"picture": pa.array([b"a", b"b"])})
    features, _, categorical = feature_matrix(table, table, ["picture"])
    assert features.tolist() == [[0.0], [0.0]]
    assert categorical == [False]


def test_categories_have_at_most_254_codes() -> None:
    table = pa.table({"c": as_category([str(i % 300) for i in range(900)])})
    codes = feature_matrix(table, table, ["c"])[0][:, 0]
    assert np.nanmax(codes) == 253
    assert np.isnan(codes).sum() == 46 * 3


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


def test_boosting_sees_the_hour_and_the_weekday() -> None:
    """Whether the shop is open can't be told from seconds alone."""
    stamps = pd.date_range("2026-01-01", periods=6000, freq="97min", tz="UTC")
    table = pa.table({"at": pa.array(stamps.to_numpy(), pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))})
    truth = ((stamps.hour >= 9) & (stamps.hour < 17) & (stamps.day_of_week < 5)).astype(np.int64)
    train, test, categorical = feature_matrix(table.slice(0, 4000), table.slice(4000), ["at"])
    learnt, unseen = Rows(train, np.asarray(truth[:4000]), None), Rows(test, np.asarray(truth[4000:]), None)
    boosting = train_baselines("binary", 2, learnt, unseen, categorical, 0.5, seed=0)[1]
    assert metric("accuracy")(boosting.scored) > 0.99


def test_large_data_is_sampled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(100) % 2 == 0
    assert sample_rows(rows, seed=0) is rows
    monkeypatch.setattr(baselines, "MOST_ROWS", 10)
    sampled = sample_rows(rows, seed=0)
    assert sampled.sum() == 10
    assert not (sampled & ~rows).any()
    assert np.array_equal(sampled, sample_rows(rows, seed=0))

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

from models.columns import KINDS
from models.columns.category.feed import CategorySettings
from models.columns.datetime.feed import DatetimeSettings
from models.columns.image.feed import ImageSettings
from models.columns.number.feed import NumberSettings
from models.columns.text.feed import TextSettings
from tasks.evaluation.baselines import Rows, train_baselines
from tasks.evaluation.features import dense_features, sparse_features, text_components, word_weights
from tasks.evaluation.metrics import metric
from tasks.evaluation.unseen import summarised
from tests.tasks.evaluation.cases import as_category


def test_features_are_numbers_codes_and_parts_of_dates() -> None:
    noon = datetime(2026, 3, 17, 12, 30, tzinfo=UTC)  # a Tuesday
    train = pa.table(
        {
            "number": pa.array([1.5, None, 3.0]),
            "category": as_category(["rare", "often", "often"]),
            "flag": pa.array([True, False, None]),
            "time": pa.array([noon, None, noon], pa.timestamp("us", tz="UTC")),
        }
    )
    test = train.set_column(1, "category", as_category(["often", "unseen", None]))
    kinds = ("number", "category", "boolean", "datetime")
    columns = {name: KINDS[kind].settings() for name, kind in zip(train.column_names, kinds, strict=True)}
    found = dense_features(train, test, columns)
    date, no_date = [noon.timestamp(), 12.5, 1, 17, 3], [np.nan] * 5
    assert found.categorical == [False, True, *[False] * 6]
    np.testing.assert_array_equal(found.train, [[1.5, 1, 1, *date], [np.nan, 0, 0, *no_date], [3, 0, np.nan, *date]])
    np.testing.assert_array_equal(found.test[:, 1], [0, np.nan, np.nan])


def test_no_usable_column_leaves_a_constant() -> None:
    table = pa.table({"text": pa.array(["", None])})
    found = dense_features(table, table, {"text": TextSettings()})
    assert found.train.tolist() == [[0.0], [0.0]]
    assert found.categorical == [False]


def test_categories_have_at_most_254_codes() -> None:
    table = pa.table({"c": as_category([str(i % 300) for i in range(900)])})
    codes = dense_features(table, table, {"c": CategorySettings()}).train[:, 0]
    assert np.nanmax(codes) == 253
    assert np.isnan(codes).sum() == 46 * 3


def test_boosting_sees_the_hour_and_the_weekday() -> None:
    """Whether the shop is open can't be told from seconds alone."""
    stamps = pd.date_range("2026-01-01", periods=6000, freq="97min", tz="UTC")
    table = pa.table({"at": pa.array(stamps.to_numpy(), pa.timestamp("us")).cast(pa.timestamp("us", "UTC"))})
    truth = ((stamps.hour >= 9) & (stamps.hour < 17) & (stamps.day_of_week < 5)).astype(np.int64)
    found = dense_features(table.slice(0, 4000), table.slice(4000), {"at": DatetimeSettings()})
    learnt, unseen = Rows(found.train, np.asarray(truth[:4000]), None), Rows(found.test, np.asarray(truth[4000:]), None)
    boosting = train_baselines("binary", 2, learnt, unseen, found.categorical, 0.5, seed=0)[1]
    assert metric("accuracy")(boosting.scored) > 0.99


def test_words_of_test_rows_are_unknown() -> None:
    train, test = word_weights(["red apple", "green apple"], ["blue apple", "blue sky"])
    assert train.shape == (2, 5)  # red, green, apple, and two pairs
    assert test[0].nnz == 1
    assert test[1].nnz == 0


def test_components_of_training_texts_do_not_depend_on_test_texts() -> None:
    texts = [f"word{i % 7} word{i % 5} word{i % 3}" for i in range(60)]
    first, _ = text_components(texts, ["word1"], seed=0)
    again, other = text_components(texts, ["something else", "word2 word4"], seed=0)
    np.testing.assert_array_equal(first, again)
    assert first.shape[1] == other.shape[1] <= 100


def test_pictures_are_the_numbers_that_stand_for_them() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (7, 8 * 8 * 3), np.uint8)
    column = pa.chunked_array([pa.array([row.tobytes() for row in pixels[:3]], pa.binary(192)),
                               pa.array([None] + [row.tobytes() for row in pixels[4:]], pa.binary(192))])  # fmt: skip
    columns = {"p": ImageSettings(size=8)}
    table = summarised(pa.table({"p": column}), columns)
    found = dense_features(table, table.slice(2), columns)
    assert dense_features(table, table.slice(0, 0), columns).test.shape == (0, 67)
    assert np.isnan(found.train[3]).all()
    np.testing.assert_allclose(found.train[0, :64], pixels[0].reshape(64, 3).mean(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(found.test, found.train[2:])


def test_a_linear_model_has_scaled_numbers_and_one_column_per_category() -> None:
    train = pa.table({"x": [1.0, 3.0, None], "c": as_category(["a", "b", "a"])})
    test = pa.table({"x": [None, 5.0], "c": as_category(["new", "b"])})
    found = sparse_features(train, test, {"x": NumberSettings(), "c": CategorySettings()})
    np.testing.assert_allclose(found.test.toarray()[:, 0], [0, 3 / np.sqrt(2 / 3)])
    assert found.test.toarray()[:, 1:].sum(axis=1).tolist() == [0, 1]

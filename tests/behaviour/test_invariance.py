"""What must not change a prediction, on the small trained model."""

import numpy as np
import pandas as pd
import pytest

from tasks.scoring.predictor import Predictor
from tasks.scoring.pyfunc import PyFunc
from tests.conftest import Small
from tests.small import table


@pytest.fixture(scope="module")
def model(small: Small) -> PyFunc:
    return PyFunc(Predictor.load(small.downloaded))


@pytest.fixture
def frame() -> pd.DataFrame:
    return table(120, seed=11).drop(columns="broken")


def probability(model: PyFunc, frame: pd.DataFrame) -> np.ndarray:
    return model.predict(frame)["probability_yes"].to_numpy()


def test_the_order_of_rows_does_not_matter(model: PyFunc, frame: pd.DataFrame) -> None:
    shuffled = frame.sample(frac=1, random_state=1)
    expected = pd.Series(probability(model, frame), index=frame.index)
    np.testing.assert_allclose(probability(model, shuffled), expected[shuffled.index], rtol=0, atol=1e-6)


def test_duplicated_rows_get_the_same_prediction(model: PyFunc, frame: pd.DataFrame) -> None:
    twice = probability(model, pd.concat([frame, frame], ignore_index=True))
    np.testing.assert_allclose(twice[:120], probability(model, frame), rtol=0, atol=1e-6)
    np.testing.assert_allclose(twice[120:], twice[:120], rtol=0, atol=1e-6)


def test_a_row_alone_is_predicted_as_among_others(model: PyFunc, frame: pd.DataFrame) -> None:
    alone = [probability(model, frame.iloc[[i]])[0] for i in range(5)]
    np.testing.assert_allclose(alone, probability(model, frame)[:5], rtol=0, atol=1e-6)


def test_the_order_of_columns_and_further_columns_do_not_matter(model: PyFunc, frame: pd.DataFrame) -> None:
    turned = frame[frame.columns[::-1]].assign(noise=1.0, id=0)
    np.testing.assert_array_equal(probability(model, turned), probability(model, frame))


def test_spellings_of_missing_are_alike(model: PyFunc, frame: pd.DataFrame) -> None:
    expected = probability(model, frame.assign(shop=None))
    for spelling in ("", "NA", "?", " "):
        np.testing.assert_array_equal(probability(model, frame.assign(shop=spelling)), expected)


def test_unseen_categories_are_all_alike(model: PyFunc, frame: pd.DataFrame) -> None:
    west, up = (probability(model, frame.assign(shop=name)) for name in ("west", "up"))
    np.testing.assert_array_equal(west, up)

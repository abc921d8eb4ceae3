"""What must move a prediction, and which way: `load` decides most of the target."""

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


def test_more_load_breaks_more(model: PyFunc) -> None:
    frame = table(100, seed=12).drop(columns="broken")
    low, high = (model.predict(frame.assign(load=load))["probability_yes"] for load in (-15.0, 20.0))
    assert (high > low).mean() > 0.95
    assert high.mean() - low.mean() > 0.2


def test_probabilities_rise_with_the_load(model: PyFunc) -> None:
    loads = np.linspace(-20, 25, 10)
    frame = pd.DataFrame({"load": loads, "heat": 300.0, "shop": "north", "night": True, "made": "2024-06-01"})
    found = model.predict(frame)["probability_yes"].to_numpy()
    assert np.corrcoef(loads, found)[0, 1] > 0.7


def test_obvious_rows_are_decided_rightly(model: PyFunc) -> None:
    frame = table(400, seed=13)
    obvious = frame[(frame["load"] > 18) | (frame["load"] < -12)]
    assert (model.predict(obvious.drop(columns="broken"))["label"] == obvious["broken"]).mean() > 0.9

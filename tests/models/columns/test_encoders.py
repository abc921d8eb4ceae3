"""Encoders turn raw columns into features that hold their meaning, missing and extreme values included."""

import datetime as dt
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.columns.boolean.encoder import Encoder as BooleanEncoder
from models.columns.boolean.feed import BooleanStatistics
from models.columns.category.encoder import MASKED
from models.columns.category.encoder import Encoder as CategoryEncoder
from models.columns.category.statistics import CategoryStatistics
from models.columns.datetime.encoder import Encoder as DatetimeEncoder
from models.columns.datetime.encoder import calendar_fractions
from models.columns.datetime.statistics import DatetimeStatistics
from models.columns.number.encoder import Encoder as NumberEncoder
from models.columns.number.statistics import fit_number
from models.sections import Network

NETWORK = Network(embedding=4)
NAN = float("nan")


def number_encoder(*columns: list[float]) -> NumberEncoder:
    torch.manual_seed(0)
    encoder = NumberEncoder((), [fit_number(np.array(column, np.float32)) for column in columns], NETWORK)
    torch.nn.init.normal_(encoder.pieces)
    torch.nn.init.normal_(encoder.missing)
    return encoder


def test_each_number_column_is_embedded_by_itself() -> None:
    encoder = number_encoder([1, 2, 3], [10, 20, 30, 40])
    a, b = encoder(torch.tensor([[1.0, 10.0], [1.0, 40.0]])).view(2, 2, 4)
    assert torch.equal(a[0], b[0])
    assert not torch.equal(a[1], b[1])


def test_a_missing_number_is_the_median_plus_its_own_vector() -> None:
    encoder = number_encoder([1, 2, 30])
    missing, median = encoder(torch.tensor([[NAN], [2.0]]))
    assert torch.allclose(missing, median + encoder.missing[0])


def test_the_piecewise_linear_code_matches_a_hand_worked_value() -> None:
    encoder = number_encoder([0, 10, 20, 40])
    torch.nn.init.zeros_(encoder.linear)
    torch.nn.init.zeros_(encoder.bias)
    # 25 lies beyond the bins 0-10 and 10-20, and a quarter into the bin 20-40.
    expected = encoder.pieces[0, 0] + encoder.pieces[0, 1] + 0.25 * encoder.pieces[0, 2]
    assert torch.allclose(encoder(torch.tensor([[25.0]]))[0], expected, atol=1e-5)


def test_columns_with_fewer_bins_are_not_disturbed_by_the_padding() -> None:
    encoder = number_encoder([0, 1], list(range(40)))
    assert torch.count_nonzero(encoder.inverse_widths[0]) == 1


@given(st.floats(width=32, allow_nan=True, allow_infinity=False))
def test_any_float32_gives_finite_bounded_features(value: float) -> None:
    features = number_encoder([1, 2, 3, 1e30], [5, 5, 5], [NAN, NAN])(torch.full((1, 3), value))
    assert torch.isfinite(features).all()
    assert features.abs().max() < 1000


def category_encoder() -> CategoryEncoder:
    torch.manual_seed(0)
    two = CategoryStatistics(count=5, missing=1, vocabulary=("a", "b"), counts=(2, 2), rare=0)
    one = CategoryStatistics(count=5, missing=1, vocabulary=("c",), counts=(4,), rare=0)
    return CategoryEncoder((), [two, one], NETWORK)


def test_every_code_of_every_category_has_a_vector_of_its_own() -> None:
    encoder = category_encoder().eval()
    first = encoder(torch.tensor([[code, 0] for code in range(4)]))[:, :4]
    second = encoder(torch.tensor([[0, code] for code in range(3)]))[:, 4:]
    assert len(torch.unique(torch.cat([first, second]), dim=0)) == 7


@pytest.mark.parametrize("missing", [0, 3])
def test_a_missing_category_is_neutral_where_training_had_none(missing: int) -> None:
    """Four rare values, three times a and once b: the mean by frequency. A trained code keeps its own vector."""
    torch.manual_seed(0)
    rows = CategoryStatistics(count=8 + missing, missing=missing, vocabulary=("a", "b"), counts=(3, 1), rare=4)
    encoder = CategoryEncoder((), [category_encoder_statistics(), rows], NETWORK)
    before = encoder.vectors.weight[5].clone()
    encoder.eval()
    unknown, unseen, a, b = encoder(torch.tensor([[0, code] for code in range(4)]))[:, 4:]
    expected = before if missing else (4 * unseen + 3 * a + b) / 8
    assert torch.allclose(unknown, expected, atol=1e-6)
    state = encoder.state_dict()["vectors.weight"].clone()
    assert torch.equal(encoder.train().eval().vectors.weight, state)


def category_encoder_statistics() -> CategoryStatistics:
    return CategoryStatistics(count=4, missing=1, vocabulary=("x", "y", "z"), counts=(1, 1, 1), rare=0)


def test_a_small_share_of_training_values_is_shown_as_unseen() -> None:
    encoder = category_encoder().train()
    codes = torch.full((20_000, 2), 2)
    unseen = encoder(torch.tensor([[1, 1]]))
    shown = (encoder(codes)[:, :4] == unseen[:, :4]).all(1).float().mean()
    assert shown == pytest.approx(MASKED, rel=0.5)
    assert torch.equal(encoder.eval()(codes)[0], encoder(codes)[-1])


def test_booleans_are_signs_and_missing_is_neither() -> None:
    encoder = BooleanEncoder((), [BooleanStatistics(count=3, missing=1, true=1)], NETWORK)
    assert encoder(torch.tensor([[1.0], [0.0], [NAN]])).tolist() == [[1, 0], [-1, 0], [0, 1]]


@given(st.datetimes(min_value=dt.datetime(1600, 1, 1), max_value=dt.datetime(2400, 12, 31)))
def test_calendar_fractions_agree_with_the_standard_library(stamp: dt.datetime) -> None:
    seconds = (stamp - dt.datetime(1970, 1, 1)).total_seconds()
    day, week, month, year = (float(f) for f in calendar_fractions(torch.tensor(seconds, dtype=torch.float64)))
    passed = (stamp - stamp.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds() / 86400
    march = dt.datetime(stamp.year if stamp.month > 2 else stamp.year - 1, 3, 1)
    assert day == pytest.approx(passed, abs=1e-6)
    assert week * 7 == pytest.approx(stamp.isoweekday() % 7 + passed, abs=1e-5)
    assert month * 31 == pytest.approx(stamp.day - 1 + passed, abs=1e-5)
    assert year * 366 == pytest.approx((stamp - march).total_seconds() / 86400, abs=1e-4)


def test_dates_become_cyclic_parts_age_and_a_missing_indicator() -> None:
    encoder = DatetimeEncoder((), [DatetimeStatistics(count=3, missing=1, first=0, last=86400 * 10)], NETWORK)
    seconds = torch.tensor([[86400 * 5 + 21600.0], [NAN], [1e12]], dtype=torch.float64)
    morning, missing, far = encoder(seconds)
    # 6 January 1970, six in the morning: a quarter of the day, a Tuesday.
    assert morning[0] == pytest.approx(1, abs=1e-6)
    assert morning[1] == pytest.approx(math.sin(2 * math.pi * 2.25 / 7), abs=1e-6)
    assert morning[8] == pytest.approx(2 * 5.25 / 10 - 1, abs=1e-6)
    assert missing.tolist() == [0.0] * 9 + [1.0]
    assert far[8] == 3


def test_a_date_column_without_values_trains_to_finite_features() -> None:
    encoder = DatetimeEncoder((), [DatetimeStatistics(count=1, missing=1, first=0, last=0)], NETWORK)
    assert torch.isfinite(encoder(torch.tensor([[5.0]], dtype=torch.float64))).all()

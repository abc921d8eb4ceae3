"""Windows of a channel: read from their bytes, described by features, and embedded the same in torch and ONNX."""

import warnings

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.columns.kind import BIAS
from models.columns.series import statistics as statistics_module
from models.columns.series.encoder import CHANNELS, FAR, Encoder
from models.columns.series.encoder import window_features as torch_features
from models.columns.series.feed import SeriesKind, SeriesSettings
from models.columns.series.statistics import FEATURES, fit_series, trend_weights, window_features
from models.sections import Network

KIND = SeriesKind()
SETTINGS = SeriesSettings(window=4)
SMALL = Network(width=8, depth=1, members=2, embedding=4)
Windows = NDArray[np.float32]


def windows(rows: int, window: int = 12, seed: int = 0) -> Windows:
    """Random windows with gaps; the first has no value at all, the second a single one."""
    random = np.random.default_rng(seed)
    found = random.normal(50, 3, (rows, window)).cumsum(axis=1).astype(np.float32)
    found[random.random(found.shape) < 0.2] = np.nan
    found[0] = np.nan
    if rows > 1:
        found[1] = np.nan
        found[1, 3] = 7
    return found


def stored(values: Windows, null: tuple[int, ...] = ()) -> pa.Array:
    cells = [None if i in null else row.astype("<f4").tobytes() for i, row in enumerate(values)]
    return pa.array(cells, pa.binary(4 * values.shape[1]))


def plain_features(window: Windows) -> list[float]:
    """By the book, one window at a time: missing values count as the mean of the others."""
    if np.isnan(window).all():
        return [np.nan] * len(FEATURES)
    filled = np.where(np.isnan(window), np.nanmean(window), window).astype(np.float64)
    slope = np.polyfit(np.arange(len(window)), filled, 1)[0]
    given = filled[~np.isnan(window)]
    return [
        filled[-1],
        given.mean(),
        given.std(),
        slope * (len(window) - 1),
        filled.min(),
        filled.max(),
        float(np.sqrt((np.diff(filled) ** 2).mean())),
    ]


def torch_twin(values: Windows) -> Windows:
    batch = torch.from_numpy(values).double().unsqueeze(1)
    found = torch_features(batch, torch.isnan(batch), torch.from_numpy(trend_weights(values.shape[1])))
    return found.squeeze(1).numpy()


def encoder(channels: int = 2, window: int = 12) -> Encoder:
    torch.manual_seed(0)
    statistics = [fit_series([windows(200, window, seed)], window) for seed in range(channels)]
    return Encoder([SeriesSettings(window=window)] * channels, statistics, SMALL).eval()


def inputs(rows: int, channels: int = 2, window: int = 12, seed: int = 5) -> Windows:
    return np.stack([windows(rows, window, seed + channel) for channel in range(channels)], axis=1)


def test_features_of_a_window_worked_out_by_hand() -> None:
    """1 2 ? 6: the gap counts as the mean of 3; the least-squares line rises by 1.6 a row."""
    (found,) = window_features(np.array([[1, 2, np.nan, 6]], dtype=np.float32))
    spread = np.sqrt((4 + 1 + 9) / 3)
    roughness = np.sqrt((1 + 1 + 9) / 3)
    np.testing.assert_allclose(found, [6, 3, spread, 4.8, 1, 6, roughness], rtol=1e-6)


def test_of_a_window_without_values_every_feature_is_missing() -> None:
    assert np.isnan(window_features(np.full((2, 5), np.nan, dtype=np.float32))).all()


@pytest.mark.parametrize("window", [2, 3, 30])
def test_features_are_those_of_the_book(window: int) -> None:
    values = windows(40, max(window, 4))[:, -window:]
    np.testing.assert_allclose(window_features(values), [plain_features(row) for row in values], rtol=1e-4, atol=1e-4)


@given(st.lists(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6, width=32)), min_size=5, max_size=5), min_size=1))
@settings(deadline=None, max_examples=50)
def test_torch_and_numpy_agree_on_features(rows: list[list[float | None]]) -> None:
    values = np.array(rows, dtype=np.float32)
    scale = max(1.0, float(np.nanmax(np.abs(values), initial=0)))
    np.testing.assert_allclose(torch_twin(values) / scale, window_features(values) / scale, atol=1e-5)


def test_a_far_offset_takes_no_digits_from_the_trend() -> None:
    """Sensors in large units: one step up in a hundred thousand."""
    values = (1e5 + np.arange(8, dtype=np.float32))[None]
    assert window_features(values)[0, 3] == pytest.approx(7)
    assert torch_twin(values)[0, 3] == pytest.approx(7)


def test_windows_are_read_as_they_were_stored() -> None:
    values = windows(5, 4)
    np.testing.assert_array_equal(KIND.to_input(stored(values), SETTINGS), values)
    assert KIND.shape(SETTINGS) == (4,) and KIND.arrow_type(SETTINGS) == pa.binary(16)


def test_a_missing_window_and_a_slice_of_windows_are_read_right() -> None:
    values = np.arange(20, dtype=np.float32).reshape(5, 4)
    found = KIND.to_input(stored(values, null=(3,)).slice(2), SETTINGS)
    np.testing.assert_array_equal(found, [values[2], np.full(4, np.nan), values[4]])
    np.testing.assert_array_equal(KIND.to_input(stored(values).slice(3), SETTINGS), values[3:])


def test_gathered_windows_are_told_from_those_that_failed() -> None:
    content = stored(np.ones((3, 4), dtype=np.float32), null=(1, 2))
    why = pa.array([None, "window too short", "duplicate time"])
    parsed = KIND.parse(pa.StructArray.from_arrays([content, why], ["content", "failure"]), SETTINGS, ())
    assert {refusal.reason: refusal.rows.tolist() for refusal in parsed.refusals} == {
        "window too short": [False, True, False],
        "duplicate time": [False, False, True],
    }
    assert parsed.values.equals(content)


@pytest.mark.parametrize("raw", [pa.array([1.5, None]), pa.array(["1.5", None]), stored(np.zeros((2, 3), np.float32))])
def test_what_is_no_window_is_refused(raw: pa.Array) -> None:
    parsed = KIND.parse(raw, SETTINGS, ())
    assert parsed.values.type == KIND.arrow_type(SETTINGS) and parsed.values.null_count == len(raw)
    assert [refusal.reason for refusal in parsed.refusals] == ["not a window"]
    assert parsed.refusals[0].rows.tolist() == raw.is_valid().to_pylist()


def test_statistics_do_not_depend_on_the_pieces() -> None:
    values = windows(60)
    whole = fit_series([values], 12)
    assert fit_series([values[:7], values[7:7], values[7:]], 12) == whole
    assert (whole.count, whole.missing, len(whole.features)) == (60, 1, len(FEATURES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        lasts = np.where(np.isnan(values[:, -1]), np.nanmean(values, axis=1), values[:, -1])
    assert whole.median == pytest.approx(np.nanmedian(lasts))
    assert whole.features[1].median == pytest.approx(np.nanmedian(np.nanmean(values[1:], axis=1)), rel=1e-5)


def test_statistics_of_no_window_are_those_of_missing_values() -> None:
    found = KIND.fit([stored(np.empty((0, 4), np.float32))], SETTINGS)
    assert (found.count, found.median, found.scale, found.window) == (0, 0, 1, 4)


def test_the_encoder_gives_what_it_promises_whatever_is_missing() -> None:
    made = encoder()
    values = inputs(9)
    values[4] = np.nan
    with torch.inference_mode():
        found = made(torch.from_numpy(values))
    assert found.shape == (9, made.out_features) == (9, 2 * len(FEATURES) * SMALL.embedding + 2 * CHANNELS)
    assert torch.isfinite(found).all()


def test_each_row_is_encoded_by_itself() -> None:
    made, values = encoder(), torch.from_numpy(inputs(9))
    with torch.inference_mode():
        np.testing.assert_allclose(made(values)[3:5], made(values[3:5]), rtol=1e-5, atol=1e-6)


def test_the_order_of_rows_in_a_window_matters() -> None:
    made, values = encoder(), torch.from_numpy(np.nan_to_num(inputs(4), nan=40.0))
    with torch.inference_mode():
        assert (made(values) - made(values.flip(2))).abs().amax() > 0.01


def test_a_broken_sensor_does_not_drown_the_others() -> None:
    """Beyond the limit, shapes see no difference between far and farther."""
    made, values = encoder(), inputs(3)
    far, farther = values.copy(), values.copy()
    far[:, 0], farther[:, 0] = 1e9, 1e12
    with torch.inference_mode():
        one, other = (made(torch.from_numpy(v))[:, -2 * CHANNELS :] for v in (far, farther))
    torch.testing.assert_close(one, other)
    assert FAR * max(made.scale.flatten().tolist()) < 1e9


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    path = tmp_path_factory.mktemp("graph") / "series.onnx"
    program = torch.onnx.export(
        encoder(),
        (torch.from_numpy(inputs(5)),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("rows", min=1)},),
        input_names=["windows"],
        verbose=False,
    )
    assert program is not None
    program.save(path)
    return onnxruntime.InferenceSession(path)


@pytest.mark.parametrize("rows", [1, 2, 50])
def test_onnx_runtime_gives_the_features_that_torch_gives(session: onnxruntime.InferenceSession, rows: int) -> None:
    values = inputs(rows, seed=11)
    (found,) = session.run(None, {"windows": values})
    with torch.inference_mode():
        expected = encoder()(torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_biased_sensor_reads_half_a_standard_deviation_higher() -> None:
    values = windows(20, 4)
    shifted = KIND.shifts["sensor_bias"](stored(values, null=(5,)), SETTINGS, np.random.default_rng(0))
    found = KIND.to_input(shifted, SETTINGS)
    values[5] = np.nan
    np.testing.assert_allclose(found, values + BIAS * np.nanstd(values), rtol=1e-5)


def test_a_sensor_that_measured_nothing_has_no_bias() -> None:
    shifted = KIND.shifts["sensor_bias"](stored(windows(1, 4)), SETTINGS, np.random.default_rng(0))
    assert np.isnan(KIND.to_input(shifted, SETTINGS)).all()


def test_values_that_are_large_beside_their_spread_keep_their_digits() -> None:
    """Air pressure in pascals: what the features are must not depend on where the zero of the unit is."""
    random = np.random.default_rng(0)
    near = random.normal(0, 1, (300, 12)).astype(np.float32).round(2)
    far = near.astype(np.float64) + 131072
    found = []
    for values in (near, far.astype(np.float32)):
        torch.manual_seed(0)
        made = Encoder([SeriesSettings(window=12)], [fit_series([values], 12)], SMALL).eval()
        with torch.no_grad():
            found.append(made(torch.from_numpy(values[:, None])).numpy())
    np.testing.assert_allclose(found[1], found[0], atol=0.1)
    np.testing.assert_allclose(found[1].mean(axis=0), found[0].mean(axis=0), atol=0.01)


def test_of_many_windows_evenly_spaced_ones_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics_module, "MOST_WINDOWS", 40)
    values = np.repeat(np.arange(100, dtype=np.float32)[:, None], 4, axis=1)
    whole, cut = fit_series([values], 4), fit_series([values[:7], values[7:60], values[60:]], 4)
    assert whole == cut
    assert (whole.count, whole.features[0].quantiles[0], whole.features[0].quantiles[-1]) == (100, 0, 96)


def test_rounding_of_standardised_windows_is_no_feature() -> None:
    """Each window has mean 0 and spread 1 but for rounding, whose digits depend on the order of a sum."""
    random = np.random.default_rng(0)
    values = random.normal(size=(300, 150)).cumsum(axis=1)
    values = ((values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)).astype(np.float32)
    statistics = fit_series([values], 150)
    for name in ("mean", "spread"):
        edges = statistics.features[FEATURES.index(name)].edges
        assert len(edges) == 2
        assert edges[1] - edges[0] == pytest.approx(1)
    assert len(statistics.features[FEATURES.index("trend")].edges) > 20
    torch.manual_seed(0)
    encoder = Encoder([SeriesSettings(window=150)], [statistics], SMALL).eval()
    torch.nn.init.normal_(encoder.embedded.pieces)
    batch = torch.from_numpy(values).unsqueeze(1)
    with torch.inference_mode():
        moved = batch.nextafter(torch.full_like(batch, torch.inf))
        torch.testing.assert_close(encoder(batch), encoder(moved), atol=1e-4, rtol=0)

"""Values as people see them, and the few features that stand for them where a model takes a table of numbers."""

import io
import wave

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from models.columns import KINDS
from models.columns.audio.settings import END, AudioSettings
from models.columns.cells import as_fixed
from models.columns.image.feed import THUMBNAIL, ImageSettings
from models.columns.number.feed import NumberSettings
from models.columns.series.feed import SeriesSettings
from models.columns.text.feed import TextSettings

LARGE = ("image", "audio", "series")


def recordings(*sounds: np.ndarray, samples: int = 4000) -> pa.Array:
    padded = np.full((len(sounds), samples), END, np.int16)
    for row, sound in zip(padded, sounds, strict=True):
        row[: len(sound)] = sound
    return as_fixed(padded, np.ones(len(sounds), bool))


def tone(hertz: float, seconds: float, rate: int = 4000) -> np.ndarray:
    return np.round(8192 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)).astype(np.int16)


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_value_shows_nothing_and_has_no_features(kind: str) -> None:
    settings = KINDS[kind].settings()
    missing = pa.nulls(2, KINDS[kind].arrow_type(settings))
    shown = KINDS[kind].shown(missing, settings, 1)
    assert not shown.drawn
    assert not shown.text
    summary = KINDS[kind].summary(missing, settings)
    assert len(summary) == 2
    assert np.isnan(summary).all()
    assert (summary.shape[1] > 0) == bool(KINDS[kind].summarised) == (kind in LARGE)
    assert KINDS[kind].summary(missing[:0], settings).shape == (0, summary.shape[1])


def test_numbers_are_short_and_long_texts_are_cut() -> None:
    assert KINDS["number"].shown(pa.array([0.1 + 0.2]), NumberSettings(), 0).text == "0.3"
    shown = KINDS["text"].shown(pa.array(["short", "x" * 301]), TextSettings(), 1)
    assert shown.text == "x" * 299 + "…"


@pytest.mark.parametrize(("size", "expected"), [(8, (8, 8)), ((200, 100), (48, THUMBNAIL))])
def test_pictures_are_shown_no_larger_than_need_be(size: int | tuple[int, int], expected: tuple[int, int]) -> None:
    settings = ImageSettings(size=size)
    content = bytes(settings.height * settings.width * 2) + bytes([255]) * settings.height * settings.width
    values = pa.array([content], pa.binary(len(content)))
    picture = Image.open(io.BytesIO(KINDS["image"].shown(values, settings, 0).picture))
    assert (picture.width, picture.height) == expected


def test_a_recording_is_shown_up_to_its_end() -> None:
    settings = AudioSettings(sample_rate=4000, seconds=1.0)
    values = recordings(tone(200, 1.0), tone(200, 0.25))
    shown = KINDS["audio"].shown(values, settings, 1)
    assert shown.text == "0.25 s, peak −12 dB"
    with wave.open(io.BytesIO(shown.sound)) as file:
        assert (file.getnframes(), file.getframerate(), file.getsampwidth()) == (1000, 4000, 2)
        np.testing.assert_array_equal(np.frombuffer(file.readframes(1000), "<i2"), tone(200, 0.25))
    assert shown.curve is not None
    assert shown.curve.shape == (240, 2)
    assert (shown.curve[:, 0] <= shown.curve[:, 1]).all()


def test_a_silent_and_a_long_recording_have_no_level_and_no_sound() -> None:
    settings = AudioSettings(sample_rate=4000, seconds=20.0)
    silent = KINDS["audio"].shown(recordings(np.zeros(1, np.int16), samples=80000), settings, 0)
    assert silent.text == "0.00 s, silent"
    long = KINDS["audio"].shown(recordings(tone(200, 20.0), samples=80000), settings, 0)
    assert long.sound == b""
    assert long.drawn


def test_the_band_of_a_tone_is_the_loudest() -> None:
    settings = AudioSettings(sample_rate=4000, seconds=1.0)
    low, high = KINDS["audio"].summary(recordings(tone(80, 1.0), tone(1500, 0.5)), settings)
    edges = np.geomspace(50, 2000, 33)
    for found, hertz in ((low, 80), (high, 1500)):
        assert edges[found[:32].argmax()] <= hertz <= edges[found[:32].argmax() + 1]
    assert [low[33], high[33]] == [1.0, 0.5]


def test_the_shortest_recordings_have_finite_features() -> None:
    settings = AudioSettings(sample_rate=500, seconds=0.05)
    assert np.isfinite(KINDS["audio"].summary(recordings(tone(100, 0.05, 500), samples=25), settings)).all()


def test_a_window_is_a_line_with_its_gaps() -> None:
    settings = SeriesSettings(window=4)
    values = pa.array([np.array([1, np.nan, 3, 2], "<f4").tobytes()], pa.binary(16))
    shown = KINDS["series"].shown(values, settings, 0)
    assert shown.text == "last 2, 1 to 3"
    assert shown.curve is not None
    assert np.isnan(shown.curve[1]).all()

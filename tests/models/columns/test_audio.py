"""Recordings become samples of one rate and length, or are refused; the network hears the same in torch and ONNX."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.columns import filekind
from models.columns.audio.decode import decode, resample
from models.columns.audio.settings import END, AudioSettings
from models.columns.kind import Parsed
from tests.models.columns.sounds import KIND, SETTINGS, statistics, tone

os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def sound_file(sound: NDArray[np.float64], rate: int, kind: str = "WAV", subtype: str | None = None) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format=kind, subtype=subtype)
    return file.getvalue()


def decoded(content: bytes, chosen: AudioSettings = SETTINGS) -> NDArray[np.int16]:
    found = decode(content, chosen)
    assert not isinstance(found, str), found
    assert found.dtype == np.int16 and found.shape == (chosen.samples,)
    return found


def parse(raw: pa.Array, chosen: AudioSettings = SETTINGS) -> Parsed:
    return KIND.parse(raw, chosen, ("?",))


def refused(parsed: Parsed) -> dict[str, list[int]]:
    return {refusal.reason: np.flatnonzero(refusal.rows).tolist() for refusal in parsed.refusals}


SHORT = sound_file(tone(440, 8000, 0.1), 8000)


def test_16_bit_samples_come_through_unchanged_and_the_end_is_marked() -> None:
    values = np.array([0, 1, -1, 32767, -32767, -32768, 12345], dtype=np.int16)
    found = decoded(sound_file(values, 8000))
    assert found[:7].tolist() == [0, 1, -1, 32767, -32767, -32767, 12345]
    assert (found[7:] == END).all()


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_formats_sound_alike(kind: str) -> None:
    sound = tone(440, 16000, 0.25)
    found = decoded(sound_file(sound, 16000, kind), AudioSettings(seconds=0.25)) / 32768
    assert np.corrcoef(found[500:3500], sound[500:3500])[0, 1] > 0.99


@pytest.mark.parametrize("rate", [8000, 11127, 16000, 22050, 44100, 48000, 96000])
def test_any_rate_is_resampled_to_the_same_tone(rate: int) -> None:
    found = decoded(sound_file(tone(440, rate, 0.25), rate)) / 32768
    heard = found[: (found > -1).sum()]
    assert abs(len(heard) - 2000) <= 1
    expected = tone(440, 8000, 0.25)[: len(heard)]
    assert np.abs(heard - expected)[100:-100].max() < 0.01


def test_what_is_above_the_new_rate_is_filtered_out() -> None:
    found = decoded(sound_file(tone(7000, 44100, 0.25), 44100)) / 32768
    assert np.abs(found[100:1900]).max() < 0.02


def test_a_rate_without_a_ratio_is_damaged() -> None:
    with pytest.raises(ValueError, match="sampling rate"):
        resample(np.ones(10, np.float32), 2_000_000_000, 8000)


def test_channels_are_averaged() -> None:
    left, right = tone(440, 8000, 0.1), tone(220, 8000, 0.1, 0.2)
    both = decoded(sound_file(np.stack([left, right], 1), 8000))
    assert np.abs(both[:800] / 32768 - (left + right) / 2).max() < 1e-3


@given(st.integers(0, 30000))
@settings(max_examples=20, deadline=None)
def test_of_a_long_recording_the_loudest_part_is_heard(start: int) -> None:
    """A square wave of exactly the heard length stands on an offset; it is found to a hundredth of a second."""
    sound = np.full(32000, 0.3)
    sound[start : start + 2000] += np.where(np.arange(2000) % 2, 0.1, -0.1)
    found = decoded(sound_file(sound, 8000)) / 32768
    assert (np.abs(found - 0.3) > 0.05).sum() >= 2000 - 80


def test_the_loudest_part_is_found_beyond_the_first_piece_that_is_read() -> None:
    sound = np.full(2**20 + 100_000, 0.0)
    sound[-50_000:-48_000] = tone(500, 8000, 0.25)
    found = decoded(sound_file(sound, 8000), AudioSettings(sample_rate=8000, seconds=0.25))
    assert np.abs(found).mean() > 5000


def test_one_sample_and_silence_are_recordings() -> None:
    assert (decoded(sound_file(np.array([0.5]), 8000)) != END).sum() == 1
    assert (decoded(sound_file(np.array([0.5]), 96000)) != END).sum() == 1
    assert decoded(sound_file(np.zeros(4000), 8000)).tolist() == [0] * 2000


def test_too_loud_floats_are_clipped() -> None:
    assert set(decoded(sound_file(np.array([9.0, -9.0] * 1000), 8000, subtype="FLOAT"))) == {32767, -32767}


def _with_size(content: bytes, size: int) -> bytes:
    at = content.index(b"data") + 4
    return content[:at] + size.to_bytes(4, "little") + content[at + 4 :]


NOT_FINITE = tone(440, 8000, 0.1)


NOT_FINITE[5] = np.nan


LONG_NOT_FINITE = tone(440, 8000, 2)


LONG_NOT_FINITE[-5] = np.inf


LONG = sound_file(np.zeros(8000), 8000)


BAD = {
    "empty": (b"", "empty file"),
    "text": (b"these are words, not sounds\n" * 50, "not a recording"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(500), "not a recording"),
    "header only": (SHORT[:20], "damaged recording"),
    "cut wav": (SHORT[:-200], "damaged recording"),
    "cut aiff": (sound_file(tone(440, 8000, 0.1), 8000, "AIFF")[:-200], "damaged recording"),
    "cut flac": (sound_file(tone(440, 8000, 0.2), 8000, "FLAC")[:-200], "damaged recording"),
    "cut long flac": (sound_file(tone(440, 8000, 5), 8000, "FLAC")[:-2000], "damaged recording"),
    "cut mp3": (sound_file(tone(440, 8000, 9), 8000, "MP3")[:3000], "damaged recording"),
    "no samples": (sound_file(np.zeros(0), 8000), "no samples"),
    "nan": (sound_file(NOT_FINITE, 8000, subtype="FLOAT"), "damaged recording"),
    "inf outside of the heard part": (sound_file(LONG_NOT_FINITE, 8000, subtype="FLOAT"), "damaged recording"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_sound_recording_is_refused_in_plain_words(name: str) -> None:
    content, reason = BAD[name]
    assert decode(content, SETTINGS) == reason


def test_recordings_longer_than_accepted_are_refused() -> None:
    chosen = AudioSettings(sample_rate=8000, seconds=0.25, max_seconds=1)
    assert decode(sound_file(np.zeros(8001), 8000), chosen) == "too long"
    decoded(LONG, chosen)


def test_a_streamed_wav_whose_header_never_learnt_its_length_is_read() -> None:
    assert (decoded(_with_size(SHORT, 0xFFFFFFFF)) != END).sum() == 800


@given(st.binary(max_size=60), st.integers(0, len(SHORT)))
@settings(max_examples=40, deadline=None)
def test_any_bytes_are_samples_or_a_reason(garbage: bytes, at: int) -> None:
    for content in (garbage, SHORT[:at] + garbage + SHORT[at:], SHORT[:at] + garbage):
        found = decode(content, SETTINGS)
        assert isinstance(found, str) or found.shape == (2000,)


CONTENTS = [SHORT, None, b"words", SHORT, b""]


REFUSED = {"empty file": [4], "not a recording": [2]}


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_contents_of_any_binary_type_are_decoded(kind: pa.DataType) -> None:
    raw = pa.array(CONTENTS, kind)
    parsed = parse(raw)
    assert parsed.values.type == pa.binary(4000) == KIND.arrow_type(SETTINGS)
    assert (parsed.values.is_valid().to_pylist(), refused(parsed)) == ([True, False, False, True, False], REFUSED)
    later = parse(pa.chunked_array([raw.slice(1), raw]))
    assert later.values.to_pylist() == parsed.values.to_pylist()[1:] + parsed.values.to_pylist()
    assert refused(later) == {"empty file": [3, 8], "not a recording": [1, 6]}


def test_a_dictionary_of_contents_is_read_as_its_values() -> None:
    parsed = parse(pa.array(CONTENTS, pa.binary()).dictionary_encode())
    assert refused(parsed) == REFUSED
    assert parsed.values.to_pylist() == parse(pa.array(CONTENTS, pa.binary())).values.to_pylist()


def test_what_could_not_be_fetched_is_refused_with_its_reason() -> None:
    raw = pa.array(
        [
            {"content": SHORT, "failure": None},
            {"content": None, "failure": "no such file"},
            {"content": None, "failure": None},
            {"content": None, "failure": "not allowed to read it"},
            {"content": None, "failure": "no such file"},
            {"content": b"words", "failure": None},
            None,
        ],
        pa.struct({"content": pa.binary(), "failure": pa.string()}),
    )
    expected = {"no such file": [1, 4], "not a recording": [5], "not allowed to read it": [3]}
    parsed = parse(raw)
    assert refused(parsed) == expected
    assert parsed.values.is_valid().to_pylist() == [True] + [False] * 6
    assert refused(parse(raw.slice(3))) == {"no such file": [1], "not a recording": [2], "not allowed to read it": [0]}


def test_parsed_values_pass_and_other_types_are_refused() -> None:
    values = parse(pa.array(CONTENTS, pa.binary())).values
    assert parse(values).values.equals(values) and not parse(values).refusals
    assert parse(pa.nulls(3)).values.null_count == 3 and not parse(pa.nulls(3)).refusals
    for other in (
        pa.array(["a", None]),
        pa.array([1.5, None]),
        pa.array([[1], None]),
        pa.array([b"xy", None], pa.binary(2)),
    ):
        assert refused(parse(other)) == {"wrong type": [0]}
        assert parse(other).values.type == pa.binary(4000)


def test_types_that_can_hold_recordings() -> None:
    fetched = pa.struct({"content": pa.binary(), "failure": pa.string()})
    for good in (pa.string(), pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(4000), pa.null(), fetched):
        assert KIND.reads(good, SETTINGS)
    for bad in (pa.int64(), pa.binary(3), pa.bool_(), pa.list_(pa.float32()), pa.struct({"a": pa.binary()})):
        assert not KIND.reads(bad, SETTINGS)


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    raw = pa.array([sound_file(rng.uniform(-1, 1, size), 11127) for size in range(1000, 9000, 500)], pa.binary())
    one, many = (_parsed_by(threads, raw, monkeypatch) for threads in (1, 8))
    assert one.equals(many)


def _parsed_by(threads: int, raw: pa.Array, monkeypatch: pytest.MonkeyPatch) -> pa.Array:
    monkeypatch.setattr(filekind, "usable_cores", lambda: threads)
    return parse(raw).values


def test_the_graph_input_is_int16_with_a_missing_recording_all_end() -> None:
    values = parse(pa.array([None, *CONTENTS], pa.binary())).values
    fed = KIND.to_input(values, SETTINGS)
    assert fed.dtype == np.int16 and fed.shape == (6, *KIND.shape(SETTINGS))
    assert [bool((row == END).all()) for row in fed] == [True, False, True, True, False, True]
    assert (KIND.to_input(values.slice(4), SETTINGS) == fed[4:]).all()
    assert (KIND.to_input(pa.nulls(2, pa.binary(4000)), SETTINGS) == END).all()
    assert KIND.to_input(values.slice(6), SETTINGS).shape == (0, 2000)
    assert (KIND.encode(values, SETTINGS, statistics()) == fed).all()


def test_importing_the_feed_loads_no_decoder(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, models.columns.audio.feed; print({*sys.modules} & {'soundfile', 'scipy', 'torch', 'onnx'})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"

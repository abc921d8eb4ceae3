"""Recordings become samples of one rate and length, or are refused; the network hears the same in torch and ONNX."""

import io
import os
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.columns import filekind
from models.columns.audio import augment
from models.columns.audio.decode import decode, resample
from models.columns.audio.encoder import Encoder, level, waveform
from models.columns.audio.feed import AudioKind
from models.columns.audio.settings import END, AudioSettings
from models.columns.audio.shifts import SHIFTS
from models.columns.audio.spectrum import BANDS, Frames
from models.columns.audio.statistics import AudioStatistics, fit_audio, levels_of
from models.columns.cells import as_fixed
from models.columns.kind import Parsed
from models.sections import Network

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
KIND = AudioKind()
SETTINGS = AudioSettings(sample_rate=8000, seconds=0.25)
"""2000 samples."""


def tone(hertz: float, rate: int, seconds: float, loudness: float = 0.5) -> NDArray[np.float64]:
    return loudness * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


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


def recordings(rows: int, seed: int = 0) -> NDArray[np.int16]:
    """Noises of random lengths and levels; the second row is missing, the third is silent."""
    rng = np.random.default_rng(seed)
    samples = (
        (rng.standard_normal((rows, 2000)) * rng.uniform(50, 3000, (rows, 1))).clip(-32767, 32767).astype(np.int16)
    )
    samples[np.arange(2000) >= rng.integers(1, 2001, (rows, 1))] = END
    samples[1:2] = END
    samples[2:3] = 0
    return samples


def statistics() -> AudioStatistics:
    return fit_audio([recordings(30)], SETTINGS)


def test_a_tone_fills_the_band_that_hears_its_frequency() -> None:
    samples = (tone(1000, 8000, 0.25) * 32768).astype(np.int16)
    spectra, exists = Frames.of(SETTINGS).log_mel(samples[None])
    assert spectra.shape == (1, 25, BANDS) and exists.all()
    top = 2595 * np.log10(1 + 4000 / 700)
    band = 2595 * np.log10(1 + 1000 / 700) / top * (BANDS + 1) - 1
    assert abs(spectra[0, 12].argmax() - band) <= 1


def test_white_noise_has_the_power_that_parseval_says() -> None:
    """Frames of a Hann window see, on average, all of the power; the constant alone is left out."""
    frames = Frames.of(AudioSettings(seconds=10))
    noise = np.random.default_rng(0).standard_normal(400 * 300).reshape(300, 400)
    cosines, sines = np.split(noise @ frames.basis().T, 2, axis=1)
    assert (cosines**2 + sines**2).sum(1).mean() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("rate", [500, 1000, 8000, 16000, 44100, 96000])
@pytest.mark.parametrize("seconds", [0.05, 1.0])
def test_no_band_is_deaf_and_every_frame_has_its_samples(rate: int, seconds: float) -> None:
    frames = Frames.of(AudioSettings(sample_rate=rate, seconds=seconds))
    assert (frames.mel().sum(axis=1) > 0.5).all()
    before, behind = frames.padding
    assert before >= 0 and behind >= 0
    assert (before + frames.samples + behind - frames.window) // frames.hop + 1 == frames.count


def test_statistics_are_those_of_all_existing_frames_however_they_are_cut() -> None:
    samples = recordings(30)
    spectra, exists = Frames.of(SETTINGS).log_mel(samples)
    found, pieces = fit_audio([samples], SETTINGS), fit_audio([samples[:7], samples[7:7], samples[7:]], SETTINGS)
    np.testing.assert_allclose(found.mean, spectra[exists].mean(0), rtol=1e-4)
    np.testing.assert_allclose(found.spread, spectra[exists].std(0), rtol=1e-3)
    np.testing.assert_allclose(found.mean, pieces.mean, rtol=1e-9)
    assert (found.count, found.missing, found.sample_rate, found.samples) == (30, 1, 8000, 2000)
    assert found.level == pieces.level and len(found.seconds) == 21 and found.seconds[-1] <= 0.25
    assert AudioStatistics.model_validate_json(found.model_dump_json()) == found


def test_statistics_of_nothing_are_harmless() -> None:
    empty = KIND.fit([pa.nulls(2, pa.binary(4000)), pa.nulls(0, pa.binary(4000))], SETTINGS)
    assert (empty.count, empty.missing, empty.level, empty.spread[0]) == (2, 2, (), 1)


def test_levels_are_in_decibels_below_full_scale() -> None:
    square = np.where(np.arange(2000) % 2, 16384, -16384).astype(np.int16)
    assert levels_of(square[None])[0] == pytest.approx(-6.02, abs=0.01)


def encoder(augmented: bool = True, chosen: AudioSettings = SETTINGS) -> Encoder:
    torch.manual_seed(0)
    made = Encoder([chosen.model_copy(update={"augment": augmented})], [statistics()], Network())
    made(torch.from_numpy(recordings(30)))
    torch.nn.init.normal_(made.missing)
    return made


def test_torch_and_numpy_see_the_same_spectra() -> None:
    samples = recordings(8)
    spectra, exists = Frames.of(SETTINGS).log_mel(samples)
    found = statistics()
    expected = (spectra - np.array(found.mean)) / np.array(found.spread) * exists[..., None]
    seen, mask = encoder().eval()._spectra(torch.from_numpy(samples))
    assert mask[:, 0, 0].numpy().tolist() == exists.tolist()
    np.testing.assert_allclose(seen[:, 0].transpose(1, 2).numpy(), expected, atol=2e-4)


def test_a_missing_recording_is_its_own_vector_and_rows_stand_alone() -> None:
    made, samples = encoder().eval(), torch.from_numpy(recordings(6))
    features = made(samples)
    assert features.shape == (6, made.out_features) and torch.isfinite(features).all()
    assert torch.equal(features[1], made.missing)
    assert torch.allclose(made(samples[3:4])[0], features[3], atol=1e-5)


def test_features_depend_neither_on_gain_nor_on_offset() -> None:
    sound = (np.random.default_rng(0).standard_normal((1, 2000)) * 4000).astype(np.int16)
    made = encoder().eval()
    for changed in (sound // 8, sound + 3000):
        before, after = made(torch.from_numpy(sound)), made(torch.from_numpy(changed.astype(np.int16)))
        assert (before - after).abs().max() < 0.05 * before.abs().max()


def test_what_stands_behind_the_end_has_no_influence() -> None:
    samples = torch.from_numpy(recordings(30)[5:6])
    made = encoder().eval()
    shorter = samples.clone()
    shorter[:, 700:] = END
    assert not torch.allclose(made(samples), made(shorter))
    assert torch.isfinite(made(shorter)).all()


def test_training_shows_changed_recordings_and_a_few_as_missing() -> None:
    samples = torch.from_numpy(recordings(9)[8:]).expand(1000, -1)
    changing, still = encoder().train(), encoder(augmented=False).train()
    with torch.no_grad():
        shown, same = changing._spectra(samples[:9])[0], still._spectra(samples[:9])[0]
        missing = (still(samples) == still.missing).all(1).float().mean()
    assert not torch.allclose(shown[0], shown[1])
    assert torch.allclose(same[0], same[1])
    assert 0 < missing < 0.03


def test_where_pitch_decides_it_is_left_as_it_is() -> None:
    """The loudest band of a pure tone stays, or else moves."""
    samples = np.full((40, 2000), END, np.int16)
    samples[:] = tone(1000, 8000, 0.25) * 8000
    loudest = []
    for chosen in (SETTINGS, SETTINGS.model_copy(update={"vary_pitch": False})):
        with torch.no_grad():
            spectra = encoder(chosen=chosen).train()._spectra(torch.from_numpy(samples))[0][:, 0]
        powers = np.array(statistics().mean)[:, None] + spectra.numpy() * np.array(statistics().spread)[:, None]
        loudest.append(powers[:, :, 5:15].mean(axis=2).argmax(axis=1))
    varied, left = (float(bands.std()) for bands in loudest)
    assert left < 1 < varied


def test_faster_recordings_are_shorter_and_higher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "uniform", lambda x, low, high: torch.full((len(x), 1), max(low, 0.0) and high))
    sound, length = torch.from_numpy(tone(500, 8000, 0.25)[None]).float(), torch.tensor([[1600]])
    same, unchanged = augment.play(sound, length)
    assert unchanged.item() == 1600 and torch.allclose(same[:, :1600], sound[:, :1600])
    monkeypatch.setattr(augment, "uniform", lambda x, low, high: torch.full((len(x), 1), np.log(1.25) if low else 0.0))
    faster, shorter = augment.play(sound, length)
    assert shorter.item() == 1280
    np.testing.assert_allclose(faster[0, :1280], tone(625, 8000, 0.16), atol=0.02)
    assert (faster[0, 1280:] == 0).all()


def test_noise_has_the_level_it_is_asked_to_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(augment, "uniform", lambda x, low, high: torch.full((len(x), 1), 10.0 if high > 1 else 0.0))
    sound = level(*waveform(torch.from_numpy(recordings(4)[3:])))
    noise = augment.disturb(sound, torch.tensor([[2000]])) - sound
    assert float(noise.square().mean()) == pytest.approx(0.1, rel=0.2)


def test_gaps_lie_within_the_recording_and_hide_no_more_than_their_share() -> None:
    frames = torch.arange(1, 41).unsqueeze(1).repeat(20, 1)
    shown = augment.hide(torch.ones(800, BANDS, 40), frames)
    hidden_bands, hidden_frames = (shown.amax(2) == 0).sum(1), (shown.amax(1) == 0).sum(1)
    assert 0 < hidden_bands.max() <= augment.BANDS_HIDDEN * BANDS + 1
    assert (hidden_frames <= augment.FRAMES_HIDDEN * frames[:, 0] + 1).all() and hidden_frames.max() > 4


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> onnxruntime.InferenceSession:
    path = tmp_path_factory.mktemp("graph") / "audio.onnx"
    program = torch.onnx.export(
        encoder().eval(),
        (torch.from_numpy(recordings(5)),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("rows", min=1)},),
        input_names=["audio"],
        verbose=False,
    )
    assert program is not None
    program.save(path)
    return onnxruntime.InferenceSession(path)


@pytest.mark.parametrize("rows", [1, 2, 33])
def test_onnx_runtime_gives_the_features_that_torch_gives(session: onnxruntime.InferenceSession, rows: int) -> None:
    samples = recordings(rows, seed=7)
    (found,) = session.run(None, {"audio": samples})
    with torch.inference_mode():
        expected = encoder().eval()(torch.from_numpy(samples)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def shifted(name: str, samples: NDArray[np.int16]) -> NDArray[np.int16]:
    values = as_fixed(samples, (samples != END).any(axis=1))
    changed = SHIFTS[name](values, SETTINGS, np.random.default_rng(0))
    assert changed.type == values.type and changed.is_valid().equals(values.is_valid())
    return KIND.to_input(changed, SETTINGS)


@pytest.mark.parametrize("name", SHIFTS)
def test_shifts_change_the_sound_and_neither_ends_nor_missing_rows(name: str) -> None:
    samples = recordings(6)
    changed = shifted(name, samples)
    assert ((changed == END) == (samples == END)).all()
    assert (changed[3] != samples[3]).any()
    assert (shifted(name, samples) == changed).all()


def test_shifts_are_as_large_as_they_say() -> None:
    samples = (tone(500, 8000, 0.25)[None] * 32768).astype(np.int16)
    assert levels_of(shifted("quieter", samples)) - levels_of(samples) == pytest.approx(-12, abs=0.01)
    noise = (shifted("background_noise", samples) - samples.astype(np.float64)) / 32768
    power = (samples / 32768.0) ** 2
    assert 10 * np.log10(power.mean() / (noise**2).mean()) == pytest.approx(10, abs=0.1)


def test_importing_the_feed_loads_no_decoder(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = "import sys, models.columns.audio.feed; print({*sys.modules} & {'soundfile', 'scipy', 'torch', 'onnx'})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"

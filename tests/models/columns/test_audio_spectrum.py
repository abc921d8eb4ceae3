"""What the network hears of recordings: spectra, their statistics, features, and what is varied or shifted."""

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
import torch
from numpy.typing import NDArray

from models.columns.audio import augment
from models.columns.audio.encoder import Encoder, level, waveform
from models.columns.audio.settings import END, AudioSettings
from models.columns.audio.shifts import SHIFTS
from models.columns.audio.spectrum import BANDS, Frames
from models.columns.audio.statistics import AudioStatistics, fit_audio, levels_of
from models.columns.cells import as_fixed
from models.sections import Network
from tests.models.columns.sounds import KIND, SETTINGS, recordings, statistics, tone


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

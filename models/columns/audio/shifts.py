"""Recordings as they could sound elsewhere, to see what a model makes of them."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.audio.feed import AudioKind
from models.columns.audio.settings import END, FULL_SCALE, AudioSettings
from models.columns.audio.spectrum import waveforms
from models.columns.cells import as_fixed, valid
from models.columns.kind import Shift

NOISE_DB = 10.0
QUIETER_DB = 12.0
FASTER = 1.1
BLOCK = 1 << 21
"""Samples that are floating-point numbers at a time."""

Change = Callable[[NDArray[np.float32], NDArray[np.int64], np.random.Generator], NDArray[np.float32]]
"""Sound [n, samples], lengths [n] and random numbers -> sound [n, samples]."""


def background_noise(values: pa.Array, settings: AudioSettings, rng: np.random.Generator) -> pa.Array:
    """The recordings with pink noise 10 dB below them."""
    return _changed(values, settings, rng, _add_pink)


def quieter(values: pa.Array, settings: AudioSettings, rng: np.random.Generator) -> pa.Array:
    """The recordings 12 dB quieter."""
    return _changed(values, settings, rng, lambda sound, length, rng: sound * np.float32(10 ** (-QUIETER_DB / 20)))


def muffled(values: pa.Array, settings: AudioSettings, rng: np.random.Generator) -> pa.Array:
    """The recordings as if through a wall: 6 dB an octave less above a sixteenth of the sampling rate."""
    return _changed(values, settings, rng, _muffle)


SHIFTS: Mapping[str, Shift] = MappingProxyType(
    {
        "background_noise": Shift(
            "recordings with a rushing noise behind them, 10 dB below the sound", background_noise
        ),
        "quieter": Shift("recordings 12 dB quieter", quieter),
        "muffled": Shift("recordings as if through a wall", muffled),
    }
)


def _changed(values: pa.Array, settings: AudioSettings, rng: np.random.Generator, change: Change) -> pa.Array:
    samples = AudioKind().to_input(values, settings).copy()
    at_once = max(1, BLOCK // samples.shape[1])
    for start in range(0, len(samples), at_once):
        piece = samples[start : start + at_once]
        sound, length = waveforms(piece)
        changed = np.rint(change(sound, length, rng) * FULL_SCALE).clip(END + 1, -END - 1)
        samples[start : start + at_once] = np.where(piece == END, END, changed)
    return as_fixed(samples, valid(values))


def _add_pink(sound: NDArray[np.float32], length: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
    """The sound with noise whose power falls by 3 dB an octave."""
    power = (sound**2).sum(axis=1, keepdims=True) / np.maximum(length, 1)[:, None]
    spectra = np.fft.rfft(rng.standard_normal(sound.shape), axis=1)
    spectra /= np.sqrt(np.maximum(np.arange(spectra.shape[1]), 1))
    noise = np.fft.irfft(spectra, sound.shape[1], axis=1)
    noise /= np.sqrt((noise**2).mean(axis=1, keepdims=True))
    return np.asarray(sound + noise * np.sqrt(power) * 10 ** (-NOISE_DB / 20), dtype=np.float32)


def _muffle(sound: NDArray[np.float32], length: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
    spectra = np.fft.rfft(sound, axis=1)
    octaves = np.linspace(0, 8, spectra.shape[1])
    return np.asarray(np.fft.irfft(spectra / np.sqrt(1 + octaves**2), sound.shape[1], axis=1), dtype=np.float32)

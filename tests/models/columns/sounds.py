"""Recordings for tests: tones, and files of them."""

import numpy as np
from numpy.typing import NDArray

from models.columns.audio.feed import AudioKind
from models.columns.audio.settings import END, AudioSettings
from models.columns.audio.statistics import AudioStatistics, fit_audio

KIND = AudioKind()


SETTINGS = AudioSettings(sample_rate=8000, seconds=0.25)
"""2000 samples."""


def tone(hertz: float, rate: int, seconds: float, loudness: float = 0.5) -> NDArray[np.float64]:
    return loudness * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


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

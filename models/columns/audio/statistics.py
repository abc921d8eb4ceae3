"""What training rows say about recordings: the spread of their spectra, how loud and how long they are."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from models.columns.audio.settings import AudioSettings
from models.columns.audio.spectrum import BANDS, SILENCE, Frames, waveforms
from models.columns.kind import Statistics

PROFILE_QUANTILES = 21
SAMPLES_AT_ONCE = 2**22
LEAST_SPREAD = 1e-3


class AudioStatistics(Statistics):
    """Mean and spread of each band of the log-mel spectrum, and the profile that drift is judged against."""

    sample_rate: int
    samples: int
    mean: tuple[float, ...]
    """Of each band, over all frames of all recordings."""
    spread: tuple[float, ...]
    """Standard deviation of each band."""
    level: tuple[float, ...]
    """Evenly spaced quantiles of the recordings' levels in dB below full scale; empty when all values are missing."""
    seconds: tuple[float, ...]
    """Evenly spaced quantiles of the recordings' lengths, no longer than what the network hears."""


def fit_audio(pieces: Iterable[NDArray[np.int16]], settings: AudioSettings) -> AudioStatistics:
    """Statistics of recordings given in pieces [n, samples], each looked at once; a missing one is all `END`."""
    frames = Frames.of(settings)
    total, squares, count = np.zeros(BANDS), np.zeros(BANDS), 0
    levels, lengths = [np.zeros(0)], [np.zeros(0)]
    for samples in _bounded(pieces):
        spectra, exists = frames.log_mel(samples)
        known = spectra[exists].astype(np.float64)
        total, squares, count = total + known.sum(axis=0), squares + (known**2).sum(axis=0), count + len(known)
        levels.append(levels_of(samples))
        lengths.append(waveforms(samples)[1] / settings.sample_rate)
    mean = total / max(count, 1)
    spread = np.sqrt(np.maximum(squares / max(count, 1) - mean**2, 0))
    level, seconds = np.concatenate(levels), np.concatenate(lengths)
    return AudioStatistics(
        count=len(seconds),
        missing=int((seconds == 0).sum()),
        sample_rate=settings.sample_rate,
        samples=settings.samples,
        mean=tuple(mean.tolist()),
        spread=tuple(np.where(spread > LEAST_SPREAD, spread, 1).tolist()),
        level=_quantiles(level[seconds > 0]),
        seconds=_quantiles(seconds[seconds > 0]),
    )


def levels_and_lengths(samples: NDArray[np.int16], sample_rate: int) -> NDArray[np.float64]:
    """Levels in dB below full scale and lengths in seconds, [2, N], of recordings [N, samples]; NaN of missing ones."""
    parts = [np.stack([levels_of(some), waveforms(some)[1] / sample_rate]) for some in _bounded([samples]) if len(some)]
    found = np.concatenate([np.empty((2, 0)), *parts], axis=1)
    return np.where(found[1] > 0, found, np.nan)


def levels_of(samples: NDArray[np.int16]) -> NDArray[np.float64]:
    """Root mean squares in dB below full scale, [N], of recordings [N, samples]."""
    sound, length = waveforms(samples)
    power = (sound.astype(np.float64) ** 2).sum(axis=1) / np.maximum(length, 1)
    return np.asarray(10 * np.log10(power + SILENCE**2), dtype=np.float64)


def _bounded(pieces: Iterable[NDArray[np.int16]]) -> Iterator[NDArray[np.int16]]:
    """The same rows in pieces whose spectra fit the memory."""
    for samples in pieces:
        rows = max(1, SAMPLES_AT_ONCE // samples.shape[1])
        for start in range(0, len(samples), rows):
            yield samples[start : start + rows]


def _quantiles(values: NDArray[np.float64]) -> tuple[float, ...]:
    if not len(values):
        return ()
    return tuple(np.quantile(values, np.linspace(0, 1, PROFILE_QUANTILES)).tolist())

"""The log-mel spectrum as matrices, for NumPy in the statistics and for the convolution in the graph."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.columns.audio.settings import END, FULL_SCALE, AudioSettings

BANDS = 40
HOPS_PER_SECOND = 100
SHORTEST_HOP = 32
OVERLAP = 2.5
"""Hops that one frame covers."""
FLOOR = 1e-6
"""Power of a band, relative to that of the whole recording, below which the logarithm flattens."""
SILENCE = 1e-4
"""Root mean square, where full scale is 1, from which down a recording is not made louder."""


@dataclass(frozen=True)
class Frames:
    """How recordings are cut into overlapping frames, and these into frequencies."""

    samples: int
    sample_rate: int

    @classmethod
    def of(cls, settings: AudioSettings) -> "Frames":
        """The frames of the recordings that such settings give."""
        return cls(settings.samples, settings.sample_rate)

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return max(SHORTEST_HOP, round(self.sample_rate / HOPS_PER_SECOND))

    @property
    def window(self) -> int:
        """Samples of a frame."""
        return round(self.hop * OVERLAP)

    @property
    def count(self) -> int:
        """Frames of the longest recording; frame t exists where sample t * hop does."""
        return math.ceil(self.samples / self.hop)

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros before and behind the samples, so that each hop lies in the middle of its frame."""
        before = (self.window - self.hop) // 2
        return before, (self.count - 1) * self.hop + self.window - before - self.samples

    def basis(self) -> NDArray[np.float32]:
        """Cosines, then sines, of the Fourier transform behind a Hann window, [2 * frequencies, window].

        The constant is left out. The powers of white noise are its variance over the number of frequencies.
        """
        time = np.arange(self.window)
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * (time + 0.5) / self.window)
        hann /= np.sqrt((hann**2).sum() * self.window / 2)
        angles = 2 * np.pi * np.arange(1, self.window // 2 + 1)[:, None] * time / self.window
        return np.concatenate([np.cos(angles) * hann, np.sin(angles) * hann]).astype(np.float32)

    def mel(self) -> NDArray[np.float32]:
        """Triangular filters evenly spaced in mel (Davis and Mermelstein 1980), [BANDS, frequencies].

        None is narrower than two frequencies of the transform, so that none is empty.
        """
        step = self.sample_rate / self.window
        frequencies = step * np.arange(1, self.window // 2 + 1)
        top = 2595 * np.log10(1 + self.sample_rate / 2 / 700)
        edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)
        centre = edges[1:-1, None]
        below = np.maximum(centre - edges[:-2, None], step)
        above = np.maximum(edges[2:, None] - centre, step)
        distance = frequencies - centre
        weights = 1 - np.where(distance < 0, -distance / below, distance / above)
        return np.asarray(weights.clip(min=0), dtype=np.float32)

    def log_mel(self, samples: NDArray[np.int16]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Log-mel spectra [N, T, BANDS] of recordings [N, samples], and the mask [N, T] of the frames that exist."""
        sound, length = levelled(samples)
        padded = np.pad(sound, ((0, 0), self.padding))
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.window, axis=1)[:, :: self.hop]
        cosines, sines = np.split(frames @ self.basis().T, 2, axis=2)
        logarithms = np.log((cosines**2 + sines**2) @ self.mel().T + np.float32(FLOOR))
        return logarithms, np.arange(self.count) * self.hop < length[:, None]


def waveforms(samples: NDArray[np.int16]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Sound within -1 and 1, [N, samples] with 0 behind the end, and the lengths [N] of the recordings."""
    exists = samples != END
    sound = np.where(exists, samples, 0).astype(np.float32) / np.float32(FULL_SCALE)
    return sound, exists.sum(axis=1)


def levelled(samples: NDArray[np.int16]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Sound without offset and of root mean square 1, [N, samples] with 0 behind the end, and the lengths [N]."""
    sound, length = waveforms(samples)
    exists, count = samples != END, np.maximum(length, 1)[:, None].astype(np.float32)
    centred = np.where(exists, sound - sound.sum(axis=1, keepdims=True) / count, 0)
    power = (centred**2).sum(axis=1, keepdims=True) / count
    return centred / (np.sqrt(power) + np.float32(SILENCE)), length

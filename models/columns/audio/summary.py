"""Recordings in few numbers and to look at: the power in bands of the whole recording, its waveform, a WAV file."""

import io
import wave

import numpy as np
from numpy.typing import NDArray

from models.columns.audio.settings import END
from models.columns.audio.spectrum import FLOOR, levelled, waveforms

BANDS = 32
LOWEST_HERTZ = 50.0
LARGEST_SOUND = 100_000
"""Bytes up to which a recording is shown as one that can be heard."""
STEPS = 240
"""Of a drawn waveform."""
BLOCK = 256
"""Recordings that are floating-point numbers at a time."""


def band_powers(samples: NDArray[np.int16], sample_rate: int) -> NDArray[np.float32]:
    """Log of the mean power in 32 bands, loudness (log of the root mean square) and seconds, [N, 34] of [N, samples].

    Powers are those of the recording brought to one loudness. NaN for missing recordings.
    """
    parts = [_of_block(samples[start : start + BLOCK], sample_rate) for start in range(0, len(samples), BLOCK)]
    return np.concatenate([np.empty((0, BANDS + 2), np.float32), *parts])


def _of_block(samples: NDArray[np.int16], sample_rate: int) -> NDArray[np.float32]:
    sound, length = levelled(samples)
    power = np.abs(np.fft.rfft(sound, axis=1)) ** 2 / np.maximum(length, 1)[:, None]
    edges = np.geomspace(min(LOWEST_HERTZ, sample_rate / 8), sample_rate / 2, BANDS + 1)
    starts = np.round(edges[:-1] * samples.shape[1] / sample_rate).astype(np.int64)
    # In short recordings, several of the lowest bands are the same frequency: none may be empty.
    counts = np.maximum(np.diff(starts, append=power.shape[1]), 1)
    bands = np.log(np.add.reduceat(power, starts, axis=1) / counts + FLOOR)
    raw = waveforms(samples)[0]
    loudness = np.log(np.sqrt((raw**2).sum(axis=1) / np.maximum(length, 1)) + FLOOR)
    found = np.column_stack([bands, loudness, length / sample_rate]).astype(np.float32)
    return np.where(length[:, None] > 0, found, np.float32(np.nan))


def described(samples: NDArray[np.int16], sample_rate: int) -> str:
    """How long the recording [T] is, and how far below full scale its loudest sample."""
    peak = np.abs(samples.astype(np.float64)).max() / -END
    loud = f"peak {20 * np.log10(peak):.0f} dB".replace("-", "−") if peak else "silent"
    return f"{len(samples) / sample_rate:.2f} s, {loud}"


def envelope(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """Lowest and highest sample in each of at most 240 equal steps, [steps, 2]."""
    starts = np.linspace(0, len(samples), min(STEPS, len(samples)), endpoint=False).astype(np.int64)
    bounds = (np.minimum.reduceat(samples, starts), np.maximum.reduceat(samples, starts))
    return np.stack(bounds, axis=1).astype(np.float32)


def as_wav(samples: NDArray[np.int16], sample_rate: int) -> bytes:
    """The recording [T] as a WAV file of one channel; nothing where that would be larger than 100 kB."""
    if 2 * len(samples) > LARGEST_SOUND:
        return b""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        writer.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def existing(samples: NDArray[np.int16]) -> NDArray[np.int16]:
    """The samples of one recording [T] up to its end."""
    return np.asarray(samples[samples != END], dtype=np.int16)

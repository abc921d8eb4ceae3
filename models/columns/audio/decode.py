"""The contents of sound files as samples at the rate and of the length that the network hears."""

import io
import math
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.columns.audio.settings import END, FULL_SCALE, AudioSettings

if TYPE_CHECKING:
    from soundfile import SoundFile

NOT_KNOWN = 1
"""libsndfile's code for contents of no format that it knows."""
CUT_OFF = re.compile(r"^ ?(?:data|SSND) *: (\d+) \(should be (\d+)\)", re.MULTILINE)
"""libsndfile's remark that a header promises more bytes of sound than there are."""
STREAMED = 0x7FFF0000
"""From this size on, a header was written before the length was known."""
LOST = 2400
"""Samples by which the announced length of compressed sound may be wrong: two frames of MP3."""
BLOCKS_PER_SECOND = 100
MOST_READ = 2**20
"""Samples of all channels that are read at once while looking for the loudest part."""
FINEST_RATIO = 1000
"""Largest factor of a change of rate: true to a millionth, and its filter stays short."""


def decode(content: bytes, settings: AudioSettings) -> NDArray[np.int16] | str:
    """Samples int16 [samples], `END` behind the end of the recording; or the reason why there are none, in plain words.

    Channels are averaged. Of a longer recording the loudest part is taken. Memory stays bounded however long it is.
    """
    import soundfile

    if not content:
        return "empty file"
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as recording:
            return _problem(recording, settings) or _samples(recording, settings)
    except soundfile.LibsndfileError as error:
        return "not a recording" if error.code == NOT_KNOWN else "damaged recording"
    except (RuntimeError, ValueError, OSError, MemoryError):
        return "damaged recording"


def _problem(recording: "SoundFile", settings: AudioSettings) -> str | None:
    """What the header says against the recording."""
    cut = CUT_OFF.search(recording.extra_info)
    if cut and int(cut[2]) < int(cut[1]) < STREAMED:
        return "damaged recording"
    if recording.frames <= 0:
        return "no samples"
    if recording.frames > settings.max_seconds * recording.samplerate:
        return "too long"
    return None


def _samples(recording: "SoundFile", settings: AudioSettings) -> NDArray[np.int16] | str:
    wanted = math.ceil(settings.samples * recording.samplerate / settings.sample_rate)
    start = _loudest(recording, wanted) if recording.frames > wanted else 0
    if start is None:
        return "damaged recording"
    recording.seek(start)
    announced = min(wanted, recording.frames - start)
    sound = recording.read(announced, dtype="float32", always_2d=True).mean(axis=1)
    if not len(sound) or len(sound) + LOST < announced or not np.isfinite(sound).all():
        return "damaged recording"
    heard = resample(sound, recording.samplerate, settings.sample_rate)[: settings.samples]
    samples = np.full(settings.samples, END, dtype=np.int16)
    samples[: len(heard)] = np.rint(heard * FULL_SCALE).clip(END + 1, -END - 1)
    return samples


def _loudest(recording: "SoundFile", wanted: int) -> int | None:
    """Where the `wanted` samples with the largest mean deviation begin; None if the recording is damaged.

    The deviation of each hundredth of a second from its own mean hears neither an offset nor rumble.
    """
    block = max(1, recording.samplerate // BLOCKS_PER_SECOND)
    loudness = np.concatenate([_deviations(sound, block) for sound in _blocks(recording, block)] or [np.zeros(0)])
    if not np.isfinite(loudness).all() or len(loudness) * block + LOST < recording.frames:
        return None
    total = np.concatenate([[0.0], np.cumsum(loudness)])
    window = min(math.ceil(wanted / block), len(loudness))
    sums = np.round(total[window:] - total[:-window], 6) if window else np.zeros(1)
    latest = int(recording.frames) - wanted
    return int(min(np.argmax(sums) * block, latest))


def _blocks(recording: "SoundFile", block: int) -> Iterator[NDArray[np.float32]]:
    """The whole recording in pieces of whole blocks, one channel."""
    size = block * max(1, MOST_READ // (block * recording.channels))
    while len(piece := recording.read(size, dtype="float32", always_2d=True)):
        yield piece.mean(axis=1)


def _deviations(sound: NDArray[np.float32], block: int) -> NDArray[np.float64]:
    """Mean absolute deviation of each block from its mean; the last block may be shorter."""
    starts = np.arange(0, len(sound), block)
    sizes = np.diff(np.append(starts, len(sound)))
    with np.errstate(invalid="ignore"):
        means = np.add.reduceat(sound, starts) / sizes
        deviations = np.add.reduceat(np.abs(sound - np.repeat(means, sizes)), starts)
    return np.asarray(deviations / block, dtype=np.float64)


def resample(sound: NDArray[np.float32], rate: int, target: int) -> NDArray[np.float32]:
    """The sound at the target rate, through a polyphase filter."""
    from scipy.signal import resample_poly

    ratio = Fraction(target, rate).limit_denominator(FINEST_RATIO)
    if ratio == 1:
        return sound
    if not ratio:
        raise ValueError(f"a sampling rate of {rate}")
    return np.asarray(resample_poly(sound, ratio.numerator, ratio.denominator), dtype=np.float32)

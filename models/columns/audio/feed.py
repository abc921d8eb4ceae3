"""Audio from sound files to the graph: decoded to 16-bit samples of one rate and one length."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.audio.decode import decode
from models.columns.audio.settings import END, AudioSettings
from models.columns.audio.statistics import AudioStatistics, fit_audio
from models.columns.cells import as_array, is_text, valid
from models.columns.kind import ColumnKind, Parsed, Refusal, Shift, Shown, is_gathered


class AudioKind(ColumnKind[AudioSettings, AudioStatistics]):
    """Contents of sound files (WAV, FLAC, OGG, MP3 and others that libsndfile reads), one channel in the end."""

    name = "audio"
    joined = False
    input_type: ClassVar[Any] = np.int16
    encoded_type: ClassVar[Any] = np.int16
    encoder_module = "models.columns.audio.encoder"
    batch_size = 64
    summarised = "recordings as the power in 32 bands, loudness and length"
    settings = AudioSettings
    statistics = AudioStatistics

    @property
    def shifts(self) -> Mapping[str, Shift]:
        """Noise, and sound from further away."""
        from models.columns.audio.shifts import SHIFTS

        return SHIFTS

    def arrow_type(self, settings: AudioSettings) -> pa.DataType:
        """The samples' bytes, all rows of one length."""
        return pa.binary(2 * settings.samples)

    def shape(self, settings: AudioSettings) -> tuple[int, ...]:
        """Samples."""
        return (settings.samples,)

    def reads(self, raw: pa.DataType, settings: AudioSettings) -> bool:
        """Texts that say where a recording is, and its contents."""
        return (
            is_text(raw)
            or _is_content(raw)
            or is_gathered(raw)
            or pa.types.is_null(raw)
            or raw == self.arrow_type(settings)
        )

    def parse(self, raw: pa.Array, settings: AudioSettings, missing: tuple[str, ...]) -> Parsed:
        """Samples of the recordings; refused are files that could not be fetched or hold no readable sound."""
        raw = as_array(raw)
        if raw.type == self.arrow_type(settings):
            return Parsed(raw)
        if pa.types.is_dictionary(raw.type):
            return _repeat(self.parse(raw.dictionary, settings, missing), raw.indices)
        if is_gathered(raw.type):
            content, failure = (pc.struct_field(raw, name) for name in ("content", "failure"))
            return self._decoded(content, settings, [reason or "" for reason in failure.to_pylist()])
        if _is_content(raw.type):
            return self._decoded(raw, settings, [""] * len(raw))
        wrong = valid(raw)
        nothing = pa.nulls(len(raw), self.arrow_type(settings))
        return Parsed(nothing, (Refusal("wrong type", wrong),) if wrong.any() else ())

    def _decoded(self, contents: pa.Array, settings: AudioSettings, failures: Sequence[str]) -> Parsed:
        """Each content decoded, in as many threads as there are usable cores."""
        samples = np.full((len(contents), settings.samples), END, dtype=np.int16)
        reasons = np.array(failures, dtype=object)
        decoded = valid(contents)

        def fill(row: int) -> None:
            found = decode(contents[row].as_py(), settings)
            if isinstance(found, str):
                reasons[row], decoded[row] = found, False
            else:
                samples[row] = found

        with ThreadPoolExecutor(_usable_cores()) as pool:
            list(pool.map(fill, np.flatnonzero(decoded).tolist()))
        reasons[decoded] = ""
        refusals = tuple(Refusal(reason, reasons == reason) for reason in sorted(set(reasons) - {""}))
        return Parsed(as_values(samples, decoded), refusals)

    def fit(self, chunks: Iterable[pa.Array], settings: AudioSettings) -> AudioStatistics:
        """The spread of the spectra, and how loud and how long the recordings are."""
        return fit_audio((self.to_input(chunk, settings) for chunk in chunks), settings)

    def to_input(self, values: pa.Array, settings: AudioSettings) -> NDArray[Any]:
        """Samples int16 [N, samples], `END` behind the end of a recording and throughout a missing one."""
        values = as_array(values)
        if values.null_count == len(values):
            return np.full((len(values), settings.samples), END, dtype=np.int16)
        start = values.offset * settings.samples
        stored = np.frombuffer(values.buffers()[1], dtype=np.int16)[start : start + len(values) * settings.samples]
        return np.where(valid(values)[:, None], stored.reshape(len(values), settings.samples), np.int16(END))

    def shown(self, values: pa.Array, settings: AudioSettings, row: int) -> Shown:
        """The waveform, and where it is short the sound itself."""
        from models.columns.audio.summary import as_wav, described, envelope, existing

        samples = existing(self.to_input(values.slice(row, 1), settings)[0])
        if not len(samples):
            return Shown()
        rate = settings.sample_rate
        return Shown(described(samples, rate), curve=envelope(samples), sound=as_wav(samples, rate))

    def summary(self, values: pa.Array, settings: AudioSettings) -> NDArray[np.float32]:
        """Log power in 32 bands, loudness and length, [N, 34]."""
        from models.columns.audio.summary import band_powers

        return band_powers(self.to_input(values, settings), settings.sample_rate)


def as_values(samples: NDArray[np.int16], known: NDArray[np.bool_]) -> pa.Array:
    """Recordings [N, samples] in the kind's Arrow type, null where not known."""
    validity = None if known.all() else pa.py_buffer(np.packbits(known, bitorder="little"))
    buffer = pa.py_buffer(np.ascontiguousarray(samples))
    return pa.Array.from_buffers(pa.binary(2 * samples.shape[1]), len(samples), [validity, buffer])


def _is_content(raw: pa.DataType) -> bool:
    kinds = pa.types
    return bool(kinds.is_binary(raw) or kinds.is_large_binary(raw) or kinds.is_binary_view(raw))


def _repeat(distinct: Parsed, indices: pa.Array) -> Parsed:
    """The parsed distinct values at each of the indices."""
    refusals = tuple(Refusal(r.reason, _at(r.rows, indices)) for r in distinct.refusals)
    return Parsed(distinct.values.take(indices), tuple(refusal for refusal in refusals if refusal.rows.any()))


def _at(rows: NDArray[np.bool_], indices: pa.Array) -> NDArray[np.bool_]:
    found = pc.fill_null(pc.take(pa.array(rows), indices), False)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=bool)


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

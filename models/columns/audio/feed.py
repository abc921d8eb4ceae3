"""Audio from sound files to the graph: decoded to 16-bit samples of one rate and one length."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.audio.decode import decode
from models.columns.audio.settings import END, AudioSettings
from models.columns.audio.statistics import AudioStatistics, fit_audio, levels_and_lengths
from models.columns.filekind import FileKind
from models.columns.kind import Shift, Shown


class AudioKind(FileKind[AudioSettings, AudioStatistics]):
    """Contents of sound files (WAV, FLAC, OGG, MP3 and others that libsndfile reads), one channel in the end."""

    name = "audio"
    input_type: ClassVar[Any] = np.int16
    encoded_type: ClassVar[Any] = np.int16
    encoder_module = "models.columns.audio.encoder"
    blank = END
    summarised = "recordings as the power in 32 bands, loudness and length"
    settings = AudioSettings
    statistics = AudioStatistics

    @property
    def shifts(self) -> Mapping[str, Shift]:
        """Noise, and sound from further away."""
        from models.columns.audio.shifts import SHIFTS

        return SHIFTS

    def shape(self, settings: AudioSettings) -> tuple[int, ...]:
        """Samples."""
        return (settings.samples,)

    def decode(self, content: bytes, settings: AudioSettings) -> NDArray[Any] | str:
        """Samples int16 [samples], `END` behind the end of the recording."""
        return decode(content, settings)

    def fit(self, chunks: Iterable[pa.Array], settings: AudioSettings) -> AudioStatistics:
        """The spread of the spectra, and how loud and how long the recordings are."""
        return fit_audio((self.to_input(chunk, settings) for chunk in chunks), settings)

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

    def watched(self, values: pa.Array, settings: AudioSettings) -> Mapping[str, NDArray[np.float64]]:
        """Levels in dB below full scale, and seconds up to what the network hears."""
        level, seconds = levels_and_lengths(self.to_input(values, settings), settings.sample_rate)
        return {"level": level, "seconds": seconds}

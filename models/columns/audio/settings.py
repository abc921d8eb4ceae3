"""What the model file may say about a column of recordings."""

import math
from typing import Literal

from pydantic import Field

from models.columns.kind import FileSettings

END = -32768
"""Stands behind the end of a recording; its own samples are from -32767 to 32767."""
FULL_SCALE = 32768.0


class AudioSettings(FileSettings):
    """The sampling rate and the length at which the network hears recordings."""

    kind: Literal["audio"] = "audio"
    sample_rate: int = Field(
        16000, ge=500, le=96000, description="samples a second; recordings of others are resampled"
    )
    seconds: float = Field(
        1.0, ge=0.05, le=60, description="what the network hears: the loudest part of longer recordings"
    )
    max_seconds: float = Field(600.0, gt=0, le=7200, description="longer recordings are rejects")
    augment: bool = Field(True, description="train on changed recordings: shift, gain, noise, gaps")
    vary_pitch: bool = Field(True, description="and on other speeds and pitches; false where these decide")

    @property
    def samples(self) -> int:
        """Samples that the network hears."""
        return math.ceil(self.sample_rate * self.seconds)

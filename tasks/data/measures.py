"""What the contents of files say about themselves: how large pictures are, at what rate and how long recordings."""

import warnings
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.image.decode import FORMATS
from tasks.data.folders import PICTURES, RECORDINGS

LOOKED_AT = 50
"""Files of a column."""
MOST = 0.8
"""Share of the values from which on the column is of their kind."""

Measure = tuple[float, float]
"""Height and width of a picture; sampling rate and seconds of a recording."""


def kind_of_paths(known: pa.Array) -> str | None:
    """`image` or `audio` where most of the distinct texts end as names of such files do."""
    for kind, suffixes in (("image", PICTURES), ("audio", RECORDINGS)):
        pattern = rf"^[^\n]*\.({'|'.join(suffixes)})(\?\S*)?$"
        named = pc.sum(pc.match_substring_regex(known, pattern, ignore_case=True)).as_py() or 0
        if named and named >= MOST * len(known):
            return kind
    return None


def kind_of_contents(raw: pa.Array) -> str | None:
    """`image` or `audio` where most of the contents looked at are pictures or recordings."""
    chosen = raw.drop_null()
    contents = chosen.take(pa.array(spread(len(chosen)))).to_pylist()
    for kind, measure in MEASURES.items():
        usable = sum(measure(content) is not None for content in contents)
        if usable and usable >= MOST * len(contents):
            return kind
    return None


def spread(count: int) -> NDArray[np.int64]:
    """Positions of at most `LOOKED_AT` of so many values, from first to last."""
    return np.unique(np.linspace(0, max(count - 1, 0), min(count, LOOKED_AT)).astype(np.int64))


def _picture_size(content: bytes) -> Measure | None:
    """Height and width, None for what is no picture."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(BytesIO(content), formats=FORMATS) as image:
                return image.height, image.width
    except Exception:  # Decoders raise errors of all kinds for broken files.
        return None


def _sound_length(content: bytes) -> Measure | None:
    """Sampling rate and seconds, None for what is no recording."""
    import soundfile

    try:
        with soundfile.SoundFile(BytesIO(content)) as recording:
            return recording.samplerate, recording.frames / recording.samplerate
    except (soundfile.LibsndfileError, RuntimeError, ValueError, OSError):
        return None


MEASURES = {"image": _picture_size, "audio": _sound_length}
NAMES = {"image": "picture", "audio": "recording"}

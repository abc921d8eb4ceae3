"""What befalls large values is worked out for few of them at a time, and comes to the same."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from models.columns import KINDS, ColumnSettings
from models.columns.audio import shifts as of_sound
from models.columns.audio.settings import AudioSettings
from models.columns.cells import as_fixed
from models.columns.image import shifts as of_pictures
from models.columns.image.feed import ImageSettings

ROWS = 200
PICTURES = np.random.default_rng(0).integers(0, 256, (ROWS, 32, 32, 3)).astype(np.uint8)
SOUNDS = np.random.default_rng(0).integers(-9000, 9000, (ROWS, 2000)).astype(np.int16)
LARGE = [
    *((of_pictures, "image", ImageSettings(size=32), PICTURES, name) for name in of_pictures.SHIFTS),
    *((of_sound, "audio", AudioSettings(sample_rate=2000, seconds=1), SOUNDS, name) for name in of_sound.SHIFTS),
]


@pytest.mark.parametrize(("module", "kind", "settings", "values", "name"), LARGE, ids=[case[-1] for case in LARGE])
def test_a_shift_in_pieces_is_that_of_all_at_once(
    module: object, kind: str, settings: ColumnSettings, values: np.ndarray, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = as_fixed(values, np.arange(ROWS) != 3)

    def shifted() -> pa.Array:
        return KINDS[kind].shifts[name](rows, settings, np.random.default_rng(0))

    whole = shifted()
    monkeypatch.setattr(module, "BLOCK", 7 * values[0].size)
    tracemalloc.start()
    pieces = shifted()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert pieces.equals(whole) and not pieces.equals(rows)
    assert peak < 4 * values.nbytes, "without the pieces it is more than seven times as much"

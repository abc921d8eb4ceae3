"""Rows that belong together: frames of one track, or recordings of one person."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.kind import Mask
from models.sections import Task
from tasks.data.observe import Observed
from tasks.data.sample import Sample

REPEATS = 1.5
"""Rows that a track has on average, at least."""
TRACKS_OF_CLASS = 8
"""Tracks of a class on average, without which some classes would have none to test on."""
LARGEST = 0.05
"""Share of the rows above which one value is no track."""
MOST_PEOPLE = 0.2
"""Distinct values, as a share of the rows, up to which a column names who or what was recorded."""

Numbers = NDArray[np.int64]


def find_tracks(features: Mapping[str, Observed], truth: pa.Array, task: Task, sample: Sample) -> str | None:
    """The first column whose values repeat in small groups of rows of one class each: frames of one track.

    Files may lack the column, as those of a test often do.
    """
    if task == "regression":
        return None
    classes = truth.dictionary_encode().indices
    return next((name for name, found in features.items() if _is_track(found, classes, sample)), None)


def _is_track(found: Observed, classes: pa.Array, sample: Sample) -> bool:
    if found.has_files or not (pa.types.is_dictionary(found.values.type) or pa.types.is_floating(found.values.type)):
        return False
    values = _codes(found.values)
    rows = _rows_that_repeat(values, np.asarray(found.values.is_valid()), sample)
    rows &= np.asarray(classes.is_valid())
    if not rows.any():
        return False
    each, truth = values[rows], classes.fill_null(-1).to_numpy(zero_copy_only=False)[rows]
    sizes = np.bincount(each)
    tracks, named = np.count_nonzero(sizes), len(np.unique(truth))
    pairs = len(np.unique(np.stack([each, truth]), axis=1).T)
    small = tracks >= TRACKS_OF_CLASS * named and sizes.max() <= LARGEST * len(each)
    return bool(small and pairs == tracks)


def _rows_that_repeat(values: Numbers, known: Mask, sample: Sample) -> Mask:
    """The rows of the files in which values repeat; none where a file has some values but not all."""
    rows = np.zeros(len(values), dtype=bool)
    for position in np.unique(sample.file):
        of_file = sample.file == position
        if known[of_file].any() and not known[of_file].all():
            return np.zeros(len(values), dtype=bool)
        if known[of_file].all() and len(np.unique(values[of_file])) * REPEATS <= of_file.sum():
            rows |= of_file
    return rows


def _codes(values: pa.Array) -> Numbers:
    """A number from 0 on for each value; of nulls any."""
    if pa.types.is_dictionary(values.type):
        return np.asarray(values.indices.fill_null(0).to_numpy(zero_copy_only=False)).astype(np.int64)
    return np.unique(values.fill_null(0).to_numpy(zero_copy_only=False), return_inverse=True)[1].astype(np.int64)


def who_was_recorded(features: Mapping[str, Observed]) -> list[str]:
    """Columns that may name who or what was recorded: words that repeat."""
    named = {name: found for name, found in features.items() if found.settings.kind == "category"}
    return [name for name, found in named.items() if 3 <= found.distinct <= MOST_PEOPLE * len(found.values)]

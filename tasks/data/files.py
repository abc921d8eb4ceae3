"""Settings that fit the pictures or recordings of a column, found by looking at some of them."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from models.columns import KINDS
from models.sections import DEFAULT_MISSING
from tasks.data.batches import RawBatch, SourceFile
from tasks.data.contents import with_contents
from tasks.data.measures import MEASURES, NAMES, Measure, spread
from tasks.data.observe import Observed
from tasks.data.sample import Sample

SMALLEST, LARGEST = 8, 96
"""Pixels of a side that are proposed: more cost time, and are written by hand where details decide."""
SLOWEST, FASTEST = 500, 16_000
SHORTEST, LONGEST = 0.2, 10.0
LONG = 95
"""Percentile of the durations that is heard whole."""
MOST_FOLDERS = 20


@dataclass(frozen=True)
class _Look:
    measures: tuple[Measure, ...]
    failures: Counter[str]

    @property
    def usable(self) -> bool:
        """Whether most files can be used."""
        return len(self.measures) > self.failures.total()


def settle(found: Observed, sample: Sample, files: Sequence[SourceFile]) -> Observed:
    """The column with settings that fit its files; left out, with the reason, where most of them can't be used.

    Paths that lead nowhere are tried in the folders beside the table.
    """
    if len(files) > 1 and any(file.format == "folder" for file in files):
        found = replace(found, key=False)  # Paths begin anew in each folder.
    first = _look(found, sample, files, ".")
    for folder in (".", *_folders(files[0])) if first.failures else (".",):
        look = first if folder == "." else _look(found, sample, files, folder)
        if look.usable:
            settings = KINDS[found.settings.kind].settings(**_fitting(found.settings.kind, look.measures, folder))
            return replace(found, settings=settings, remark=_remark(found.settings.kind, look))
    reason, count = first.failures.most_common(1)[0]
    looked = first.failures.total() + len(first.measures)
    why = f"{count} of {looked} files looked at can't be used ({reason}); paths begin at the folder of the table"
    return replace(found, left_out=why)


def _look(found: Observed, sample: Sample, files: Sequence[SourceFile], folder: str) -> _Look:
    measure = MEASURES[found.settings.kind]
    measures: list[Measure] = []
    failures: Counter[str] = Counter()
    for content, failure in _contents(found, sample, files, folder):
        measured = None if content is None else measure(content)
        if measured is None:
            failures[failure or _problem(found.settings.kind, content)] += 1
        else:
            measures.append(measured)
    return _Look(tuple(measures), failures)


def _problem(kind: str, content: bytes | None) -> str:
    """Why the content is no picture or recording, as its row would be refused."""
    raw = pa.array([content], pa.large_binary())
    refusals = KINDS[kind].parse(raw, KINDS[kind].settings(), DEFAULT_MISSING).refusals
    return refusals[0].reason if refusals else f"no {NAMES[kind]}"


def _contents(
    found: Observed, sample: Sample, files: Sequence[SourceFile], folder: str
) -> Iterator[tuple[bytes | None, str | None]]:
    """Contents of some files, or why there are none."""
    known = np.flatnonzero(np.asarray(found.values.is_valid()))
    rows = known[spread(len(known))]
    if not pa.types.is_dictionary(found.values.type):
        yield from ((content, None) for content in found.values.take(pa.array(rows)).to_pylist())
        return
    settings = KINDS[found.settings.kind].settings(folder=folder)
    for position in np.unique(sample.file[rows]):
        chosen = rows[sample.file[rows] == position]
        paths = found.values.take(pa.array(chosen)).cast(pa.string())
        batch = RawBatch(files[position].path, chosen, pa.table({found.name: paths}))
        for full in with_contents(iter([batch]), files[position], {found.name: settings}, DEFAULT_MISSING):
            gathered = full.gathered[found.name]
            fields = (pc.struct_field(gathered, name).to_pylist() for name in ("content", "failure"))
            yield from zip(*fields, strict=True)


def _folders(file: SourceFile) -> list[str]:
    """Names of the folders beside the table, where its files may lie."""
    if file.format == "folder":
        return []
    above = file.path.rpartition("/")[0]
    infos = file.filesystem.get_file_info(fs.FileSelector(above or "/"))
    names = sorted(info.base_name for info in infos if info.type == fs.FileType.Directory)
    return [name for name in names if not name.startswith(".")][:MOST_FOLDERS]


def _fitting(kind: str, measures: Sequence[Measure], folder: str) -> dict[str, Any]:
    place = {} if folder == "." else {"folder": folder}
    if kind == "image":
        return {**place, "size": _side(measures)}
    rate, _ = Counter(rate for rate, _ in measures).most_common(1)[0]
    heard = math.ceil(round(float(np.percentile([seconds for _, seconds in measures], LONG)) * 10, 3)) / 10
    return {**place, "sample_rate": int(np.clip(rate, SLOWEST, FASTEST)), "seconds": min(max(heard, SHORTEST), LONGEST)}


def _side(measures: Sequence[Measure]) -> int | list[int]:
    """The true size of small pictures that are all alike, else their median side, in steps of 8."""
    height, width = (int(side) for side in measures[0])
    if len(set(measures)) == 1 and min(height, width) >= SMALLEST and max(height, width) <= LARGEST:
        return height if height == width else [height, width]
    return int(np.clip(8 * round(float(np.median(measures)) / 8), SMALLEST, LARGEST))


def _remark(kind: str, look: _Look) -> str:
    """What the files looked at are, and how many of them can't be used."""
    low, high = np.min(look.measures, axis=0), np.max(look.measures, axis=0)
    if kind == "image":
        what = f"pictures of {_span(*(f'{height:g} x {width:g}' for height, width in (low, high)))} pixels"
    else:
        rate, seconds = (_span(*(f"{end[i]:.3g}" if i else f"{end[i]:g}" for end in (low, high))) for i in range(2))
        what = f"recordings of {seconds} seconds at {rate} Hz"
    usable, failed = len(look.measures), look.failures.total()
    if not failed:
        return f"{usable} {what} looked at"
    return f"{usable} {what}; {failed} of {usable + failed} looked at can't be used: {', '.join(look.failures)}"


def _span(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"

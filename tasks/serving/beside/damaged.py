"""Files that can't be read: kept under another name, told and counted, while everything else goes on."""

import logging
from pathlib import Path

from tasks.actions.outbox import ACTIONS_FILE

LOG = logging.getLogger("perennial.serve")
ENDING = ".damaged"
PARCEL, SEGMENT, LINES = f".parquet{ENDING}", f".rows{ENDING}", f".lines{ENDING}"
COUNTED = (f"{ACTIONS_FILE}{ENDING}", PARCEL, SEGMENT, LINES)
"""Endings of what was damaged; journals go along with their parcel."""


def set_aside(path: Path, why: str, along: tuple[Path, ...] = ()) -> None:
    """Gives the file, and those `along` that are there, names that nobody delivers from. Raises OSError."""
    for each in (*along, path):
        if each.exists():
            each.rename(each.with_name(f"{each.name}{ENDING}"))
    LOG.error("%s: damaged (%s); it is kept as %s%s, and all else goes on", path, why, path.name, ENDING)


def take_back(folder: Path) -> None:
    """Gives parcels with their journals, and segments, their names again: somebody may have mended them.

    Raises OSError.
    """
    for segment in folder.glob(f"*/[!.]*{SEGMENT}"):
        segment.rename(segment.with_name(segment.name.removesuffix(ENDING)))
    for parcel in folder.glob(f"[!.]*{PARCEL}"):
        stem = parcel.name.removesuffix(PARCEL)
        for path in (*folder.glob(f"{stem}.*.jsonl{ENDING}"), parcel):
            path.rename(path.with_name(path.name.removesuffix(ENDING)))


def count_damaged(above: Path) -> int:
    """Files below the folder of all models' live decisions that were set aside, and are there still."""
    return sum(path.name.endswith(COUNTED) for path in above.rglob(f"*{ENDING}"))

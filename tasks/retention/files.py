"""What lies in the state folder: snapshots and their parts, trainings, outboxes, and what killed processes left."""

import os
import re
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from models.errors import InputError
from tasks.actions.outboxes import Outboxes
from tasks.aside import HeldError, left_alone, runs
from tasks.data.manifest import PARTS, open_snapshot
from tasks.data.snapshot import LOCK, snapshot_folder
from tasks.retention.records import LeftRecord, OutboxRecord, PartRecord, SnapshotRecord, TrainingRecord

GONE = "gone"
"""Label of what was about to be removed."""
HIDDEN = re.compile(r"\.(?P<what>.+)\.(?P<process>\d+)\.[^.]+")
"""Names that `tasks.aside`, with the machine's after a dot, and the writing of manifests give."""


@dataclass(frozen=True)
class Folders:
    """Where things lie."""

    home: Path

    def snapshots(self, model: str) -> Path:
        """Of a model: manifests, rejects and parts."""
        return snapshot_folder(self.home, model)

    def trainings(self, model: str) -> Path:
        """Of a model: a folder for each training."""
        return self.home / "training" / model

    def outbox(self, run_id: str) -> Path:
        """Of a scoring run."""
        return self.home / "actions" / run_id

    @property
    def models(self) -> list[str]:
        """Names of all models that have snapshots or trainings here."""
        above = (self.home / "snapshots", self.home / "training")
        return sorted({folder.name for each in above if each.is_dir() for folder in each.iterdir() if folder.is_dir()})

    @contextmanager
    def without_ingestion(self, model: str) -> Iterator[None]:
        """No snapshot of the model is written during the block. Raises HeldError where one is."""
        if self.snapshots(model).is_dir():
            with left_alone(self.snapshots(model) / LOCK):
                yield
        else:
            yield

    @contextmanager
    def without_training(self, model: str, name: str) -> Iterator[None]:
        """Nobody trains in the folder during the block. Raises HeldError where somebody does."""
        with left_alone((self.trainings(model) / name).with_suffix(".lock")):
            yield


def snapshots_of(folders: Folders, model: str) -> tuple[list[SnapshotRecord], list[str]]:
    """The model's snapshots, and what is wrong with manifests that can't be read."""
    found, problems = [], []
    for path in sorted(folders.snapshots(model).glob("[!.]*.json")):
        try:
            parts = frozenset(part.sha256 for part in open_snapshot(path).manifest.parts)
        except InputError as error:
            problems.append(f"{error}; all snapshots of {model} stay")
        else:
            found.append(SnapshotRecord(model, path.stem, path.stat().st_mtime, parts))
    return found, problems


def parts_of(folders: Folders, model: str) -> list[PartRecord]:
    """The parts of the model's snapshots."""
    found = sorted((folders.snapshots(model) / PARTS).glob("[!.]*.parquet"))
    return [PartRecord(model, path.stem, path.stat().st_mtime) for path in found]


def trainings_of(folders: Folders, model: str) -> list[TrainingRecord]:
    """Trainings of the model that did not come to a version, or have not yet."""
    above = folders.trainings(model)
    found = sorted(f for f in above.glob("[!.]*") if f.is_dir()) if above.is_dir() else []
    return [
        TrainingRecord(model, folder.name, newest(folder), _run_of(folder), _is_held(folders, model, folder.name))
        for folder in found
    ]


def _run_of(folder: Path) -> str:
    note = folder / "run_id"
    return note.read_text(encoding="utf-8").strip() if note.exists() else ""


def _is_held(folders: Folders, model: str, name: str) -> bool:
    if not (folders.trainings(model) / name).with_suffix(".lock").exists():
        return False
    try:
        with folders.without_training(model, name):
            return False
    except HeldError:
        return True


def outboxes_in(folders: Folders) -> list[OutboxRecord]:
    """The outboxes of all scoring runs."""
    above = folders.home / "actions"
    found = sorted(folder for folder in above.glob("[!.]*") if folder.is_dir()) if above.is_dir() else []
    return [OutboxRecord(folder.name, newest(folder), _is_open(folder)) for folder in found]


def _is_open(folder: Path) -> bool:
    box = Outboxes(folder)
    try:
        return bool(box.dead_letters() or box.open_rows())
    except (InputError, OSError, ValueError):
        # What can't be read may hold letters.
        return True


def left_in(folders: Folders, models: Sequence[str]) -> Iterator[LeftRecord]:
    """Hidden files and folders that processes work in, of the models and of none."""
    places = [("", folders.home), ("", folders.home / "running"), ("", folders.home / "actions")]
    for model in models:
        places += [(model, folders.snapshots(model)), (model, folders.trainings(model))]
    for model, place in places:
        for path in sorted(place.glob(".*")) if place.is_dir() else []:
            named = HIDDEN.fullmatch(path.name)
            if named:
                here = "." not in named["what"] or named["what"].endswith(f".{socket.gethostname()}")
                owned = here and runs(int(named["process"]))
                yield LeftRecord(model, str(path), newest(path), owned, named["what"].startswith(f"{GONE}."))
    for path in sorted((folders.home / "running").glob("*.partial")):
        yield LeftRecord("", str(path), path.stat().st_mtime)


def newest(path: Path) -> float:
    """When the file, or anything in the folder, was last written to."""
    return max((found.st_mtime for found in _looks(path)), default=0.0)


def size(path: Path) -> int:
    """Bytes of the file, or of all in the folder; 0 where there is none."""
    return sum(found.st_size for found in _looks(path) if stat.S_ISREG(found.st_mode))


def _looks(path: Path) -> Iterator[os.stat_result]:
    for found in (path, *(path.rglob("*") if path.is_dir() else ())):
        # Processes take their files away at any moment.
        with suppress(FileNotFoundError):
            yield found.lstat()

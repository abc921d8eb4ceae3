"""A training job: its inputs by digest, and the folder where an interrupted one is found again."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from models.errors import OutsideError
from models.modelfile import ModelFile
from tasks.data.snapshot import Ingested
from tasks.training.engine import LOCAL, Engine

HERITAGE = "heritage.pt"
ROOT = Path(__file__).resolve().parents[2]
SHAPING = ("models", "tasks/data", "tasks/training", "tasks/export")
"""Where the code lives that decides what a graph becomes."""
LOOKING = {
    "tasks/data": (
        "examine", "files", "growth", "inspect", "leaks", "learnt", "measures", "modeltext", "observe", "propose",
        "proposedsplit", "prose", "sample", "sequences", "steps", "together",
    ),
    "models": ("actions", "behaviour", "condition", "profile"),
    "models/columns": ("shifts", "summary"),
}  # fmt: skip
"""Modules beneath these folders that look at data, write model files, judge or act; no graph changes with them."""


@dataclass(frozen=True)
class Start:
    """The version whose weights a training begins with, or why it begins with random ones."""

    version: str = ""
    run_id: str = ""
    sha256: str = ""
    """Of the file that holds the weights; empty where there is none to begin with."""
    why: str = ""


@dataclass(frozen=True)
class Job:
    """One training of one model file on one snapshot by one state of the code and so many workers."""

    model_file: ModelFile
    home: Path
    snapshot: Path
    """The snapshot's manifest."""
    snapshot_digest: str
    code: str
    engine: Engine = LOCAL
    start: Start | None = None
    """None where no warm start is asked for."""

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides the weights."""
        begun = (self.start.sha256,) if self.start and self.start.sha256 else ()
        parts = (self.snapshot_digest, self.model_file.digest(), self.code, self.engine.workers, *begun)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def doing(self) -> str:
        """What a process does that has the job."""
        return "trains"

    @property
    def made_of(self) -> Mapping[str, str]:
        """What else the version is made of, by name, for its report."""
        return {}

    @property
    def folder(self) -> Path:
        """Where checkpoints and results lie until the version is registered."""
        return self.home / "training" / self.model_file.name / self.digest[:16]

    @property
    def checkpoint(self) -> Path:
        """The state after the last epoch."""
        return self.folder / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """The trained weights with all that belongs to them."""
        return self.folder / "trained.pt"

    @property
    def heritage(self) -> Path:
        """What the version leaves to its successor."""
        return self.folder / HERITAGE

    @property
    def begin_with(self) -> Path:
        """Where the weights lie that a warm start begins with."""
        return self.folder / "begin-with.pt"

    @property
    def package(self) -> Path:
        """Graph and contract."""
        return self.folder / "package"

    @property
    def results(self) -> Path:
        """Report, plots and figures of the evaluation."""
        return self.folder / "results"

    def interrupted_run(self) -> str | None:
        """The MLflow run of an earlier attempt at the same job, if one was interrupted."""
        note = self.folder / "run_id"
        return note.read_text().strip() if note.exists() else None

    def remember_run(self, run_id: str) -> None:
        """Notes the run, so that an interrupted job goes on in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "run_id").write_text(run_id)

    def forget(self) -> None:
        """Removes everything of the job."""
        shutil.rmtree(self.folder, ignore_errors=True)


def plan_job(model_file: ModelFile, data: Ingested, home: Path, engine: Engine = LOCAL) -> Job:
    """The job of training this model file on this snapshot with the code as it stands.

    Another number of workers is another job: a training that was interrupted with fewer stays as it is.
    """
    return Job(model_file, home, data.manifest, data.digest, code_digest(), engine)


class BusyError(OutsideError):
    """Another process has the job."""


@contextmanager
def alone(job: Job) -> Iterator[None]:
    """Holds the job for this block; raises BusyError when another process, or another block, has it now."""
    # fcntl is missing on Windows, where two trainings of one job are not kept apart.
    import fcntl

    job.folder.parent.mkdir(parents=True, exist_ok=True)
    with job.folder.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(
                f"{job.model_file.name}: another process {job.doing} the same model on the same data now"
            ) from None
        yield


@cache
def code_digest(*more: str) -> str:
    """SHA-256 of the sources that decide what a graph becomes, those of `more` folders among them."""
    digest = hashlib.sha256()
    for path in sorted(file for part in (*SHAPING, *more) for file in (ROOT / part).rglob("*.py") if _shapes(file)):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _shapes(file: Path) -> bool:
    return not any(file.is_relative_to(ROOT / folder) and file.stem in stems for folder, stems in LOOKING.items())


def git_commit() -> str | None:
    """The commit of the checkout, marked when files differ from it; None outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip()

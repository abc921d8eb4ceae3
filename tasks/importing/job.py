"""An import as a job: like a training, but of a graph that was made elsewhere."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.modelfile import ModelFile
from tasks.data.snapshot import Ingested
from tasks.importing.original import Original
from tasks.training.job import Job, code_digest


@dataclass(frozen=True)
class ImportJob(Job):
    """One import of one graph with one model file and snapshot by one state of the code."""

    original_name: str = ""
    original_sha256: str = ""

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides the version."""
        return hashlib.sha256(json.dumps((super().digest, self.original_sha256)).encode()).hexdigest()

    @property
    def doing(self) -> str:
        """What a process does that has the job."""
        return "imports"

    @property
    def made_of(self) -> Mapping[str, str]:
        """The file that was given."""
        return {f"Made elsewhere ({self.original_name})": self.original_sha256}


def plan_import(model_file: ModelFile, data: Ingested, home: Path, original: Original) -> ImportJob:
    """The job of importing the original with this snapshot and the code as it stands."""
    code = code_digest("tasks/importing")
    return ImportJob(
        model_file, home, data.manifest, data.digest, code,
        original_name=original.file.name, original_sha256=original.sha256,
    )  # fmt: skip

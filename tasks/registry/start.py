"""What a warm start begins with: the champion's weights, which its training left as an artefact of its run."""

from dataclasses import replace
from pathlib import Path

from models.errors import InputError
from tasks.registry import runs
from tasks.registry.versions import CHAMPION, find_alias
from tasks.scoring.sinks import sha256_of
from tasks.training.job import HERITAGE, Job, Start

WEIGHTS = "weights"
"""Folder of the run's artefacts."""
WEIGHTS_SHA256 = "weights.sha256"
"""Tag of a version."""
START = "warm_start"
"""Tag of a version and its run: the version whose weights it began with, and of the run alone what came of that."""


def with_start(job: Job) -> Job:
    """The job with the champion of this moment as its start, where the model file asks for a warm start."""
    if not job.model_file.training.warm_start:
        return job
    champion = find_alias(job.model_file.name, CHAMPION)
    if champion is None:
        return replace(job, start=Start(why="there is no champion yet"))
    sha256 = champion.tags.get(WEIGHTS_SHA256)
    if sha256 is None:
        return replace(job, start=Start(why=f"version {champion.number} has left no weights"))
    return replace(job, start=Start(champion.number, champion.run_id, sha256))


def keep_weights(run_id: str, heritage: Path) -> dict[str, str]:
    """The tag of the version whose training this run is, after its weights were uploaded."""
    runs.log_file(run_id, heritage, WEIGHTS)
    return {WEIGHTS_SHA256: sha256_of(heritage)}


def fetch_start(job: Job) -> Path | None:
    """The weights to begin with, downloaded unless they are there; None where the training begins with random ones.

    Raises InputError where they are not those that the version's tag names.
    """
    start = job.start
    if start is None or not start.sha256:
        return None
    if not (job.begin_with.exists() and sha256_of(job.begin_with) == start.sha256):
        job.folder.mkdir(parents=True, exist_ok=True)
        found = runs.fetch_file(start.run_id, f"{WEIGHTS}/{HERITAGE}", job.folder)
        if sha256_of(found) != start.sha256:
            raise InputError(
                f"{job.model_file.name}: the weights of version {start.version} were changed since it was registered; "
                "promote another version, or set training.warm_start = false"
            )
        found.replace(job.begin_with)
    return job.begin_with

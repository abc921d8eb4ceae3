"""Prefect tasks of this package."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.contract import SplitSpec
from tasks.data.snapshot import Ingested
from tasks.export.exported import Exported
from tasks.monitoring.training import profile_training
from tasks.training.job import Job


@task(name="profile", cache_policy=NO_CACHE)
def profile_version(job: Job, data: Ingested, split: SplitSpec, exported: Exported) -> None:
    """How training rows and predictions are distributed, in a file beside the contract, for comparison with later rows."""
    profile_training(exported.folder, job.snapshot, split, data, job.model_file.training.seed)

"""Prefect tasks of this package."""

from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from models import modelfile
from models.modelfile import ModelFile
from tasks.data import snapshot
from tasks.data.snapshot import Ingested
from tasks.policy import TRIED_AGAIN


@task(name="read model file", cache_policy=NO_CACHE)
def read_model_file(path: Path) -> ModelFile:
    """The checked model file."""
    return modelfile.read_model_file(path)


@task(name="read model file", cache_policy=NO_CACHE)
def read_trainable(path: Path) -> ModelFile:
    """The checked model file of a model that can be trained here."""
    return modelfile.read_trainable(path)


@task(name="ingest", cache_policy=NO_CACHE, **TRIED_AGAIN)
def ingest_data(model_file: ModelFile, home: Path) -> Ingested:
    """The sources as a snapshot."""
    return snapshot.ingest(model_file, home)

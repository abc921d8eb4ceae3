"""What `train --dry-run` says, without leaving anything behind."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from models.errors import InputError
from models.modelfile import read_trainable
from tasks.data.snapshot import ingest, open_snapshot
from tasks.training.estimate import Estimate, estimate_training


def plan(path: Path) -> Estimate:
    """Rows, parameters and expected time of training the model file on its data as they are now.

    Raises InputError for what keeps the data from being ingested.
    """
    model_file = read_trainable(path)
    with tempfile.TemporaryDirectory() as home:
        try:
            ingested = ingest(model_file, Path(home))
        except InputError as error:
            # The rejects are gone with the folder, so nobody is sent there.
            raise InputError(*(problem.partition(f"; see {home}")[0] for problem in error.problems)) from None
        return estimate_training(model_file, open_snapshot(ingested.manifest))


def describe(estimate: Estimate) -> Iterator[str]:
    """Lines for people."""
    yield "rows: " + ", ".join(f"{count:,} {name}" for name, count in estimate.rows.items())
    yield f"network: {estimate.columns} columns, {estimate.parameters:,} parameters"
    yield f"time: {estimate.seconds_per_epoch:.1f} s an epoch on this machine, at most {estimate.longest_seconds:.0f} s"
    yield "early stopping usually ends sooner; nothing was written"

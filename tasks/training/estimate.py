"""What a training would take, found out by training a little."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from models.modelfile import ModelFile
from tasks.data.snapshot import Snapshot
from tasks.data.splits import fit_split
from tasks.training.fit import Prepared, prepare
from tasks.training.loop import settled_size, train_network

BATCHES = 8


@dataclass(frozen=True)
class Estimate:
    """Size and expected time of a training."""

    rows: dict[str, int]
    """Rows by split."""
    columns: int
    parameters: int
    seconds_per_epoch: float
    longest_seconds: float
    """With all epochs; early stopping usually ends sooner."""


def estimate_training(model_file: ModelFile, snapshot: Snapshot) -> Estimate:
    """The estimate, from a few batches on this machine. Leaves nothing behind."""
    split = fit_split(model_file, snapshot)
    with tempfile.TemporaryDirectory() as scratch:
        prepared = prepare(model_file, snapshot, split, Path(scratch))
        parameters = sum(parameter.numel() for parameter in prepared.build(model_file).parameters())
        seconds = len(prepared.train) / _rows_per_second(model_file, prepared)
    test = snapshot.rows - len(prepared.train) - len(prepared.validation)
    return Estimate(
        rows={"train": len(prepared.train), "validation": len(prepared.validation), "test": test},
        columns=len(model_file.columns),
        parameters=parameters,
        seconds_per_epoch=seconds,
        longest_seconds=seconds * model_file.training.epochs,
    )


def _rows_per_second(model_file: ModelFile, prepared: Prepared) -> float:
    """Speed of the second of two short epochs; the first one warms up."""
    training = prepared.settle(model_file)
    size = settled_size(training)
    few = min(len(prepared.train), BATCHES * size)
    train = prepared.train.slice(0, few)
    validation = prepared.validation.slice(0, min(len(prepared.validation), size))
    short = training.model_copy(update={"epochs": 2, "patience": 2})
    trained = train_network(prepared.build(model_file), train, validation, prepared.target, short)
    return trained.history[-1].rows_per_second

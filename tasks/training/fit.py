"""From a snapshot to trained, calibrated weights in one file."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from models.calibration import CalibratedClasses, CalibratedValue, fit_temperature
from models.classes import Classes
from models.columns import KINDS, Statistics
from models.contract import SplitSpec
from models.errors import OutsideError
from models.heads import TargetStatistics
from models.modelfile import ModelFile
from models.network import FusionNetwork, untrained_network
from models.sections import Training
from models.threshold import choose_threshold
from tasks.data.rows import assign_rows, masked_batches
from tasks.data.snapshot import Snapshot
from tasks.data.splits import TRAIN, VALIDATION
from tasks.training.checkpoint import save_checkpoint
from tasks.training.classes import order_classes
from tasks.training.engine import LOCAL, Engine
from tasks.training.fitted import Fitted, Inherited
from tasks.training.heritage import Heritage, heritage_of, read_heritage, write_heritage
from tasks.training.inherit import inherit, loosen
from tasks.training.job import HERITAGE
from tasks.training.loop import WARM_UP_STEPS, EpochReport, Trained, train_network
from tasks.training.ray_train import Assignment, train_on_ray
from tasks.training.sharedrows import write_rows
from tasks.training.tensors import Layout, Tensors, encode_rows, fit_statistics, fit_target

FEWEST_STEPS, SMALLEST_BATCH = 16, 8
WARM_RATE = 2.0
"""What the learning rate of inherited weights is multiplied by, until the first plateau.

With the given one they stay near the minimum of the earlier rows: few epochs, but mostly a worse loss in the end. A
restart at a high rate leaves it (Loshchilov and Hutter 2017).
"""


@dataclass(frozen=True)
class Weights:
    """A trained network with everything its export needs."""

    network: FusionNetwork
    statistics: dict[str, Statistics]
    classes: Classes
    target: TargetStatistics
    temperature: float | None
    threshold: float | None
    balanced: bool

    def calibrated(self) -> CalibratedClasses | CalibratedValue:
        """The network as it is exported: decisions and probabilities, or values."""
        if not self.classes:
            return CalibratedValue(self.network).eval()
        prior = self.target.prior if self.balanced else ()
        return CalibratedClasses(self.network, self.temperature or 1.0, self.threshold, prior).eval()


def fit_model(
    model_file: ModelFile,
    snapshot: Snapshot,
    split: SplitSpec,
    checkpoint: Path,
    weights: Path,
    on_epoch: Callable[[EpochReport], None] | None = None,
    engine: Engine = LOCAL,
    begin_with: Path | None = None,
) -> Fitted:
    """Trains, calibrates on the validation rows, and writes `weights`. Test rows are never read.

    Goes on after the last epoch when `checkpoint` exists. A new training begins with what fits of the heritage in
    `begin_with`, or else with random weights; what it leaves to its own successor is written beside `weights`.
    """
    started = time.perf_counter()
    prepared = prepare(model_file, snapshot, split, checkpoint.parent / "tensors")
    network = prepared.build(model_file)
    inherited = prepared.begin(network, model_file, split, begin_with) if begin_with else None
    warm = bool(inherited and inherited.kept)
    trained = _learn(network, model_file, prepared, checkpoint, on_epoch, engine, warm)
    temperature = _calibrate(model_file, prepared, network)
    threshold = choose_threshold(model_file.target.cost) if snapshot.task == "binary" else None
    _save(weights, network, prepared, temperature, threshold)
    write_heritage(prepared.heritage(network, model_file, split), weights.with_name(HERITAGE))
    return Fitted(
        best_epoch=trained.best_epoch,
        train_loss=tuple(report.train_loss for report in trained.history),
        validation_loss=tuple(report.validation_loss for report in trained.history),
        parameters=sum(p.numel() for p in network.parameters()),
        rows={"train": len(prepared.train), "validation": len(prepared.validation)},
        seconds=time.perf_counter() - started,
        temperature=temperature,
        threshold=threshold,
        inherited=inherited,
    )


def _learn(
    network: FusionNetwork,
    model_file: ModelFile,
    prepared: "Prepared",
    checkpoint: Path,
    on_epoch: Callable[[EpochReport], None] | None,
    engine: Engine,
    warm: bool,
) -> Trained:
    """How the training went; `network` ends with its weights."""
    training, warm_up_steps = prepared.settle(model_file), WARM_UP_STEPS
    if warm:
        rate = training.learning_rate * WARM_RATE
        training, warm_up_steps = training.model_copy(update={"learning_rate": rate}), 1
    if engine.name == "local":
        rows = prepared.train, prepared.validation
        return train_network(
            network, *rows, prepared.target, training, checkpoint, on_epoch, warm_up_steps=warm_up_steps
        )
    train, validation = (checkpoint.with_name(f"{name}.rows") for name in ("train", "validation"))
    write_rows(prepared.train, train)
    write_rows(prepared.validation, validation)
    begun = checkpoint.with_name("begun.pt")
    save_checkpoint(network.state_dict(), begun)
    known = prepared.statistics, prepared.target
    assigned = Assignment(model_file, *known, training, train, validation, checkpoint, begun, warm_up_steps)
    trained = train_on_ray(assigned, engine, on_epoch)
    network.load_state_dict(trained.state)
    network.eval()
    return trained


@dataclass(frozen=True)
class Prepared:
    """Encoded training and validation rows, and what was learnt from the training rows to encode them."""

    train: Tensors
    validation: Tensors
    statistics: dict[str, Statistics]
    classes: Classes
    target: TargetStatistics

    def build(self, model_file: ModelFile) -> FusionNetwork:
        """An untrained network that fits the rows."""
        return untrained_network(model_file, self.statistics, self.target)

    def heritage(self, network: FusionNetwork, model_file: ModelFile, split: SplitSpec) -> Heritage:
        """The network's weights in the terms of its columns and classes."""
        return heritage_of(network, model_file.columns, self.statistics, self.classes, self.target, split)

    def begin(self, network: FusionNetwork, model_file: ModelFile, split: SplitSpec, earlier: Path) -> Inherited:
        """What the untrained network took over of an earlier version's heritage."""
        fresh = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
        own = self.heritage(network, model_file, split)
        inherited = inherit(network, model_file.columns, own, read_heritage(earlier))
        loosen(network, fresh, self.statistics)
        return inherited

    def settle(self, model_file: ModelFile) -> Training:
        """The training settings, with a batch size where none is given.

        That of the kinds of column, or fewer rows if an epoch would else have few steps.
        """
        training = model_file.training
        if training.batch_size is not None:
            return training
        kinds = [KINDS[settings.kind] for settings in model_file.columns.values()]
        size = min(*(kind.batch_size for kind in kinds), max(SMALLEST_BATCH, len(self.train) // FEWEST_STEPS))
        return training.model_copy(update={"batch_size": size})


def prepare(model_file: ModelFile, snapshot: Snapshot, split: SplitSpec, scratch: Path) -> Prepared:
    """Statistics of the training rows, and training and validation rows as tensors."""
    assigned = assign_rows(snapshot, split)
    classes = order_classes(
        model_file.target, snapshot.table([model_file.target.column]), assigned == TRAIN, snapshot.task
    )

    def read_column(name: str) -> Iterator[pa.ChunkedArray]:
        return (rows.column(name) for rows in masked_batches(snapshot, assigned == TRAIN, [name]))

    statistics = fit_statistics(read_column, model_file.columns)
    layout = Layout(model_file.columns, statistics, model_file.target.column, classes, model_file.training.weight)
    train, validation = (
        encode_rows(
            masked_batches(snapshot, assigned == index, layout_columns(layout)),
            int((assigned == index).sum()),
            layout,
            model_file.training.memory_gb / 2,
            scratch / name,
        )
        for index, name in ((TRAIN, "train"), (VALIDATION, "validation"))
    )
    return Prepared(train, validation, statistics, classes, fit_target(train, len(classes)))


def layout_columns(layout: Layout) -> list[str]:
    """Columns that a training reads."""
    return list(dict.fromkeys([*layout.columns, layout.target, *([layout.weight] if layout.weight else [])]))


def _calibrate(model_file: ModelFile, prepared: Prepared, network: FusionNetwork) -> float | None:
    if not prepared.classes:
        return None
    rows = prepared.validation
    prior = prepared.target.prior if model_file.training.balance else ()
    raw = CalibratedClasses(network, prior=prior).eval()
    with torch.inference_mode():
        parts = [raw.logits(part.inputs) for part in rows.chunks()]
    weight = None if rows.weight is None else rows.weight.numpy().astype(np.float64)
    return fit_temperature(torch.cat(parts).numpy().astype(np.float64), rows.target.numpy(), weight)


def _save(
    path: Path, network: FusionNetwork, prepared: Prepared, temperature: float | None, threshold: float | None
) -> None:
    kept: dict[str, Any] = {
        "state": network.state_dict(),
        "statistics": {name: s.model_dump(mode="json") for name, s in prepared.statistics.items()},
        "classes": list(prepared.classes),
        "target": {"prior": prepared.target.prior, "mean": prepared.target.mean, "scale": prepared.target.scale},
        "temperature": temperature,
        "threshold": threshold,
    }
    try:
        torch.save(kept, path)
    except (OSError, RuntimeError) as error:
        raise OutsideError(f"{path}: the weights could not be written: {error}") from None


def load_weights(path: Path, model_file: ModelFile) -> Weights:
    """The trained network from `path`; tensors and plain values are read, never code."""
    kept: dict[str, Any] = torch.load(path, weights_only=True)
    statistics = {
        name: KINDS[settings.kind].statistics.model_validate(kept["statistics"][name])
        for name, settings in model_file.columns.items()
    }
    target = TargetStatistics(tuple(kept["target"]["prior"]), kept["target"]["mean"], kept["target"]["scale"])
    network = untrained_network(model_file, statistics, target)
    state: dict[str, Tensor] = kept["state"]
    network.load_state_dict(state)
    return Weights(
        network.eval(), statistics, tuple(kept["classes"]), target,
        kept["temperature"], kept["threshold"], model_file.training.balance,
    )  # fmt: skip

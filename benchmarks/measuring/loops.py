"""The platform's training loop and a bare one, timed in turns over the same rows."""

import copy
import math
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.measuring.tables import TARGET, write_table
from benchmarks.measuring.trained import new_model_file
from models.modelfile import ModelFile, read_model_file
from models.network import FusionNetwork
from models.sections import Training
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import fit_split
from tasks.training.fit import Prepared, prepare
from tasks.training.loop import EpochReport, settled_size, train_network
from tasks.training.tensors import Tensors

EPOCHS = 2
EVALUATION_BATCH = 4096


def prepare_rows(home: Path, rows: int) -> tuple[ModelFile, Prepared]:
    """A model file as `new` writes it but for the number of epochs, and its encoded rows."""
    data = write_table(home / "data.parquet", rows, seed=0)
    path = new_model_file([data], TARGET, "bench", home, f"[training]\nepochs = {EPOCHS}\n")
    model_file = read_model_file(path)
    snapshot = open_snapshot(ingest(model_file, home).manifest)
    return model_file, prepare(model_file, snapshot, fit_split(model_file, snapshot), home / "tensors")


def measure(
    model_file: ModelFile, prepared: Prepared, network: FusionNetwork, pairs: int
) -> tuple[list[float], list[float]]:
    """Seconds of both loops by pair, after one pair to warm up; who starts changes from pair to pair."""
    ours: list[float] = []
    bare: list[float] = []
    timed = ((time_platform, ours), (time_bare, bare))
    for pair in range(pairs + 1):
        for loop, seconds in timed[:: 1 if pair % 2 else -1]:
            seconds.append(loop(copy.deepcopy(network), prepared, prepared.settle(model_file)))
        print(f"pair {pair}: platform {ours[-1]:.2f} s, bare {bare[-1]:.2f} s", file=sys.stderr, flush=True)
    return ours[1:], bare[1:]


def time_platform(network: FusionNetwork, prepared: Prepared, training: Training) -> float:
    """Seconds of the platform's loop, with a checkpoint an epoch and a listener."""
    heard: list[EpochReport] = []
    with tempfile.TemporaryDirectory() as scratch:
        started = time.perf_counter()
        checkpoint = Path(scratch) / "checkpoint.pt"
        train_network(network, prepared.train, prepared.validation, prepared.target, training, checkpoint, heard.append)
        return time.perf_counter() - started


def time_bare(network: FusionNetwork, prepared: Prepared, training: Training) -> float:
    """Seconds of a loop as one writes it by hand for this network and nothing else."""
    train, columns = prepared.train, dense(prepared.train)
    started = time.perf_counter()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )
    best = math.inf
    for _ in range(training.epochs):
        network.train()
        total = 0.0
        for index in torch.randperm(len(train)).tensor_split(math.ceil(len(train) / settled_size(training))):
            inputs = {kind: values[index] for kind, values in columns.items()}
            loss = network.head.member_losses(network(inputs), train.target[index]).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), training.clip)
            optimizer.step()
            total += loss.item() * len(index)
        loss_now = validate(network, prepared)
        if loss_now < best:
            best = loss_now
            copy.deepcopy(network.state_dict())
    return time.perf_counter() - started


@torch.no_grad()
def validate(network: FusionNetwork, prepared: Prepared) -> float:
    """Mean loss of the validation rows."""
    network.eval()
    rows, columns, total = prepared.validation, dense(prepared.validation), 0.0
    for start in range(0, len(rows), EVALUATION_BATCH):
        inputs = {kind: values[start : start + EVALUATION_BATCH] for kind, values in columns.items()}
        target = rows.target[start : start + EVALUATION_BATCH]
        total += network.head.losses(network.aggregate(network(inputs)), target).sum().item()
    return total / len(rows)


def dense(rows: Tensors) -> dict[str, Tensor]:
    """The inputs that are plain tensors, which all of the table's are."""
    return {kind: values for kind, values in rows.inputs.items() if isinstance(values, Tensor)}

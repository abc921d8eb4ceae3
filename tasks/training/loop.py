"""The training loop: AdamW, warm-up and plateaus, averaged weights, early stopping, checkpoints and exact resume."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import InputError, OutsideError
from models.heads import TargetStatistics
from models.network import FusionNetwork
from models.sections import Training
from tasks.training.checkpoint import load_checkpoint, save_checkpoint
from tasks.training.team import ALONE, Team
from tasks.training.tensors import Tensors

WARM_UP_STEPS = 50
"""In which the learning rate of a network with random weights rises."""
AVERAGED = 16
"""Times an epoch that the weights are taken into their mean, at most."""
DECAY = 0.3
"""What the learning rate is multiplied by when the validation loss has not improved for a third of the patience."""


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did."""

    epoch: int
    """Counted from 1."""
    train_loss: float
    validation_loss: float
    learning_rate: float
    rows_per_second: float
    """Training rows; the validation pass is not counted."""
    seconds_left: float
    """Until early stopping, if no later epoch is better than the best so far."""
    longest_seconds_left: float
    """Until the last epoch, if early stopping never comes."""


@dataclass(frozen=True)
class Trained:
    """The weights of the best epoch, and how the training went."""

    state: dict[str, Tensor]
    best_epoch: int
    history: tuple[EpochReport, ...]


@dataclass
class Run:
    """A training under way: what changes from epoch to epoch, and all that a checkpoint holds."""

    network: FusionNetwork
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    team: Team
    joined: nn.Module
    """The network as the team trains it."""
    warm_up_steps: int
    best_epoch: int = 0
    best_loss: float = math.inf
    best_state: dict[str, Tensor] = field(default_factory=dict)
    history: list[EpochReport] = field(default_factory=list)
    mean: list[Tensor] = field(default_factory=list)
    """Of the recent weights, parameter by parameter."""
    averaged: int = 0
    """How often weights were taken into the mean."""

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    def state(self) -> dict[str, Any]:
        """Everything that the next epoch depends on, as tensors and plain values."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "best": (self.best_epoch, self.best_loss, self.best_state),
            "mean": (self.mean, self.averaged),
            "workers": self.team.size,
            "history": [asdict(report) for report in self.history],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a saved state. Raises InputError where another number of workers left it."""
        if state["workers"] != self.team.size:
            raise InputError(
                f"training: interrupted with {state['workers']} workers, which {self.team.size} can't go on with; "
                f"give --workers {state['workers']}, or --fresh to start anew"
            )
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.best_epoch, self.best_loss, self.best_state = state["best"]
        mean, self.averaged = state["mean"]
        self.mean = [value.to(weight.device) for value, weight in zip(mean, self.network.parameters(), strict=True)]
        self.history = [EpochReport(**report) for report in state["history"]]

    @torch.no_grad()
    def take_in(self, memory: int) -> None:
        """Takes the weights into their mean: of all at first, then mostly of about the last `memory` ones."""
        weights = [parameter.data for parameter in self.network.parameters()]
        self.averaged += 1
        self.mean = self.mean or [weight.clone() for weight in weights]
        for mean, weight in zip(self.mean, weights, strict=True):
            mean.lerp_(weight, 1 / min(self.averaged, memory))

    @contextmanager
    def averaging(self) -> Iterator[None]:
        """The network with the mean in place of its weights, which predicts better (Polyak and Juditsky 1992)."""
        parameters = list(self.network.parameters())
        weights = [parameter.data for parameter in parameters]
        _put(parameters, self.mean)
        try:
            yield
        finally:
            _put(parameters, weights)


def _put(parameters: Sequence[nn.Parameter], values: Sequence[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.data = value


def train_network(
    network: FusionNetwork,
    train: Tensors,
    validation: Tensors,
    target: TargetStatistics,
    training: Training,
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochReport], None] | None = None,
    device: torch.device | None = None,
    team: Team = ALONE,
    warm_up_steps: int = WARM_UP_STEPS,
) -> Trained:
    """The weights with the least validation loss; `network` ends with them too, on the CPU and ready to predict.

    With a checkpoint path, a killed training of the same arguments goes on after its last epoch and ends with the same
    weights. Each member of a team calls this with the same arguments; the first alone reports and writes. Raises
    InputError when a split is empty, a batch is smaller than the team, or the loss stops being finite.
    """
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _check_rows(train, validation)
    _check_shares(len(train), settled_size(training), team)
    train, validation = (_weighted(rows, target, training) for rows in (train, validation))
    validation = validation.slice(*team.part(len(validation)))
    train, validation = (_place(rows, device, training) for rows in (train, validation))
    run = _start(network.to(device), training, device, team, warm_up_steps)
    # Of files that several machines see, the first member's view counts.
    saved = team.told(load_checkpoint(checkpoint) if checkpoint and team.leads else None)
    if saved:
        run.restore(saved)
    with torch.random.fork_rng():
        while run.epoch < training.epochs and run.epoch - run.best_epoch < training.patience:
            report = _run_epoch(run, train, validation, training, device)
            # Told first: an epoch that could not be told of is repeated, rather than missing in the record.
            if on_epoch and team.leads:
                on_epoch(report)
            if checkpoint and team.leads:
                save_checkpoint(run.state(), checkpoint)
    network.load_state_dict(run.best_state)
    network.to("cpu").eval()
    return Trained(run.best_state, run.best_epoch, tuple(run.history))


def trained_in(checkpoint: Path) -> Trained:
    """What a training that came to its end left in its checkpoint. Raises OutsideError where there is none."""
    state = load_checkpoint(checkpoint)
    if state is None:
        raise OutsideError(f"{checkpoint}: the training left no checkpoint there")
    best_epoch, _, best_state = state["best"]
    return Trained(best_state, best_epoch, tuple(EpochReport(**report) for report in state["history"]))


def _check_rows(train: Tensors, validation: Tensors) -> None:
    for name, rows in (("training", train), ("validation", validation)):
        if len(rows) and rows.weight is not None and float(rows.weight.sum()) <= 0:
            raise InputError(f"training: no row of the {name} split has a weight above 0; check training.weight")
        if not len(rows):
            raise InputError(f"training: the {name} split has no rows; give more data or other split shares")


def _check_shares(rows: int, batch_size: int, team: Team) -> None:
    fewest = rows // math.ceil(rows / batch_size)
    if fewest < team.size:
        raise InputError(
            f"training: {team.size} workers can't share batches of {fewest} rows; "
            "give fewer workers or a larger training.batch_size"
        )


def _weighted(rows: Tensors, target: TargetStatistics, training: Training) -> Tensors:
    """The rows with weights of mean 1, classes balanced if asked for; unweighted rows stay so."""
    weight = rows.weight
    if training.balance and target.prior:
        prior = torch.tensor(target.prior)
        # A class that only validation rows have is not rare, but unknown: it weighs as much as it would unbalanced.
        share = torch.where(prior > 0, prior * len(prior), 1.0)[rows.target]
        weight = 1 / share if weight is None else weight / share
    return rows if weight is None else replace(rows, weight=weight / weight.mean())


def _place(rows: Tensors, device: torch.device, training: Training) -> Tensors:
    """The rows on the device if that is another and they fit the memory that data may take, else where they are."""
    return rows.to(device) if device.type != "cpu" and rows.nbytes <= training.memory_gb * 1e9 else rows


def _start(
    network: FusionNetwork,
    training: Training,
    device: torch.device,
    team: Team = ALONE,
    warm_up_steps: int = WARM_UP_STEPS,
) -> Run:
    decayed = [p for name, p in network.named_parameters() if name.endswith("weight")]
    others = [p for name, p in network.named_parameters() if not name.endswith("weight")]
    groups = [{"params": decayed, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=training.learning_rate, fused=True)
    scaler = torch.amp.GradScaler(device.type, enabled=device.type == "cuda")
    return Run(network, optimizer, scaler, team, team.joined(network), warm_up_steps)


def _run_epoch(run: Run, train: Tensors, validation: Tensors, training: Training, device: torch.device) -> EpochReport:
    """One epoch, seeded by its number alone, so that a resumed training needs no random state."""
    torch.manual_seed(_seed(run, training))
    started = time.perf_counter()
    train_loss = _train_epoch(run, train, training, device)
    rows_per_second = len(train) / (time.perf_counter() - started)
    with run.averaging():
        validation_loss = _validate(run, validation, device)
        if validation_loss < run.best_loss:
            run.best_epoch, run.best_loss = run.epoch + 1, validation_loss
            run.best_state = {n: value.detach().to("cpu", copy=True) for n, value in run.network.state_dict().items()}
    if not (math.isfinite(train_loss) and math.isfinite(validation_loss)):
        raise InputError(
            f"training: the loss is not finite in epoch {run.epoch + 1}; lower training.learning_rate or training.clip"
        )
    left = min(run.best_epoch + training.patience, training.epochs) - run.epoch - 1
    seconds = time.perf_counter() - started
    longest = (training.epochs - run.epoch - 1) * seconds
    rate = float(run.optimizer.param_groups[0]["lr"])
    run.history.append(
        EpochReport(run.epoch + 1, train_loss, validation_loss, rate, rows_per_second, seconds * left, longest)
    )
    return run.history[-1]


def _seed(run: Run, training: Training) -> int:
    return training.seed * 1_000_003 + run.epoch


def _train_epoch(run: Run, train: Tensors, training: Training, device: torch.device) -> float:
    """Mean training loss of one pass in random order. No step waits for the device."""
    network, optimizer, scaler, team = run.network.train(), run.optimizer, run.scaler, run.team
    parameters = list(network.parameters())
    total = torch.zeros((), device=device)
    batches = _shuffle(train, settled_size(training))
    team.seed(_seed(run, training))
    rate = scheduled_rate([report.validation_loss for report in run.history], training)
    for position, index in enumerate(batches):
        warm_up = min(1.0, (run.epoch * len(batches) + position + 1) / run.warm_up_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * warm_up
        share = team.share(index)
        batch = train.take(share).to(device)
        with torch.autocast(device.type, enabled=device.type == "cuda"):
            losses = network.head.member_losses(run.joined(batch.inputs), batch.target)
            loss = losses.mean() if batch.weight is None else (losses * batch.weight).mean()
            loss = team.scaled(loss, share, index)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(scaler.scale(loss))
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(parameters, training.clip)
        scaler.step(optimizer)
        scaler.update()
        if (position + 1) % math.ceil(len(batches) / AVERAGED) == 0 or position + 1 == len(batches):
            run.take_in(min(AVERAGED, len(batches)))
        total += loss.detach() * len(index)
    team.average(total)
    # Running statistics of normalisations, of which each member has seen its own shares.
    team.follow(network.buffers())
    return float(total) / len(train)


def settled_size(training: Training) -> int:
    """The batch size, which must be settled by now: it depends on the columns where the model file gives none."""
    if training.batch_size is None:
        raise ValueError("training.batch_size is not settled")
    return training.batch_size


def _shuffle(train: Tensors, batch_size: int) -> tuple[Tensor, ...]:
    """Row indices of batches of nearly equal size, in random order."""
    order = torch.randperm(len(train)).to(train.target.device)
    return order.tensor_split(math.ceil(len(train) / batch_size))


def scheduled_rate(losses: Sequence[float], training: Training) -> float:
    """The learning rate after epochs with these validation losses: reduced at each plateau.

    A function of the losses alone, so that a resumed training needs no state of a scheduler.
    """
    wait = max(1, training.patience // 3)
    best, since, rate = math.inf, 0, training.learning_rate
    for loss in losses:
        best, since = (loss, 0) if loss < best else (best, since + 1)
        if since == wait:
            rate, since = rate * DECAY, 0
    return rate


@torch.no_grad()
def _validate(run: Run, validation: Tensors, device: torch.device) -> float:
    """Weighted mean loss of the common prediction, over the parts of the whole team."""
    network = run.network.eval()
    total, weights = torch.zeros((), device=device), torch.zeros((), device=device)
    for rows in validation.chunks():
        batch = rows.to(device)
        losses = network.head.losses(network.aggregate(network(batch.inputs)), batch.target)
        weight = torch.ones_like(losses) if batch.weight is None else batch.weight
        total, weights = total + (losses * weight).sum(), weights + weight.sum()
    run.team.average(total, weights)
    return float(total / weights)

"""The loop learns, stops early with the best weights, honours weights, and resumes exactly."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from models.columns import KINDS
from models.columns.number.statistics import fit_number
from models.errors import InputError
from models.heads import TargetStatistics
from models.network import FusionNetwork, build_network
from models.sections import Network, Training
from tasks.training.loop import (
    DECAY,
    WARM_UP_STEPS,
    EpochReport,
    Run,
    Trained,
    _start,
    _weighted,
    scheduled_rate,
    train_network,
)
from tasks.training.tensors import Tensors, fit_target

NETWORK = Network(width=16, depth=2, dropout=0.1, members=4, embedding=4)
QUICK = Training(epochs=6, patience=3, batch_size=64, learning_rate=0.01)
CPU = torch.device("cpu")


def rows(count: int, seed: int, classes: int = 2) -> Tensors:
    """Two numbers; the class is the sign of their product, the value its size."""
    x = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
    product = torch.from_numpy(x[:, 0] * x[:, 1])
    return Tensors({"number": torch.from_numpy(x)}, (product > 0).long() if classes else product * 7 + 100)


def network_for(train: Tensors, target: TargetStatistics, network: Network = NETWORK) -> FusionNetwork:
    columns = [(KINDS["number"].settings(), fit_number(column)) for column in train.inputs["number"].numpy().T]
    return build_network(columns, target, network)


def fit(
    train: Tensors, validation: Tensors, training: Training, checkpoint: Path | None = None, classes: int = 2
) -> tuple[FusionNetwork, Trained]:
    target = fit_target(train, classes)
    network = network_for(train, target)
    return network, train_network(network, train, validation, target, training, checkpoint, device=CPU)


def predict_rows(network: FusionNetwork, rows: Tensors) -> Tensor:
    with torch.no_grad():
        return network.aggregate(network(rows.inputs))


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_an_interaction_is_learnt() -> None:
    test = rows(500, 3)
    network, _ = fit(rows(1500, 1), rows(300, 2), QUICK.model_copy(update={"epochs": 30, "patience": 30}))
    accuracy = float((predict_rows(network, test).argmax(1) == test.target).float().mean())
    assert accuracy > 0.93


def test_a_regression_is_learnt_in_the_targets_unit() -> None:
    test = rows(500, 3, classes=0)
    training = QUICK.model_copy(update={"epochs": 30, "patience": 30})
    network, _ = fit(rows(1500, 1, classes=0), rows(300, 2, classes=0), training, classes=0)
    error = predict_rows(network, test)[:, 0] - test.target
    assert float(error.var() / test.target.var()) < 0.2


def test_equal_seeds_give_equal_weights_and_others_do_not() -> None:
    data = rows(300, 1), rows(100, 2)
    first, second = (fit(*data, QUICK)[1].state for _ in range(2))
    other = fit(*data, QUICK.model_copy(update={"seed": 1}))[1].state
    assert same(first, second)
    assert not same(first, other)


def test_training_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    fit(rows(100, 1), rows(50, 2), QUICK)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("killed_after", [1, 3])
def test_an_interrupted_training_ends_with_the_same_weights(tmp_path: Path, killed_after: int) -> None:
    train, validation = rows(300, 1), rows(100, 2)
    _, whole = fit(train, validation, QUICK)

    def kill(report: EpochReport) -> None:
        if report.epoch == killed_after:
            raise KeyboardInterrupt

    target = fit_target(train, 2)
    with pytest.raises(KeyboardInterrupt):
        train_network(network_for(train, target), train, validation, target, QUICK, tmp_path / "c.pt", kill, CPU)
    network, resumed = fit(train, validation, QUICK, tmp_path / "c.pt")
    assert same(whole.state, resumed.state)
    assert same(whole.state, network.state_dict())
    assert (whole.best_epoch, len(whole.history)) == (resumed.best_epoch, len(resumed.history))
    assert [r.validation_loss for r in whole.history] == [r.validation_loss for r in resumed.history]


def test_a_finished_training_is_not_trained_further(tmp_path: Path) -> None:
    data = rows(200, 1), rows(100, 2)
    _, first = fit(*data, QUICK, tmp_path / "c.pt")
    _, again = fit(*data, QUICK, tmp_path / "c.pt")
    assert same(first.state, again.state)
    assert first.history == again.history


def test_it_stops_after_patience_with_the_weights_of_the_best_epoch() -> None:
    train, validation = rows(60, 1), rows(60, 2)
    noise = Tensors(train.inputs, torch.randint(0, 2, (60,), generator=torch.Generator().manual_seed(0)))
    training = QUICK.model_copy(update={"epochs": 200, "patience": 4, "learning_rate": 0.02})
    network, trained = fit(noise, validation, training)
    losses = [report.validation_loss for report in trained.history]
    assert len(losses) < 200
    assert trained.best_epoch == int(np.argmin(losses)) + 1
    assert len(losses) == trained.best_epoch + 4
    loss = float(network.head.losses(predict_rows(network, validation), validation.target).mean())
    assert loss == pytest.approx(min(losses), abs=1e-6)


def test_each_epoch_is_reported_as_it_ends() -> None:
    train, validation = rows(200, 1), rows(100, 2)
    target = fit_target(train, 2)
    reports: list[EpochReport] = []
    trained = train_network(network_for(train, target), train, validation, target, QUICK, on_epoch=reports.append)
    assert tuple(reports) == trained.history
    assert [report.epoch for report in reports] == list(range(1, len(reports) + 1))
    assert all(r.rows_per_second > 0 and r.seconds_left >= 0 and r.learning_rate > 0 for r in reports)


def test_rows_of_weight_zero_are_not_learnt_from() -> None:
    train, validation = rows(400, 1), rows(200, 2)
    flipped = Tensors(train.inputs, 1 - train.target)
    both = Tensors(
        {"number": torch.cat([train.inputs["number"], flipped.inputs["number"]])},
        torch.cat([train.target, flipped.target]),
        torch.cat([torch.ones(400), torch.zeros(400)]),
    )
    network, _ = fit(both, validation, QUICK.model_copy(update={"epochs": 30, "patience": 30}))
    assert float((predict_rows(network, validation).argmax(1) == validation.target).float().mean()) > 0.85


def test_validation_weights_decide_the_validation_loss() -> None:
    validation = rows(100, 2)
    weight = torch.rand(100, generator=torch.Generator().manual_seed(0))
    weighted = Tensors(validation.inputs, validation.target, weight)
    network, trained = fit(rows(200, 1), weighted, QUICK)
    losses = network.head.losses(predict_rows(network, validation), validation.target)
    best = trained.history[trained.best_epoch - 1].validation_loss
    assert best == pytest.approx(float((losses * weight).sum() / weight.sum()), abs=1e-5)


def test_balance_raises_the_rare_class() -> None:
    train, validation = rows(600, 1), rows(200, 2)
    rare = Tensors(train.inputs, (torch.rand(600, generator=torch.Generator().manual_seed(1)) < 0.05).long())
    shares = []
    for balance in (False, True):
        network, _ = fit(rare, rare, QUICK.model_copy(update={"balance": balance}))
        shares.append(float(predict_rows(network, validation).exp()[:, 1].mean()))
    assert shares[0] < 0.15
    assert shares[1] > 0.35


def test_the_mean_of_the_weights_is_plain_at_first_and_then_forgets() -> None:
    """With room for 2, the means of 1, 3 and 7 are 1, then (1 + 3) / 2 = 2, then (2 + 7) / 2 = 4.5."""
    train = rows(40, 1)
    run = _start(network_for(train, fit_target(train, 2)), QUICK, torch.device("cpu"))
    for value, mean in ((1.0, 1.0), (3.0, 2.0), (7.0, 4.5)):
        for parameter in run.network.parameters():
            torch.nn.init.constant_(parameter, value)
        run.take_in(2)
        with run.averaging():
            assert all((parameter == mean).all() for parameter in run.network.parameters())
        assert all((parameter == value).all() for parameter in run.network.parameters())


def test_the_mean_is_what_is_judged_and_kept() -> None:
    train, validation = rows(200, 1), rows(100, 2)
    taken: list[list[Tensor]] = []
    take_in = Run.take_in

    def watched(run: Run, memory: int) -> None:
        take_in(run, memory)
        taken.append([parameter.detach().clone() for parameter in run.network.parameters()])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "take_in", watched)
        network, trained = fit(train, validation, QUICK.model_copy(update={"epochs": 1, "batch_size": 20}))
    assert len(taken) == 10
    for position, parameter in enumerate(network.parameters()):
        by_hand = torch.stack([weights[position] for weights in taken]).mean(dim=0)
        torch.testing.assert_close(parameter.detach(), by_hand)
    losses = network.head.losses(predict_rows(network, validation), validation.target)
    assert trained.history[0].validation_loss == pytest.approx(float(losses.mean()), abs=1e-5)


def test_a_loss_that_explodes_is_one_plain_line() -> None:
    train = rows(100, 1, classes=0)
    broken = Tensors(train.inputs, torch.where(torch.arange(100) == 0, torch.inf, train.target))
    target = TargetStatistics(mean=0.0, scale=1.0)
    with pytest.raises(InputError, match="loss is not finite in epoch 1"):
        train_network(network_for(train, target), broken, train, target, QUICK, device=CPU)


@pytest.mark.parametrize("empty", ["training", "validation"])
def test_an_empty_split_is_named(empty: str) -> None:
    full, none = rows(20, 1), rows(20, 1).slice(0, 0)
    train, validation = (none, full) if empty == "training" else (full, none)
    target = TargetStatistics(prior=(0.5, 0.5))
    with pytest.raises(InputError, match=f"the {empty} split has no rows"):
        train_network(network_for(full, target), train, validation, target, QUICK, device=CPU)


def test_weights_of_zero_in_all_are_named() -> None:
    full = rows(20, 1)
    weightless = Tensors(full.inputs, full.target, torch.zeros(20))
    target = TargetStatistics(prior=(0.5, 0.5))
    with pytest.raises(InputError, match="no row of the validation split has a weight above 0"):
        train_network(network_for(full, target), full, weightless, target, QUICK, device=CPU)


def test_balance_does_not_let_a_class_unknown_to_training_drown_the_others() -> None:
    train, validation = rows(300, 1), rows(100, 2)
    one = torch.where(torch.arange(100) == 0, 2, validation.target)
    target = TargetStatistics(prior=(0.5, 0.5, 0.0))
    weighted = _weighted(Tensors(validation.inputs, one), target, QUICK.model_copy(update={"balance": True})).weight
    assert weighted is not None
    assert float(weighted[0] / weighted.sum()) < 0.02
    assert train_network(network_for(train, target), train, validation, target, QUICK, device=CPU).best_epoch


def test_the_first_steps_are_small() -> None:
    _, trained = fit(rows(192, 1), rows(50, 2), QUICK)
    assert trained.history[0].learning_rate == pytest.approx(QUICK.learning_rate * 3 / 50)


def test_a_gradient_is_never_longer_than_the_clip() -> None:
    """AdamW hardly moves by gradients far below its epsilon of 1e-8."""
    barely = QUICK.model_copy(update={"epochs": 1, "clip": 1e-14, "weight_decay": 0.0})
    train = rows(200, 1)
    before = {name: value.clone() for name, value in network_for(train, fit_target(train, 2)).state_dict().items()}
    network, _ = fit(train, rows(100, 2), barely)
    moved = max(float((value - before[name]).abs().max()) for name, value in network.state_dict().items())
    assert 0 < moved < 1e-5


def test_only_matrices_decay() -> None:
    train = rows(50, 1)
    network = network_for(train, fit_target(train, 2))
    groups = _start(network, QUICK, CPU).optimizer.param_groups
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    decayed = {names[id(p)] for group in groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {name for name in names.values() if name.endswith("weight")}
    assert "head.bias" in set(names.values()) - decayed


def test_the_time_left_is_at_most_that_of_all_epochs() -> None:
    _, trained = fit(rows(100, 1), rows(50, 2), QUICK)
    assert trained.history[-1].longest_seconds_left >= trained.history[-1].seconds_left
    assert trained.history[0].longest_seconds_left > trained.history[0].seconds_left > 0


def test_the_learning_rate_falls_at_each_plateau_and_never_rises() -> None:
    training = Training(patience=6, learning_rate=1.0)
    assert scheduled_rate([], training) == 1
    assert scheduled_rate([3, 2, 1], training) == 1
    assert scheduled_rate([1, 2, 2], training) == pytest.approx(DECAY)
    assert scheduled_rate([1, 2, 2, 0.5, 0.6], training) == pytest.approx(DECAY)
    assert scheduled_rate([1, 2, 2, 2, 2], training) == pytest.approx(DECAY**2)


def test_the_rate_rises_for_random_weights_alone() -> None:
    """Three steps of an epoch: 3/50 of the way by default, all of it where the weights are inherited."""
    train, validation = rows(3 * 64, seed=1), rows(64, seed=2)
    target = fit_target(train, 2)
    once = QUICK.model_copy(update={"epochs": 1, "batch_size": 64})
    rates = [
        train_network(network_for(train, target), train, validation, target, once, device=CPU, warm_up_steps=steps)
        .history[0]
        .learning_rate
        for steps in (WARM_UP_STEPS, 1)
    ]
    assert rates == pytest.approx([0.01 * 3 / 50, 0.01])

"""A team of processes trains as one process does, and a lonely member does what it did without a team."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, multiprocessing

from models.errors import InputError
from models.sections import Network
from tasks.training.loop import Trained, _run_epoch, _start, train_network
from tasks.training.team import ALONE, Team
from tasks.training.tensors import Tensors, fit_target
from tests.tasks.training.test_loop import CPU, NETWORK, QUICK, network_for, rows

SIZE = 3
STILL = NETWORK.model_copy(update={"dropout": 0.0})
ONE_STEP = QUICK.model_copy(update={"batch_size": 1000, "clip": 1e9})


def weighted(count: int, seed: int) -> Tensors:
    plain = rows(count, seed)
    return Tensors(plain.inputs, plain.target, torch.rand(count, generator=torch.Generator().manual_seed(seed)))


def one_step(train: Tensors, validation: Tensors, team: Team) -> dict[str, Any]:
    """The gradients of an epoch of a single batch, and its losses."""
    run = _start(network_for(train, fit_target(train, 2), STILL), ONE_STEP, CPU, team)
    report = _run_epoch(run, train, validation.slice(*team.part(len(validation))), ONE_STEP, CPU)
    gradients = {name: parameter.grad for name, parameter in run.network.named_parameters()}
    return {"gradients": gradients, "losses": (report.train_loss, report.validation_loss)}


def trained(team: Team, epochs: int, checkpoint: Path | None = None) -> Trained:
    train, validation = weighted(301, 1), weighted(100, 2)
    target = fit_target(train, 2)
    training = QUICK.model_copy(update={"epochs": epochs, "patience": 9})
    network = network_for(train, target, Network(width=64, depth=2, dropout=0.1, members=4, embedding=4))
    return train_network(network, train, validation, target, training, checkpoint, device=CPU, team=team)


def member(rank: int, folder: Path) -> None:
    """What one process of the team finds, in a file."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=SIZE)
    team = Team(rank, SIZE)
    found: dict[str, Any] = {
        "weighted": one_step(weighted(100, 1), weighted(50, 2), team),
        "plain": one_step(rows(100, 1), rows(50, 2), team),
    }
    whole = trained(team, 5)
    trained(team, 2, folder / "checkpoint.pt")
    resumed = trained(team, 5, folder / "checkpoint.pt")
    found["states"] = whole.state, resumed.state
    found["losses"] = [(report.train_loss, report.validation_loss) for report in whole.history]
    found["drawn"] = drawn_by(team)
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()


def drawn_by(team: Team) -> Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        team.seed(5)
        return torch.rand(4)


@pytest.fixture(scope="module")
def team_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("team")
    # Forked from a process that has loaded torch for all of them.
    multiprocessing.set_forkserver_preload([__name__])
    multiprocessing.start_processes(  # type: ignore[attr-defined,no-untyped-call]
        member, (folder,), SIZE, start_method="forkserver"
    )
    return folder


@pytest.fixture(scope="module")
def found(team_folder: Path) -> list[dict[str, Any]]:
    return [torch.load(team_folder / f"{rank}.pt", weights_only=True) for rank in range(SIZE)]


@pytest.mark.parametrize("kind", ["plain", "weighted"])
def test_gradients_and_losses_are_those_of_one_process(found: list[dict[str, Any]], kind: str) -> None:
    """100 rows in shares of 34, 33 and 33, 50 validation rows in parts of 16, 17 and 17."""
    data = (rows(100, 1), rows(50, 2)) if kind == "plain" else (weighted(100, 1), weighted(50, 2))
    alone = one_step(*data, ALONE)
    for of_member in found:
        assert of_member[kind]["losses"] == pytest.approx(alone["losses"], rel=1e-5)
        for name, gradient in alone["gradients"].items():
            torch.testing.assert_close(of_member[kind]["gradients"][name], gradient, rtol=1e-4, atol=1e-7)


def test_all_members_agree_to_the_bit(found: list[dict[str, Any]]) -> None:
    first = found[0]
    for other in found[1:]:
        assert other["losses"] == first["losses"]
        assert all(torch.equal(other["states"][0][name], value) for name, value in first["states"][0].items())


def test_a_resumed_team_ends_with_the_same_weights(found: list[dict[str, Any]]) -> None:
    """Of three, since the sum of two does not depend on their order."""
    for of_member in found:
        whole, resumed = of_member["states"]
        assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_a_team_learns_about_as_well_as_one_process(found: list[dict[str, Any]]) -> None:
    alone = trained(ALONE, 5)
    assert found[0]["losses"][-1] == pytest.approx(
        (alone.history[-1].train_loss, alone.history[-1].validation_loss), rel=0.05
    )


def test_members_draw_apart(found: list[dict[str, Any]]) -> None:
    drawn = [tuple(of_member["drawn"].tolist()) for of_member in found]
    assert len(set(drawn)) == SIZE
    assert drawn[0] == tuple(drawn_by(ALONE).tolist())


def test_another_number_of_workers_does_not_go_on(team_folder: Path) -> None:
    with pytest.raises(InputError, match="interrupted with 3 workers, which 1 can't go on with; give --workers 3"):
        trained(ALONE, 5, team_folder / "checkpoint.pt")


def test_shares_are_all_rows_once_and_nearly_equal() -> None:
    index = torch.randperm(11)
    shares = [Team(rank, 4).share(index) for rank in range(4)]
    assert torch.equal(torch.cat(shares), index)
    assert [len(share) for share in shares] == [3, 3, 3, 2]
    assert [Team(rank, 4).part(11) for rank in range(4)] == [(0, 2), (2, 5), (5, 8), (8, 11)]


def test_batches_smaller_than_the_team_are_refused() -> None:
    train = rows(10, 1)
    target = fit_target(train, 2)
    small = QUICK.model_copy(update={"batch_size": 2})
    with pytest.raises(InputError, match="3 workers can't share batches of 2 rows"):
        train_network(network_for(train, target), train, train, target, small, device=CPU, team=Team(0, 3))

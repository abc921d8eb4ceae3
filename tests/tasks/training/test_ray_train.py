"""The loop on two workers of a real Ray on this machine: the same weights however often, interrupted or killed."""

import pickle
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import SimpleNamespace

import psutil
import pytest
import torch
from torch import Tensor

from models.errors import InputError, OutsideError
from models.modelfile import ModelFile, read_model_file
from tasks.cluster import connected
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import fit_split
from tasks.training import fit, ray_train
from tasks.training.checkpoint import load_checkpoint
from tasks.training.engine import LOCAL, Engine
from tasks.training.fit import fit_model
from tasks.training.fitted import Fitted
from tasks.training.loop import EpochReport
from tests.small import table, write_model

pytest.importorskip("ray", reason="Ray, an optional extra, is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]

TWO = Engine("ray", 2)
LONGER = """
[network]
width = 16
depth = 2
members = 4
[training]
epochs = 6
batch_size = 32
weight = "heat"
"""
COLUMNS = '[columns]\n"load" = "number"\n"shop" = "category"\n"night" = "boolean"\n'
Heard = Callable[[EpochReport], None]


@dataclass(frozen=True)
class Trainer:
    """Trains one model file on one snapshot, as often as asked."""

    model_file: ModelFile
    folder: Path

    def fit(
        self, name: str, engine: Engine, heard: Heard | None = None, begin_with: Path | None = None, **training: object
    ) -> Fitted:
        changed = self.model_file.training.model_copy(update=training)
        model_file = self.model_file.model_copy(update={"training": changed})
        snapshot = open_snapshot(ingest(model_file, self.folder / "home").manifest)
        job = self.folder / name
        split = fit_split(model_file, snapshot)
        files = job / "checkpoint.pt", job / "trained.pt"
        return fit_model(model_file, snapshot, split, *files, heard, engine, begin_with)

    @property
    def heritage(self) -> Path:
        """What the cold training leaves."""
        return self.folder / "cold" / "heritage.pt"

    def weights(self, name: str) -> dict[str, Tensor]:
        state: dict[str, Tensor] = torch.load(self.folder / name / "trained.pt", weights_only=True)["state"]
        return state


@pytest.fixture(scope="module", autouse=True)
def ray() -> Iterator[None]:
    with connected(None, 2):
        yield


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    folder = tmp_path_factory.mktemp("ray")
    frame = table(800)
    frame["heat"] = frame["heat"].fillna(300.0) - 280
    return Trainer(read_model_file(write_model(folder, "many", frame, quick=LONGER, columns=COLUMNS)), folder)


@pytest.fixture(scope="module")
def cold(trainer: Trainer) -> Fitted:
    """In this process, from random weights."""
    return trainer.fit("cold", LOCAL)


@pytest.fixture(scope="module")
def whole(trainer: Trainer, cold: Fitted) -> Fitted:
    """On both workers, from the weights that the cold one left: either way they are given them as a file."""
    assert cold
    return trainer.fit("whole", TWO, begin_with=trainer.heritage)


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, second[name]) for name, value in first.items())


def workers() -> list[psutil.Process]:
    """The processes that train."""
    found = []
    for process in psutil.Process().children(recursive=True):
        # Some end while they are looked at.
        with suppress(psutil.NoSuchProcess):
            if process.name().startswith("ray::RayTrainW") and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def test_two_workers_learn_about_as_well_as_one(trainer: Trainer, whole: Fitted) -> None:
    alone = trainer.fit("alone", LOCAL, begin_with=trainer.heritage)
    assert (whole.rows, whole.parameters) == (alone.rows, alone.parameters)
    assert whole.validation_loss[-1] == pytest.approx(alone.validation_loss[-1], rel=0.1)
    assert not same(trainer.weights("whole"), trainer.weights("alone"))


def test_workers_begin_with_the_weights_of_a_warm_start(trainer: Trainer, cold: Fitted, whole: Fitted) -> None:
    alone = trainer.fit("warm", LOCAL, begin_with=trainer.heritage, epochs=1)
    assert whole.inherited == alone.inherited and whole.inherited is not None and whole.inherited.kept
    assert whole.validation_loss[0] == pytest.approx(alone.validation_loss[0], rel=0.05)
    assert whole.validation_loss[0] < cold.validation_loss[0] * 0.9


@pytest.fixture(scope="module")
def disturbed(trainer: Trainer, whole: Fitted) -> list[int]:
    """The epochs that were told of a training of which one worker is killed and which is interrupted later on.

    Both happen to one training, since each start of Ray's processes takes half a minute of processor time.
    """
    import ray

    assert whole
    told: list[int] = []
    left: list[object] = []
    end = ray_train._Run.end

    def watched(run: ray_train._Run) -> None:
        end(run)
        left.extend(ray.wait([run.task], timeout=0)[1])

    def disturb(report: EpochReport) -> None:
        if report.epoch == 5:
            raise KeyboardInterrupt
        told.append(report.epoch)
        if report.epoch == 2:
            victims = workers()
            assert len(victims) == 2
            victims[1].send_signal(signal.SIGKILL)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ray_train._Run, "end", watched)
        trainer.fit("disturbed", TWO, disturb, trainer.heritage)
    assert not left
    return told


def test_a_killed_worker_is_replaced_and_an_interrupt_leaves_the_same_epochs_and_no_worker(
    trainer: Trainer, whole: Fitted, disturbed: list[int]
) -> None:
    assert disturbed == [1, 2, 3, 4]
    psutil.wait_procs(workers(), timeout=60)
    assert not workers()
    kept = load_checkpoint(trainer.folder / "disturbed" / "checkpoint.pt")
    assert kept is not None
    assert (len(kept["history"]), kept["workers"]) == (4, 2)
    losses = [(report["train_loss"], report["validation_loss"]) for report in kept["history"]]
    assert losses == list(zip(whole.train_loss, whole.validation_loss, strict=True))[:4]


@pytest.mark.soak
def test_an_interrupted_training_goes_on_to_the_same_weights(
    trainer: Trainer, whole: Fitted, disturbed: list[int]
) -> None:
    told = [*disturbed]
    resumed = trainer.fit("disturbed", TWO, lambda report: told.append(report.epoch), trainer.heritage)
    assert told == [1, 2, 3, 4, 5, 6]
    assert (resumed.validation_loss, resumed.best_epoch) == (whole.validation_loss, whole.best_epoch)
    assert same(trainer.weights("disturbed"), trainer.weights("whole"))


@pytest.fixture
def as_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's part is done in this process, and what it tells is raised as what was heard."""
    told: SimpleQueue[bytes] = SimpleQueue()

    def work(assignment: ray_train.Assignment, *_: object) -> None:
        ray_train._work(assignment, SimpleNamespace(put=lambda said: told.put(pickle.dumps(said))), None)
        raise pickle.loads(told.get_nowait())

    context = SimpleNamespace(get_world_rank=lambda: 0, get_world_size=lambda: 2)
    monkeypatch.setattr("ray.train.get_context", lambda: context)
    monkeypatch.setattr("ray.train.torch.get_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(fit, "train_on_ray", work)


@pytest.mark.usefixtures("as_a_worker")
def test_what_a_worker_refuses_is_told_and_not_raised(trainer: Trainer) -> None:
    """Else Ray Train would start the workers again."""
    with pytest.raises(InputError, match=r"^training: 2 workers can't share batches of 1 rows"):
        trainer.fit("tiny", TWO, batch_size=1)


UNSEEN = r"can't see .*train\.rows; all machines .* must share .*PERENNIAL_HOME"


@pytest.mark.usefixtures("as_a_worker")
def test_files_that_a_worker_cannot_see_are_named(trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "write_rows", lambda *_: None)
    with pytest.raises(OutsideError, match=UNSEEN):
        trainer.fit("hidden", TWO)


@pytest.mark.soak
def test_an_error_for_people_arrives_as_it_is_from_a_worker_of_ray(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "write_rows", lambda *_: None)
    with pytest.raises(OutsideError, match=UNSEEN):
        trainer.fit("unseen", TWO)

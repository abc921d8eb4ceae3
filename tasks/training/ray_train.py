"""The training loop on several workers that Ray Train starts, watches, and starts again where one dies."""

import math
import os
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from models.columns import Statistics
from models.errors import OutsideError, PerennialError
from models.heads import TargetStatistics
from models.modelfile import ModelFile
from models.network import untrained_network
from models.sections import Training
from tasks.cluster import connected, cores_each, has_gpus
from tasks.training.checkpoint import load_checkpoint
from tasks.training.engine import Engine
from tasks.training.loop import EpochReport, Trained, train_network, trained_in
from tasks.training.sharedrows import map_rows
from tasks.training.team import Team

MOST_FAILURES = 3
"""Times that the workers are started again, from the last checkpoint."""
LISTENING_SECONDS = 0.5
"""Between two looks at whether Ray Train has ended."""
OVER = "over"
"""What the run tells when it has nothing more to tell, and hears when it may end."""
ENDING_SECONDS = 20
"""That Ray Train has to stop its workers."""
NO_NOTICE = {"RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0"}
"""For our own Ray: nobody gives notice that this machine is taken away, and a process that waits for it loads torch."""


@dataclass(frozen=True)
class Assignment:
    """What each worker is given; rows and checkpoint by path."""

    model_file: ModelFile
    statistics: dict[str, Statistics]
    target: TargetStatistics
    training: Training
    train: Path
    validation: Path
    checkpoint: Path
    begun: Path
    """The weights to begin with."""
    warm_up_steps: int


def train_on_ray(
    assignment: Assignment, engine: Engine, on_epoch: Callable[[EpochReport], None] | None = None
) -> Trained:
    """What the workers trained together; goes on after the last epoch when the checkpoint exists.

    Raises what a worker raises for people to read, OutsideError when workers failed time and again.
    """
    with connected(engine.address, engine.workers):
        import ray
        from ray.util.queue import Queue

        room = cores_each(engine.workers), has_gpus(engine.workers)
        told, heard = Queue(actor_options={"num_cpus": 0}), Queue(actor_options={"num_cpus": 0})
        # In a process of its own: what this one is told, such as an interrupt, it need not wait for.
        run = _Run(
            ray.remote(num_cpus=0, max_retries=0)(_run).remote(assignment, engine, *room, told, heard), told, heard
        )
        try:
            _listen(run, on_epoch)
        finally:
            run.end()
        run.require_success()
    return trained_in(assignment.checkpoint)


def _run(assignment: Assignment, engine: Engine, cores: int, gpus: bool, told: Any, heard: Any) -> None:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    if engine.address is None:
        os.environ.update(NO_NOTICE)
    trainer = TorchTrainer(
        lambda: _work(assignment, told, heard),
        scaling_config=ScalingConfig(num_workers=engine.workers, use_gpu=gpus, resources_per_worker={"CPU": cores}),
        run_config=RunConfig(
            name="ray",
            storage_path=str(assignment.checkpoint.parent),
            failure_config=FailureConfig(max_failures=MOST_FAILURES),
        ),
    )
    try:
        trainer.fit()
    finally:
        # Ray aborts a process that cancels what is completed in that instant: this is completed when that one says so.
        told.put(OVER)
        while heard.get() != OVER:
            continue


def _work(assignment: Assignment, told: Any, heard: Any) -> None:
    """One worker: the loop as one of a team."""
    from ray import train
    from ray.train.torch import get_device

    def tell(report: EpochReport) -> None:
        # As plain values: the queue is a process of its own, which would load torch for a report.
        told.put(astuple(report))
        # What is heard may be about what a worker told that died then.
        while heard.get() != report.epoch:
            continue

    context = train.get_context()
    team = Team(context.get_world_rank(), context.get_world_size())
    try:
        _require(assignment.train, assignment.validation, assignment.begun)
        network = untrained_network(assignment.model_file, assignment.statistics, assignment.target)
        network.load_state_dict(load_checkpoint(assignment.begun) or {})
        rows = map_rows(assignment.train), map_rows(assignment.validation)
        train_network(
            network, *rows, assignment.target, assignment.training, assignment.checkpoint, tell, get_device(), team,
            assignment.warm_up_steps,
        )  # fmt: skip
    except PerennialError as error:
        # Told, not raised: Ray Train would start the workers again, to no avail.
        told.put(error)


def _require(*files: Path) -> None:
    for file in files:
        if not file.exists():
            raise OutsideError(
                f"{socket.gethostname()}: a worker there can't see {file}; all machines of the Ray cluster must share "
                "the file system that PERENNIAL_HOME and the model file are on"
            )


def _listen(run: "_Run", on_epoch: Callable[[EpochReport], None] | None) -> None:
    """Hands on what workers tell until the run is over; each epoch is acknowledged when it has been handed on."""
    last = 0
    for said in run.said():
        if isinstance(said, PerennialError):
            # Mostly all workers find the same, and end by themselves.
            run.wait(ENDING_SECONDS)
            raise said
        report = EpochReport(*said)
        # Workers that were started again may repeat an epoch.
        if on_epoch and report.epoch > last:
            on_epoch(report)
        last = max(last, report.epoch)
        run.heard.put(report.epoch)


@dataclass
class _Run:
    """Ray Train's run, what it and its workers tell, and what they are told."""

    task: Any
    told: Any
    heard: Any
    over: bool = False
    """Nothing more is told: the run waits to hear that it may end, or has died."""

    def said(self, seconds: float = math.inf) -> Iterator[Any]:
        """What is told from now on, until the run is over, or for so long."""
        import ray
        from ray.util.queue import Empty

        until = time.monotonic() + seconds
        while not self.over and time.monotonic() < until:
            # Looked at first, so that what was told before it died is heard.
            died = bool(ray.wait([self.task], timeout=0)[0])
            try:
                said = self.told.get(timeout=0 if died else LISTENING_SECONDS)
            except Empty:
                self.over = died
                continue
            if said == OVER:
                self.over = True
            else:
                yield said

    def wait(self, seconds: float) -> None:
        """Until it is over, at most so long; what is told meanwhile is passed over."""
        for _ in self.said(seconds):
            continue

    def end(self) -> None:
        """Where an interrupt or error ended the listening, Ray Train stops its workers and gives back its room."""
        import ray

        if not self.over:
            ray.cancel(self.task)
            self.wait(ENDING_SECONDS)
        until = time.monotonic() + ENDING_SECONDS
        while time.monotonic() < until:
            # Said again: the queue gives one to a worker that was ended while it listened.
            self.heard.put(OVER)
            if ray.wait([self.task], timeout=LISTENING_SECONDS)[0]:
                return
        ray.cancel(self.task, force=True)

    def require_success(self) -> None:
        """Raises OutsideError when workers failed time and again."""
        import ray

        try:
            ray.get(self.task)
        except ray.exceptions.RayError as error:
            cause = error.__cause__ or error
            lines = [line for line in str(cause).splitlines() if line.strip()]
            raise OutsideError(
                f"training on Ray failed {MOST_FAILURES + 1} times: {lines[-1] if lines else cause!r}"
            ) from None

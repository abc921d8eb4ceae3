"""From a model file to a registered challenger."""

import importlib
from pathlib import Path

from prefect import flow

from flows.environment import state_folder
from flows.results import Trained, rows_of
from flows.titles import of_model_file
from tasks.data.snapshot import Ingested
from tasks.data.steps import ingest_data, read_trainable
from tasks.evaluation.steps import evaluate_graph
from tasks.export.steps import export_graph
from tasks.monitoring.steps import profile_version
from tasks.registry.record import Origin
from tasks.registry.runs import finishing
from tasks.registry.steps import open_training_run, register_version, with_start
from tasks.training.engine import EngineName, choose_engine
from tasks.training.job import Job, alone, plan_job
from tasks.training.steps import split_rows, train_network

LONGEST = 24 * 3600
HEAVY = ("tasks.training.fit", "tasks.export.export", "tasks.evaluation.judgement")


def preload() -> None:
    """Loads what the steps of a training load when they come to it: who is sure to train can do so while it waits."""
    for name in HEAVY:
        importlib.import_module(name)


@flow(name="train", flow_run_name=of_model_file, timeout_seconds=LONGEST)
def train(
    model_file: Path, fresh: bool = False, engine: EngineName = "local", workers: int = 1, address: str | None = None
) -> Trained:
    """Ingests, trains, exports, judges and registers a challenger.

    Args:
        model_file: The model file.
        fresh: Start anew instead of going on with an interrupted training.
        engine: `local` trains in this process, `ray` on workers that Ray starts.
        workers: With ray: how many processes share each batch. It shapes the weights, if slightly.
        address: With ray: a cluster that runs already, as HOST:PORT; without, one is started on this machine.
    """
    chosen = choose_engine(engine, workers, address)
    settings = read_trainable(model_file)
    data = ingest_data(settings, state_folder())
    job = with_start(plan_job(settings, data, state_folder(), chosen))
    with alone(job):
        return train_on(job, data, fresh)


def train_on(job: Job, data: Ingested, fresh: bool) -> Trained:
    """The steps from a snapshot to a registered challenger, shared by `train` and `retrain`, which hold the job."""
    origin = Origin.of(job)
    split = split_rows(job.model_file, data)
    run_id = open_training_run(job, data, origin, fresh)
    with finishing(run_id):
        fitted = train_network(job, split, run_id)
        exported = export_graph(job, split, run_id)
        profile_version(job, data, split, exported)
        metrics = evaluate_graph(job, data, split, fitted, exported)
        version = register_version(job, exported, metrics, origin, run_id)
    job.forget()
    return Trained(version.model, version.number, run_id, metrics, **rows_of(data))

"""From a model that was made elsewhere to a registered challenger."""

from pathlib import Path

from prefect import flow

from flows.environment import state_folder
from flows.results import ImportedVersion, imported_version
from flows.train import LONGEST
from tasks.data.steps import ingest_data, read_model_file
from tasks.evaluation.steps import evaluate_graph
from tasks.importing.confined import PATIENCE_SECONDS, Limits
from tasks.importing.job import plan_import
from tasks.importing.original import taken_in
from tasks.importing.steps import open_import_run, register_import, split_rows, wrap_graph
from tasks.monitoring.steps import profile_version
from tasks.registry.record import Origin
from tasks.registry.runs import finishing
from tasks.training.job import alone


@flow(name="import", flow_run_name="import {model}", timeout_seconds=LONGEST)
def import_model(
    model: Path, spec: Path, trust: bool = False, memory_gb: float | None = None, patience: float = PATIENCE_SECONDS
) -> ImportedVersion:
    """Checks a graph, wraps it so that it takes raw columns, judges it and registers it as challenger.

    Args:
        model: An ONNX file, or what a converter that is installed makes ONNX of.
        spec: The model file, whose section [graph] says how the graph is fed and read.
        trust: Let a pickle or a SavedModel be loaded, which runs code that is in it.
        memory_gb: What graph and converter may take, most of what is free if not given.
        patience: Seconds that they may take without a sign of progress.
    """
    limits = Limits(patience, memory_gb)
    settings = read_model_file(spec)
    with taken_in(model, settings, spec, trust, limits) as original:
        data = ingest_data(settings, state_folder())
        job = plan_import(settings, data, state_folder(), original)
        origin = Origin.of(job)
        with alone(job):
            split = split_rows(settings, data)
            run_id = open_import_run(job, data, origin)
            with finishing(run_id):
                imported = wrap_graph(job, original, split, run_id, limits)
                profile_version(job, data, split, imported)
                metrics = evaluate_graph(job, data, split, None, imported)
                version = register_import(job, imported, metrics, origin, run_id)
            job.forget()
    return imported_version(version, run_id, metrics, imported, data)

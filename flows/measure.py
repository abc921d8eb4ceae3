"""From a version to the cheapest way to run it on this machine."""

from prefect import flow

from flows.crashes import at_work, running, sweep_crashed
from flows.environment import state_folder
from flows.results import Measured, measured
from tasks.hardware.asked import USUAL, Asked, Options, ask
from tasks.hardware.steps import (
    keep_settings,
    made_ready,
    measure_points,
    measuring_alone,
    open_measuring_run,
    record_measurement,
    register_variant,
    version_to_measure,
)
from tasks.registry.history import whoami
from tasks.registry.runs import finishing


@flow(name="measure", flow_run_name="measure {model}", timeout_seconds=24 * 3600)
def measure(model: str, options: Options = USUAL, register: bool = False) -> Measured:
    """Measures a version over providers, precisions, threads and batch sizes, and keeps the best settings on it.

    Args:
        model: Name of a registered model (its champion), NAME@ALIAS, NAME/VERSION, a models:/ URI, or a model file.
        options: What is measured, and where the results go.
        register: Register the chosen graph as a new version and challenger, where it is not in float32.
    """
    return measure_as_asked(ask(model, options), register)


def measure_as_asked(asked: Asked, register: bool) -> Measured:
    """The steps of a measurement."""
    home = state_folder()
    sweep_crashed(home)
    with at_work(home), measuring_alone(asked.model, home, whoami()):
        version = version_to_measure(asked)
        with made_ready(version, home) as prepared:
            run_id = open_measuring_run(version, asked, home)
            with running(run_id, home), finishing(run_id):
                result = measure_points(prepared, version, asked)
                written = record_measurement(result, run_id, asked, home)
                kept = keep_settings(version, result, asked, run_id)
                variant = register_variant(prepared, version, result, run_id) if register else None
    return measured(version, run_id, result, written, kept, variant)

"""From a version to the cheapest way to run it on this machine."""

from collections.abc import Sequence
from pathlib import Path

from prefect import flow

from flows.crashes import at_work, running, sweep_crashed
from flows.environment import state_folder
from flows.results import Measured, measured
from tasks.hardware.asked import Asked, ask
from tasks.hardware.steps import (
    keep_settings,
    made_ready,
    measure_points,
    open_measuring_run,
    record_measurement,
    register_variant,
)
from tasks.registry.runs import finishing
from tasks.registry.steps import resolve_version


@flow(name="measure", flow_run_name="measure {model}", timeout_seconds=24 * 3600)
def measure(
    model: str,
    provider: Sequence[str] = (),
    provider_option: Sequence[str] = (),
    precision: Sequence[str] = (),
    batch_rows: Sequence[int] = (),
    threads: Sequence[int] = (),
    optimization: Sequence[str] = (),
    rounds: int = 3,
    seconds: float = 0.5,
    prices: Path | None = None,
    machine: str | None = None,
    output: Path | None = None,
    register: bool = False,
) -> Measured:
    """Measures a version over providers, precisions, threads and batch sizes, and keeps the best settings on it.

    Args:
        model: Name of a registered model (its champion), NAME@ALIAS, NAME/VERSION, a models:/ URI, or a model file.
        provider: Execution providers of ONNX Runtime, such as cuda; all that are present if not given.
        provider_option: KEY=VALUE for the one provider that is given.
        precision: float32, float16, int8-dynamic, int8-tensor, int8-channel; all if not given.
        batch_rows: Sizes of batches beside the usual one; 64 and 512 if not given.
        threads: Numbers of threads; one, half of the cores and all of them if not given.
        optimization: Levels of graph optimisation: none, basic, extended, all; the last three if not given.
        rounds: How often each point is measured, in turns.
        seconds: Of each round of a point for throughput, and as many again for latency.
        prices: A file of hourly prices and power; infra/prices.toml if not given.
        machine: The entry of that file which this machine is; its default if not given.
        output: Folder for hardware.html and the results as JSON; in the state folder if not given.
        register: Register the chosen graph as a new version and challenger, where it is not in float32.
    """
    asked = ask(
        model, provider, provider_option, precision, batch_rows, threads, optimization, rounds, seconds,
        prices, machine, output,
    )  # fmt: skip
    return measure_as_asked(asked, register)


def measure_as_asked(asked: Asked, register: bool) -> Measured:
    """The steps of a measurement."""
    home = state_folder()
    sweep_crashed(home)
    with at_work(home):
        version = resolve_version(asked.model)
        with made_ready(version, home) as prepared:
            run_id = open_measuring_run(version, asked, home)
            with running(run_id, home), finishing(run_id):
                result = measure_points(prepared, version, asked)
                written = record_measurement(result, run_id, asked, home)
                kept = keep_settings(version, result, asked, run_id)
                variant = register_variant(prepared, version, result, run_id) if register else None
    return measured(version, run_id, result, written, kept, variant)

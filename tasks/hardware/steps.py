"""Prefect tasks of this package."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.errors import RefusedError
from tasks.aside import HeldError, folder_aside, held
from tasks.evaluation.plots.style import to_png
from tasks.hardware import measure, variant
from tasks.hardware.asked import Asked
from tasks.hardware.machine import this_machine
from tasks.hardware.plots import figures
from tasks.hardware.precision import PRECISION_NAMES
from tasks.hardware.prepare import Prepared, prepare
from tasks.hardware.report import write_report
from tasks.hardware.results import Measured, Result, write_result
from tasks.hardware.variant import Kept
from tasks.policy import TRIED_AGAIN
from tasks.progress import progress
from tasks.registry import runs, versions
from tasks.registry.promotion import require_version
from tasks.registry.runs import RunTitle
from tasks.registry.versions import PARENT, Version

FOLDER = "hardware"


@dataclass(frozen=True)
class Written:
    """What a measurement has left on this machine."""

    report: Path
    result: Path


@task(name="resolve version to measure", cache_policy=NO_CACHE, **TRIED_AGAIN)
def version_to_measure(asked: Asked) -> Version:
    """The version that is meant; by its model file also where the champion is that in another precision."""
    version = versions.resolve(asked.model)
    if asked.limits is None or PARENT not in version.tags:
        return version
    return require_version(version.model, version.tags[PARENT])


@task(name="open measuring run", cache_policy=NO_CACHE, **TRIED_AGAIN)
def open_measuring_run(version: Version, asked: Asked, home: Path) -> str:
    """The run of the measurement, beneath that of the version's training."""
    if PARENT in version.tags:
        number, parent = version.number, version.tags[PARENT]
        instead = f"measure {version.model}/{parent}"
        raise RefusedError(f"{version.model}: version {number} is version {parent} in another precision; {instead}")
    title = RunTitle(version.model, f"measure v{version.number}", "measure", version.run_id or None)
    run_id = runs.start_run(title, home, {"version": version.number})
    grid = asked.grid
    told = {"providers": list(grid.providers), "precisions": list(grid.precisions), "rounds": grid.rounds}
    runs.log_params(run_id, told)
    return run_id


@contextmanager
def measuring_alone(model: str, home: Path, who: str) -> Iterator[None]:
    """Holds all measurements of this state folder: two at once would measure each other.

    Raises RefusedError that says who holds them when another process does.
    """
    try:
        with held(home / FOLDER / ".lock", f"{who}, who measures {model}"):
            yield
    except HeldError as other:
        told = f"another measurement is under way, held by {other}, and two would measure each other"
        raise RefusedError(f"{model}: {told}; start again when it is done") from None


@contextmanager
def made_ready(version: Version, home: Path) -> Iterator[Prepared]:
    """What is measured, in a folder that is gone after the block."""
    with versions.downloaded(version) as package, folder_aside(home / FOLDER, "bench") as folder:
        yield prepare(package, folder, home)


@task(name="measure", cache_policy=NO_CACHE)
def measure_points(prepared: Prepared, version: Version, asked: Asked) -> Result:
    """All points of the grid, and the one to deploy."""
    subject = measure.Subject(
        version.model, version.number, prepared.yardstick.contract.graph_sha256,
        asked.limits or prepared.model_file.hardware, asked.price, this_machine(asked.machine),
    )  # fmt: skip
    with progress("points", None) as advance:
        return measure.measure(prepared, subject, asked.grid, lambda done, total: advance(done, f"{done} of {total}"))


@task(name="record measurement", cache_policy=NO_CACHE, **TRIED_AGAIN)
def record_measurement(result: Result, run_id: str, asked: Asked, home: Path) -> Written:
    """A run for each point beneath the measurement's, with the report, figures and the machine's JSON file on that."""
    known = {tag: value for tag, value in vars(result.machine).items() if value}
    runs.set_tags(run_id, {f"machine.{name}": str(value) for name, value in known.items()})
    for point in result.points:
        _record_point(result, point, run_id, home)
    written = write_report([result], asked.output or home / FOLDER / result.model / f"v{result.version}")
    path = write_result(result, written.parent)
    with TemporaryDirectory() as scratch:
        for name, figure in figures([result]).items():
            to_png(figure, Path(scratch) / f"{name}.png")
        for file in (written, path):
            shutil.copy(file, scratch)
        runs.log_files(run_id, Path(scratch))
    best, refused = result.best, f"; refused: {result.refused}" if result.refused else ""
    if best:
        runs.log_metrics(run_id, _numbers(result, best))
    runs.note_run(run_id, f"{best.name if best else 'nothing chosen'}: {result.why}{refused}")
    name = f"{PRECISION_NAMES[best.precision]}, {best.rows_per_second:,.0f} rows/s" if best else "nothing in the limits"
    name = "refused by the test rows" if refused else name
    runs.rename_run(run_id, f"measured v{result.version} on {result.machine.name}: {name}")
    return Written(written, path)


def _record_point(result: Result, point: Measured, run_id: str, home: Path) -> None:
    child = runs.start_run(RunTitle(result.model, point.name, "point", run_id), home)
    with runs.finishing(child):
        runs.log_params(child, {"precision": point.precision, **point.execution})
        runs.log_metrics(child, _numbers(result, point))
        if point is result.best:
            runs.set_tags(child, {"chosen": result.refused or "true"})


def _numbers(result: Result, point: Measured) -> dict[str, float]:
    """The figures of a point by the names that they have in MLflow."""
    named: dict[str, Any] = dict(vars(point))
    for split, compared in ((result.choice.split, point.choice), (result.test.split, point.test)):
        named |= {f"{split}_{name}": value for name, value in vars(compared).items()}
        named[f"{split}_{result.metric}"] = named.pop(f"{split}_value")
    return {name: value for name, value in named.items() if isinstance(value, float)}


@task(name="keep settings", cache_policy=NO_CACHE, **TRIED_AGAIN)
def keep_settings(version: Version, result: Result, asked: Asked, run_id: str) -> Kept:
    """The best settings for the version's own graph, which it is scored and served with from here on.

    None where float32 was not asked for: its reference alone says nothing of the settings that the version has.
    """
    if "float32" not in asked.grid.precisions:
        return Kept(None, "float32 was not asked for")
    return variant.keep_best(version, result, run_id)


@task(name="register variant", cache_policy=NO_CACHE, **TRIED_AGAIN)
def register_variant(prepared: Prepared, version: Version, result: Result, run_id: str) -> Version | None:
    """The chosen graph as a version of its own.

    None where that of the version itself was chosen, or none, or one that the test rows refuse.
    """
    best = result.to_deploy
    if best is None or best.precision == "float32":
        return None
    with versions.downloaded(version) as package:
        graph = prepared.bench.graph(best.precision)
        model_file = prepared.model_file.model_copy(update={"hardware": result.limits})
        return variant.register_variant(version, package, graph, best, result.metric, model_file, run_id)

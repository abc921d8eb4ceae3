"""A graph in another precision as a version of its own, beside the one that it was made from."""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from models.contract import GRAPH_FILE, read_contract, write_contract
from models.errors import RefusedError
from models.modelfile import ModelFile
from tasks.hardware.choose import cheapest, refusal_of
from tasks.hardware.precision import PRECISION_NAMES
from tasks.hardware.results import Measured, Result
from tasks.registry.history import new_event, record
from tasks.registry.versions import (
    CODE_DIGEST,
    COMMIT,
    MODEL_FILE_DIGEST,
    PARENT,
    SNAPSHOT,
    Version,
    register,
    tag_version,
    untag_version,
)
from tasks.scoring.execution import EXECUTION, Execution, loading

ORIGIN = ("original.file", "original.sha256", "framework")
"""Tags of a version that was imported; where it was trained here there are none."""
KEPT = (SNAPSHOT, MODEL_FILE_DIGEST, CODE_DIGEST, COMMIT, *ORIGIN)
"""Tags of the parent that hold for the variant too: it was made from the same."""
PRECISION = "precision"


def register_variant(
    parent: Version, package: Path, graph: Path, point: Measured, metric: str, model_file: ModelFile, run_id: str
) -> Version:
    """The graph as a new version and challenger, with the parent's files beside it and a contract that names the graph.

    `package` holds the parent's files, and is changed. Raises RefusedError where the point was not compared.
    """
    found = point.test
    if found.difference is None or found.low is None or found.high is None:
        raise RefusedError(f"{parent.model}: {point.name} could not be compared with float32, and is not registered")
    if unsafe := loading(point.point.execution):
        raise RefusedError(
            f"{parent.model}: {point.name} was measured with {unsafe[0]}, which names a library or path that no "
            "version may carry, and is not registered"
        )
    content = graph.read_bytes()
    shutil.copyfile(graph, package / GRAPH_FILE)
    contract = read_contract(package).model_copy(update={"graph_sha256": hashlib.sha256(content).hexdigest()})
    write_contract(contract, package)
    compared = f"{metric} {found.difference:+.4f} (95 % interval {found.low:+.4f} to {found.high:+.4f})"
    origin = f"Version {parent.number} in {PRECISION_NAMES[point.precision]}"
    tags = {
        **{name: parent.tags[name] for name in KEPT if name in parent.tags},
        PARENT: parent.number,
        PRECISION: point.precision,
        EXECUTION: Execution.of(point.execution).to_json(),
    }
    version = register(package, model_file, run_id, tags, f"{origin}; on test rows, beside it: {compared}.")
    record(parent.model, new_event("registered", version.number, None, "measured", (f"{origin}: {compared}",), run_id))
    return version


@dataclass(frozen=True)
class Kept:
    """The settings that a measurement leaves on a version."""

    execution: Execution | None
    """None where the version stays as it was."""
    why: str = ""
    """Why it does."""


def keep_best(version: Version, result: Result, run_id: str) -> Kept:
    """The best settings of the version's own graph, with which it is scored and served from here on.

    Those are the chosen ones, unless these are of another graph. The history tells of it where they are others than
    before. The version stays as it was where none of them keeps within the limits, where the test rows refuse the best,
    and where that has an option that no tag may have, see `execution_of`.
    """
    own = [point for point in result.points if point.precision == "float32"]
    chosen, why = cheapest(own, result.rules)
    if chosen is None:
        return Kept(None, why)
    found = result.best if result.best in own else own[chosen]
    best, refused = found.point, refusal_of(found, own[0], result.rules)
    if refused:
        return Kept(None, f"on the test rows, of {best.name}, {refused}")
    if unsafe := loading(best.execution):
        return Kept(None, f"{best.name} has {unsafe[0]}, which names a library or path that no version may carry")
    before, now = version.tags.get(EXECUTION), best.execution.to_json()
    tag_version(version, {EXECUTION: now})
    if before != now:
        record(version.model, new_event("settings kept", version.number, None, best.name, (), run_id))
    return Kept(best.execution)


def forget_settings(version: Version) -> bool:
    """Whether the version had settings of its own; it has none any more."""
    if EXECUTION not in version.tags:
        return False
    untag_version(version, EXECUTION)
    record(version.model, new_event("settings gone", version.number, None, "by hand"))
    return True

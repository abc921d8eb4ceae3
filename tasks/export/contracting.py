"""The contract of a graph, whoever made it; torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.actions import action_problems
from models.classes import Classes
from models.columns import KINDS, ColumnSettings, Statistics
from models.contract import GRAPH_FILE, Contract, ContractColumn, SplitSpec, write_contract
from models.errors import InputError, OutsideError
from models.modelfile import ModelFile
from models.sections import Task
from tasks.export.exported import Digests


@dataclass(frozen=True)
class Decides:
    """How a graph decides."""

    classes: Classes
    threshold: float | None
    temperature: float | None = None


def contract_of(
    model_file: ModelFile,
    task: Task,
    split: SplitSpec,
    digests: Digests,
    statistics: Mapping[str, Statistics],
    decides: Decides,
    sha256: str,
) -> Contract:
    """The contract of a graph that takes the columns of which there are `statistics`.

    Raises InputError when an action does not fit the classes.
    """
    problems = list(action_problems(model_file.actions, decides.classes))
    if problems:
        raise InputError(*(f"{model_file.name}: {problem}" for problem in problems))
    return Contract(
        name=model_file.name,
        task=task,
        target=model_file.target.column,
        columns=tuple(
            ContractColumn(name=name, settings=settings, statistics=shown(settings, statistics[name]))
            for name, settings in model_file.columns.items()
            if name in statistics
        ),
        missing=model_file.data.missing,
        series=model_file.series,
        sensitive_columns=model_file.data.sensitive,
        classes=decides.classes,
        threshold=decides.threshold,
        temperature=decides.temperature,
        weight=model_file.training.weight,
        actions=model_file.actions,
        split=split,
        snapshot=digests.snapshot,
        model_file=digests.model_file,
        code=digests.code,
        graph_sha256=sha256,
    )


def write_graph(folder: Path, graph: bytes, contract: Contract) -> None:
    """Graph and contract in the folder. Raises OutsideError when the disk refuses."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / GRAPH_FILE).write_bytes(graph)
        write_contract(contract, folder)
    except OSError as error:
        raise OutsideError(f"{folder}: the graph could not be written: {error.strerror}") from None


def shown(settings: ColumnSettings, statistics: Statistics) -> Statistics:
    """The profile that everyone may read: counts alone where the column is sensitive."""
    if settings.sensitive:
        return Statistics(count=statistics.count, missing=statistics.missing)
    return KINDS[settings.kind].profiled(statistics)

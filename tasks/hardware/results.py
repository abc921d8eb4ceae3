"""What a measurement came to, as one JSON file per machine that others are laid beside."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import field_validator, model_validator

from models.errors import InputError, OutsideError
from models.sections import Hardware, Section
from models.versioned import read_versioned
from tasks.hardware.machine import Machine
from tasks.hardware.points import Point
from tasks.hardware.precision import Precision
from tasks.hardware.prices import Price
from tasks.scoring.execution import Execution

FORMAT_VERSION = 2
"""Results of format 1 were chosen on the test rows themselves."""
BUSY = 0.5
"""Processes waiting for each core above which a machine is too busy to be measured."""


ChoiceSplit = Literal["validation", "train", "test"]
"""Rows that points are chosen by; training rows where there are none to validate, test rows in format 1 alone."""


class Drawn(Section):
    """How many rows of a split were looked at."""

    split: ChoiceSplit
    rows: int
    of: int | None = None
    """That there are, of which those were drawn at random; None where it is not known, in older results."""

    @property
    def text(self) -> str:
        """In words."""
        some, split = self.of is not None and self.of > self.rows, self.split.replace("train", "training")
        return f"{self.rows:,} of {self.of:,} {split} rows, drawn at random" if some else f"{self.rows:,} {split} rows"


class Compared(Section):
    """The task's first metric on some rows, beside the version in float32 as it is scored by default."""

    value: float | None
    """None where the rows can't define it."""
    difference: float | None
    """To that version; positive is better."""
    low: float | None
    high: float | None
    """95 % interval of the difference, by a paired bootstrap; on test rows at least that of the rule of three."""
    same: bool = False
    """Whether all answers are the same to the tolerance of parity; not known in format 1."""


class Measured(Section):
    """One point."""

    precision: Precision
    execution: dict[str, Any]
    rows_per_second: float
    """The best call of all rounds: whatever else ran on the machine only made others slower."""
    latency_p50_ms: float
    latency_p95_ms: float
    latency_p99_ms: float
    """Of single rows of all rounds."""
    load_seconds: float
    """From the file to the first prediction, the libraries loaded; median of the rounds."""
    peak_mb: float
    """Millions of bytes that were resident at most, in any round."""
    size_mb: float
    """Of the graph."""
    choice: Compared
    """On the rows that points are chosen by."""
    test: Compared
    """On the test rows, which choose nothing."""
    beside: float
    """How far a row's prediction alone is from that among others, see `effect_of_others`."""
    cost: float | None
    """Of a million predictions; None where no price is known."""
    rates: tuple[float, ...] = ()
    """Rows a second of each round's best call; none in results of before they were kept."""

    @model_validator(mode="before")
    @classmethod
    def _from_format_1(cls, raw: Any) -> Any:
        """One comparison, on test rows, was what points were chosen by as well."""
        if not isinstance(raw, dict) or "value" not in raw:
            return raw
        told = {name: raw[name] for name in ("value", "difference", "low", "high") if name in raw}
        return {name: value for name, value in raw.items() if name not in told} | {"choice": told, "test": told}

    @field_validator("execution")
    @classmethod
    def _an_execution(cls, raw: dict[str, Any]) -> dict[str, Any]:
        return asdict(Execution.of(raw))

    @property
    def point(self) -> Point:
        """What was measured."""
        return Point(self.precision, Execution.of(self.execution))

    @property
    def name(self) -> str:
        """What was measured, in words, on this machine."""
        return self.point.name

    def name_on(self, machine: Machine) -> str:
        """What was measured, in words, on that machine."""
        return self.point.name_on(machine.cores)


@dataclass(frozen=True)
class Rules:
    """What a point has to keep to be chosen."""

    limits: Hardware
    metric: str
    provable: float = 0.0
    """See `Result.provable`."""


class PlacedNodes(Section):
    """Nodes of one operator that one provider ran."""

    provider: str
    operator: str
    nodes: int


class Placement(Section):
    """Where the nodes of one graph ran when a provider was asked for."""

    asked: str
    precision: Precision
    nodes: tuple[PlacedNodes, ...]

    @property
    def taken(self) -> int:
        """Nodes that the provider ran."""
        return sum(each.nodes for each in self.nodes if each.provider == self.asked)

    @property
    def fell_back(self) -> int:
        """Nodes that another one ran, which is the CPU."""
        return sum(each.nodes for each in self.nodes if each.provider != self.asked)


class NotMeasured(Section):
    """What was not measured."""

    what: str
    why: str


class Result(Section):
    """A measurement of one version on one machine."""

    format_version: int = FORMAT_VERSION
    model: str
    version: str
    graph_sha256: str
    snapshot: str
    metric: str
    choice: Drawn
    """Rows that points were chosen by."""
    test: Drawn
    """Rows by which is told what they lose."""
    provable: float = 0.0
    """The least loss that so many test rows can rule out of a point that answers otherwise."""
    limits: Hardware
    machine: Machine
    price: Price | None
    made: str
    """ISO 8601, UTC."""
    rounds: int
    seconds: float
    points: tuple[Measured, ...]
    """The reference first."""
    placements: tuple[Placement, ...]
    not_measured: tuple[NotMeasured, ...]
    chosen: int | None
    """Place of the chosen one among the points."""
    why: str
    """Why it was chosen, or why none was."""
    refused: str | None = None
    """What the test rows say against the chosen one; None where they bear it out."""

    @model_validator(mode="before")
    @classmethod
    def _from_format_1(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or "test_rows" not in raw:
            return raw
        drawn = {"split": "test", "rows": raw["test_rows"], "of": raw.get("sampled_from")}
        known = {name: value for name, value in raw.items() if name not in ("test_rows", "sampled_from")}
        return known | {"choice": drawn, "test": drawn}

    @property
    def was_busy(self) -> bool:
        """Whether so much else ran on the machine that speeds can't be trusted."""
        return self.machine.busy > BUSY

    @property
    def best(self) -> Measured | None:
        """The chosen point."""
        return None if self.chosen is None else self.points[self.chosen]

    @property
    def to_deploy(self) -> Measured | None:
        """The chosen point, unless the test rows refuse it."""
        return None if self.refused else self.best

    @property
    def rules(self) -> Rules:
        """What points were chosen by."""
        return Rules(self.limits, self.metric, self.provable)


def write_result(result: Result, folder: Path) -> Path:
    """The result as JSON in `folder`, named by its machine."""
    safe = re.sub(r"[^\w.-]", "_", result.machine.name)
    path = folder / f"{safe}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutsideError(f"{path}: can't be written: {error.strerror}") from None
    return path


def read_results(paths: Sequence[Path], model: str) -> list[Result]:
    """The results in the files, of one version of the model. Raises InputError that lists every problem."""
    problems: list[str] = []
    found: list[Result] = []
    for path in paths:
        try:
            found.append(_read(path, model))
        except InputError as error:
            problems += error.problems
    if not problems and len({each.graph_sha256 for each in found}) > 1:
        told = ", ".join(f"version {each.version} in {path}" for each, path in zip(found, paths, strict=True))
        problems.append(f"{model}: results of different versions can't be compared: {told}")
    currencies = sorted({each.price.currency for each in found if each.price})
    if len(currencies) > 1:
        problems.append(
            f"{model}: prices in {' and '.join(currencies)} can't be compared; measure with one --prices file"
        )
    if problems:
        raise InputError(*problems)
    return found


def _read(path: Path, model: str) -> Result:
    try:
        result = read_versioned(Result, path, FORMAT_VERSION, "result of a measurement")
    except OSError as error:
        raise InputError(f"{path}: can't be read: {error.strerror}; give a JSON file that `measure` wrote") from None
    if result.model != model:
        raise InputError(f"{path}: is of model {result.model!r}, not of {model!r}")
    if not result.points or (result.chosen is not None and not 0 <= result.chosen < len(result.points)):
        raise InputError(f"{path}: damaged result of a measurement: points are missing")
    return result

"""The contract: the JSON beside `model.onnx` that says what the graph takes and returns, and what it was made from."""

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, field_validator

from models.actions import Action
from models.columns import KINDS, ColumnSettings, Statistics
from models.errors import InputError
from models.sections import Section, Series, SplitName, Task
from models.versioned import read_versioned

FORMAT_VERSION = 3
CONTRACT_FILE = "contract.json"
GRAPH_FILE = "model.onnx"


class SplitSpec(Section):
    """How rows were assigned; enough to assign any later row the same way.

    `rule` hashes `columns` (hash), compares `columns[0]` with the cut-offs (time), or reads the split from it (column).
    """

    rule: Literal["hash", "time", "column"]
    columns: tuple[str, ...]
    validation: float
    test: float
    validation_from: float | None = None
    """First instant of the validation split, seconds since 1970 UTC."""
    test_from: float | None = None
    """First instant of the test split, seconds since 1970 UTC."""
    sources: dict[str, SplitName] = Field(default_factory=dict)
    """URIs of sources that are one split as a whole."""
    parsing: dict[str, str] = Field(default_factory=dict)
    """Digests of how each stored column is read that this or an earlier rule may need; another digest, other values."""


class ContractColumn(Section):
    """One raw column; the graph takes it under its own name."""

    name: str
    settings: SerializeAsAny[ColumnSettings]
    statistics: SerializeAsAny[Statistics]
    """The training profile; a sensitive column's holds counts alone."""

    @field_validator("settings", mode="before")
    @classmethod
    def _settings_of_kind(cls, given: Any) -> Any:
        return KINDS[given["kind"]].settings.model_validate(given) if isinstance(given, dict) else given

    @field_validator("statistics", mode="before")
    @classmethod
    def _statistics_of_kind(cls, given: Any, info: Any) -> Any:
        if not isinstance(given, dict):
            return given
        kept = KINDS[info.data["settings"].kind].profile
        return kept.model_validate(given) if set(kept.model_fields) <= set(given) else Statistics.model_validate(given)


class Contract(Section):
    """What a version promises; read by everything that judges, serves or scores it."""

    format_version: int = FORMAT_VERSION
    name: str
    task: Task
    target: str
    columns: tuple[ContractColumn, ...]
    missing: tuple[str, ...]
    series: Series | None = None
    """How rows become windows, where a column is a series."""
    sensitive_columns: tuple[str, ...] = ()
    """Columns besides features whose values must not be shown, such as a key."""
    classes: tuple[str | int | bool, ...] = ()
    """In the order of the probabilities; the second of a binary model is the positive one."""
    threshold: float | None = None
    """Binary: the positive class is the label from this probability on."""
    temperature: float | None = None
    weight: str | None = None
    actions: tuple[Action, ...] = ()
    """Where rows go whose predictions meet a condition; earlier formats have none."""
    split: SplitSpec
    snapshot: str
    model_file: str
    """Digest of the model file."""
    code: str
    """Digest of the code that made the graph."""
    graph_sha256: str

    @property
    def raw_columns(self) -> tuple[str, ...]:
        """Names of the columns that raw rows must have: the features, and what sorts rows into windows."""
        series = () if self.series is None else (self.series.group, self.series.time)
        return tuple(dict.fromkeys([*(column.name for column in self.columns), *filter(None, series)]))

    @property
    def sensitive(self) -> frozenset[str]:
        """Names of the columns whose values must not be shown."""
        features = (column.name for column in self.columns if column.settings.sensitive)
        return frozenset(features) | frozenset(self.sensitive_columns)


def write_contract(contract: Contract, folder: Path) -> Path:
    """The contract as JSON in `folder`."""
    path = folder / CONTRACT_FILE
    path.write_text(json.dumps(contract.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_contract(folder: Path) -> Contract:
    """The contract in `folder`. Raises InputError when it is missing, damaged, or of a later format."""
    path = folder / CONTRACT_FILE
    try:
        return read_versioned(Contract, path, FORMAT_VERSION, "contract")
    except FileNotFoundError:
        raise InputError(f"{path}: no contract beside the graph; this is not a version that perennial made") from None


def output_names(columns: Iterable[str], classified: bool) -> tuple[str, ...]:
    """Names of the graph's outputs: label, probabilities and class index, or value.

    Each is suffixed with "_" until no column has it.
    """
    taken = set(columns)
    return tuple(
        free_name(name, taken) for name in (("label", "probabilities", "class_index") if classified else ("value",))
    )


def free_name(name: str, taken: Collection[str]) -> str:
    """The name, with "_" behind it until nothing else is called so."""
    while name in taken:
        name += "_"
    return name

"""The model file: one TOML file that says what goes in, what comes out and what "good enough" means."""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import (
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from models.actions import Action
from models.behaviour import Behaviour, behaviour_problems, large_slices
from models.columns import KINDS, ColumnSettings
from models.columns.kind import LargeSettings
from models.columnsettings import settings_by_kind
from models.consistency import cross_problems, section_of
from models.errors import InputError
from models.graphsection import Graph, graph_problems
from models.problems import describe, near_match, shortened
from models.sections import (
    SHARES,
    Data,
    Evaluation,
    Gate,
    Hardware,
    Monitor,
    Network,
    Notify,
    Promotion,
    Schedule,
    Section,
    Series,
    Source,
    Split,
    Target,
    Training,
    block_name,
)
from models.windowing import with_windows_shared

# fmt: off
METRICS: dict[str, tuple[str, ...]] = {
    "binary": (
        "average_precision", "roc_auc", "f1", "precision", "recall", "accuracy", "balanced_accuracy", "log_loss",
        "brier", "calibration_error",
    ),
    "multiclass": (
        "accuracy", "top_3_accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro",
        "roc_auc_macro", "log_loss", "brier", "calibration_error",
    ),
    "regression": ("rmse", "mae", "r2"),
}
# fmt: on
LATENCY, SIZE = "latency_p99_ms", "size_mb"
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error", "rmse", "mae", LATENCY, SIZE})
FEWEST_CLASSES = {"top_3_accuracy": 7}
"""Of metrics that say nothing where there are fewer classes."""
BUDGETS = (LATENCY, SIZE)
"""Gates on the artefact itself rather than on its predictions."""
UNDER = "_under_"
"""Between metric and shift in the name of a gate, as in accuracy_under_blur."""
GATES = tuple(dict.fromkeys([*(name for names in METRICS.values() for name in names), *BUDGETS]))


class ModelFile(Section):
    """A whole model file; every key has a default that works, except name, sources and target."""

    name: str = Field(pattern=r"^\w[\w-]{0,99}$")
    sources: tuple[Source, ...] = Field(min_length=1)
    target: Target
    columns: dict[str, SerializeAsAny[ColumnSettings]] = Field(min_length=1)
    data: Data = Data()
    series: Series | None = Field(None, description="how rows become windows; needed by series columns alone")
    split: Split = Split()
    network: Network = Network()
    training: Training = Training()
    graph: Graph | None = Field(None, description="of a model that was made elsewhere: how its graph is fed and read")
    gates: dict[str, Gate] = Field(default_factory=dict)
    behaviour: tuple[Behaviour, ...] = ()
    promotion: Promotion = Promotion()
    hardware: Hardware = Hardware()
    evaluation: Evaluation = Evaluation()
    actions: tuple[Action, ...] = ()
    schedule: Schedule = Schedule()
    monitor: Monitor = Monitor()
    notify: Notify = Notify()
    secrets: dict[str, str] = Field(
        default_factory=dict, description="Secret blocks of the Prefect server, by the variable of deployed runs"
    )
    own_code: dict[str, str] = Field(
        default_factory=dict, description="found when the file is read: SHA-256 of the Python files that it names"
    )

    @model_validator(mode="before")
    @classmethod
    def _share_windows(cls, raw: Any) -> Any:
        return with_windows_shared(raw) if isinstance(raw, dict) else raw

    @field_validator("columns", mode="before")
    @classmethod
    def _parse_columns(cls, columns: Any, info: ValidationInfo) -> Any:
        return settings_by_kind(columns) if isinstance(columns, Mapping) else columns

    @field_validator("secrets")
    @classmethod
    def _variables_and_blocks(cls, secrets: dict[str, str]) -> dict[str, str]:
        for variable, block in secrets.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable):
                raise ValueError(f"{variable!r} names no variable: give letters, digits and '_'")
            block_name(block)
        return secrets

    @property
    def sensitive(self) -> frozenset[str]:
        """Names of the columns whose values must not be shown."""
        features = (name for name, settings in self.columns.items() if settings.sensitive)
        return frozenset(features) | frozenset(self.data.sensitive)

    def digest(self) -> str:
        """SHA-256 of what the file means: comments, order of keys and spelled-out defaults don't change it.

        Neither does when a model retrains or is monitored, who is told, where secrets are, or what it may cost to run:
        that is not what it becomes. Actions count, since a version carries its own, and so do the limits of drift.
        """
        left_out: dict[str, Any] = dict.fromkeys(("schedule", "notify", "secrets", "hardware"), True)
        # A file without the section means what it meant before there was one.
        left_out |= {"monitor": {"input", "retrain"}, "graph": {"recorded"} if self.graph else True}
        meaning = self.model_dump(mode="json", exclude=left_out)
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def read_model_file(path: Path) -> ModelFile:
    """The model file at `path`, with source URIs made absolute. Raises InputError that lists every problem."""
    raw = _read_toml(path)
    problems = _problems(raw)
    if "own_code" in raw:
        problems.append("own_code: unknown key; remove it")
    if problems:
        raise InputError(*(f"{path}: {problem}" for problem in problems))
    parsed = ModelFile.model_validate(raw)
    actions = tuple(action.placed(path.parent) for action in parsed.actions)
    sources = tuple(source.model_copy(update={"uri": _absolute(source.uri, path.parent)}) for source in parsed.sources)
    watched = tuple(_absolute(uri, path.parent) for uri in parsed.monitor.input)
    monitor = parsed.monitor.model_copy(update={"input": watched})
    placed: dict[str, Any] = {"sources": sources, "actions": actions, "monitor": monitor}
    if parsed.graph and parsed.graph.recorded:
        recorded = _absolute(parsed.graph.recorded, path.parent)
        placed["graph"] = parsed.graph.model_copy(update={"recorded": recorded})
    return with_own_code(parsed.model_copy(update=placed), path)


def with_own_code(model_file: ModelFile, path: Path) -> ModelFile:
    """The model file with the Python files that it names made absolute, and their digests.

    Raises InputError for each that is not there.
    """
    network, folder = model_file.network, path.parent.resolve()
    columns = {n: s for n, s in model_file.columns.items() if isinstance(s, LargeSettings) and s.encoder}
    named = {"network.file": network.file} | {f"columns.{name!r}.encoder": s.encoder for name, s in columns.items()}
    files = {key: folder / file for key, file in named.items() if file}
    absent = [f"{path}: {key}: {file} is no file" for key, file in files.items() if not file.is_file()]
    if absent:
        raise InputError(*absent)
    placed = {n: s.model_copy(update={"encoder": str(folder / str(s.encoder))}) for n, s in columns.items()}
    return model_file.model_copy(
        update={
            "network": network.model_copy(update={"file": str(folder / network.file)}) if network.file else network,
            "columns": {**model_file.columns, **placed},
            "own_code": {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files.values()},
        }
    )


def read_trainable(path: Path) -> ModelFile:
    """As `read_model_file`. Raises InputError for a model that was made elsewhere too: nothing here could train it."""
    model_file = read_model_file(path)
    if model_file.graph:
        again = f"train it there again, and `perennial import MODEL --spec {path}`"
        raise InputError(f"{path}: a model with [graph] is trained elsewhere; {again}")
    return model_file


def read_model_files(paths: Sequence[Path]) -> list[ModelFile]:
    """Several model files; raises InputError with the problems of all, two files of one name included."""
    parsed: list[ModelFile] = []
    problems: list[str] = []
    for path in paths:
        try:
            parsed.append(read_model_file(path))
        except InputError as error:
            problems.extend(error.problems)
    problems += name_conflicts(paths).values()
    if problems:
        raise InputError(*problems)
    return parsed


def name_conflicts(paths: Sequence[Path]) -> dict[Path, str]:
    """A line for each model file whose name an earlier one has; files that can't be read are passed over."""
    first: dict[str, Path] = {}
    conflicts: dict[Path, str] = {}
    for path in paths:
        try:
            name = _read_toml(path).get("name")
        except InputError:
            continue
        if isinstance(name, str) and first.setdefault(name, path) != path:
            conflicts[path] = f"{path}: the name {name!r} is taken by {first[name]}; rename one of the two"
    return conflicts


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such model file; `perennial new {path} --data DATA --target COLUMN` writes one"
        ) from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder, not a model file") from None
    except PermissionError:
        raise InputError(f"{path}: not allowed to read it") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({error.reason} at byte {error.start})") from None
    except RecursionError:
        raise InputError(f"{path}: tables or lists are nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not valid TOML: {error}") from None


def _problems(raw: dict[str, Any]) -> list[str]:
    found = [*_shape_problems(raw), *cross_problems(raw, SHARES), *_gate_problems(raw), *behaviour_problems(raw)]
    found += graph_problems(raw)
    return list(dict.fromkeys(map(shortened, found)))


def _shape_problems(raw: dict[str, Any]) -> list[str]:
    try:
        ModelFile.model_validate(raw)
    except ValidationError as error:
        return describe(error, ModelFile)
    return []


def _gate_problems(raw: dict[str, Any]) -> Iterator[str]:
    gates, kind = section_of(raw, "gates"), section_of(raw, "target").get("kind")
    yield from gate_problems(gates, kind if isinstance(kind, str) else None)
    yield from _budget_problems(gates)
    yield from _shift_problems(gates, section_of(raw, "columns"))
    yield from large_slices(raw)


def gate_problems(gates: Iterable[str], task: str | None) -> Iterator[str]:
    """A line for each gate that the task, or where it is not known yet any task, does not have."""
    known = [*METRICS[task], *BUDGETS] if task in METRICS else list(GATES)
    whose = f" for a {task} target" if task in METRICS else ""
    for gate in gates:
        metric = gate.partition(UNDER)[0] if UNDER in gate else gate
        if metric not in known or (UNDER in gate and metric in BUDGETS):
            yield f"gates.{gate}: no such gate{whose}{near_match(metric, known)}"


def _budget_problems(gates: Mapping[str, Any]) -> Iterator[str]:
    for name in (name for name in gates if has_limits_only(name) and isinstance(gates[name], dict)):
        for key in ("beats_champion", "slices", "margin"):
            if key in gates[name]:
                yield f"gates.{name}.{key}: this gate takes min and max only; remove it"
        if not {"min", "max"} & set(gates[name]):
            yield f"gates.{name}: asks nothing; give min or max"


def has_limits_only(gate: str) -> bool:
    """Whether the gate is on the artefact itself or on shifted rows, which the champion is not asked for."""
    return gate in BUDGETS or UNDER in gate


def _shift_problems(gates: Iterable[str], columns: Mapping[str, Any]) -> Iterator[str]:
    kinds = [given.get("kind") if isinstance(given, dict) else given for given in columns.values()]
    known = sorted({shift for kind in kinds if isinstance(kind, str) and kind in KINDS for shift in KINDS[kind].shifts})
    for gate in (gate for gate in gates if UNDER in gate):
        shift = gate.partition(UNDER)[2]
        if shift not in known:
            yield f"gates.{gate}: no column can be put under {shift!r}{near_match(shift, known)}"


def _absolute(uri: str, folder: Path) -> str:
    return uri if "://" in uri else str((folder / uri).resolve()) if not _has_glob(uri) else str(folder.resolve() / uri)


def _has_glob(uri: str) -> bool:
    return any(mark in uri for mark in "*?[")

"""The model file: one TOML file that says what goes in, what comes out and what "good enough" means."""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from models.columns import ColumnSettings
from models.columns.cells import canonical_word
from models.columnsettings import settings_by_kind
from models.consistency import cross_problems, section_of
from models.errors import InputError
from models.moments import checked_cron, checked_zone
from models.problems import describe, near_match, shortened

Task = Literal["binary", "multiclass", "regression"]
SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
DEFAULT_MISSING = ("?", "NA", "N/A", "NaN", "nan", "null", "NULL")

# fmt: off
METRICS: dict[str, tuple[str, ...]] = {
    "binary": (
        "average_precision", "roc_auc", "f1", "precision", "recall", "accuracy", "balanced_accuracy", "log_loss",
        "brier", "calibration_error",
    ),
    "multiclass": (
        "accuracy", "balanced_accuracy", "f1_macro", "precision_macro", "recall_macro", "roc_auc_macro", "log_loss",
        "brier", "calibration_error",
    ),
    "regression": ("rmse", "mae", "r2"),
}
# fmt: on
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "calibration_error", "rmse", "mae", "latency_p99_ms"})
BUDGETS = ("latency_p99_ms",)
"""Gates on the artefact itself rather than on its predictions."""
GATES = tuple(dict.fromkeys([*(name for names in METRICS.values() for name in names), *BUDGETS]))


LONGEST_PATH = 4096
LARGEST_SEED = 2**31 - 1
MOST_DAYS = 3_652_500
"""Ten thousand years: all dates that can be read."""


class Section(BaseModel):
    """A part of the model file: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Source(Section):
    """Where rows come from."""

    uri: str = Field(max_length=LONGEST_PATH, description="file, folder or glob; relative to the model file")
    split: SplitName | None = Field(None, description="the split that all rows of this source belong to")

    @field_validator("uri")
    @classmethod
    def _a_place(cls, uri: str) -> str:
        if not uri.strip() or "\0" in uri:
            raise ValueError("give a file, folder or glob")
        return uri


class Cost(Section):
    """What a wrong decision costs; only the ratio matters."""

    false_alarm: float = Field(1.0, gt=0)
    miss: float = Field(1.0, gt=0)


class Target(Section):
    """The column to predict."""

    column: str
    kind: Task | None = Field(None, description="decided by the column's type if not given")
    positive: str | None = Field(None, description="the class a binary model looks for; the rarer one if not given")
    cost: Cost | None = Field(None, description="binary only: sets the decision threshold")

    @field_validator("positive", mode="before")
    @classmethod
    def _as_text(cls, positive: Any) -> Any:
        return canonical_word(positive) if isinstance(positive, bool | int | float | str) else positive


class Data(Section):
    """How raw cells are read, and how many rows may be bad."""

    missing: tuple[str, ...] = Field(
        DEFAULT_MISSING, description="texts that stand for a missing value, besides nothing"
    )
    max_rejects: float = Field(0.05, ge=0, le=1, description="share of rejected rows above which ingestion stops")
    sensitive: tuple[str, ...] = Field(
        (), description="columns besides features whose values are hashed in rejects, such as a key"
    )
    last_days: float | None = Field(
        None,
        gt=0,
        le=MOST_DAYS,
        description="keep rows of the last days, counted back from the newest; needs split.time",
    )
    last_rows: int | None = Field(None, ge=1, description="keep the newest rows; needs split.time")


class Split(Section):
    """How rows are assigned to train, validation and test. At most one of key, group, time and column is the rule."""

    key: tuple[str, ...] = Field((), description="column or columns that name a row; hashed")
    group: str | None = Field(None, description="rows with one value stay together; hashed")
    time: str | None = Field(None, description="datetime column: the newest rows test")
    column: str | None = Field(None, description="column that holds train, validation or test")
    newest_by: str | None = Field(None, description="of rows with one key, keep the one that is newest by this column")
    validation: float = Field(0.15, gt=0, lt=1)
    test: float = Field(0.2, gt=0, lt=1)

    @field_validator("key", mode="before")
    @classmethod
    def _one_or_many(cls, key: Any) -> Any:
        return (key,) if isinstance(key, str) else key


SHARES = {name: Split.model_fields[name].default for name in ("validation", "test")}
"""Shares of the rows where the model file gives none."""


class Network(Section):
    """The size of the default network."""

    width: int = Field(128, ge=1, description="units of a hidden layer")
    depth: int = Field(2, ge=1, description="hidden layers")
    dropout: float = Field(0.1, ge=0, lt=1)
    members: int = Field(
        16, ge=1, description="predictions that share one trunk and are averaged (TabM, Gorishniy et al. 2024)"
    )
    embedding: int = Field(12, ge=1, description="width of the embedding of one number")


class Training(Section):
    """The training loop."""

    epochs: int = Field(100, ge=1, description="at most; early stopping ends sooner")
    patience: int = Field(9, ge=1, description="epochs without a better validation loss before stopping")
    batch_size: int = Field(256, ge=1)
    learning_rate: float = Field(0.002, gt=0)
    weight_decay: float = Field(0.0003, ge=0)
    clip: float = Field(1.0, gt=0, description="largest gradient norm")
    balance: bool = Field(False, description="weigh classes equally in the loss; probabilities are corrected for it")
    weight: str | None = Field(None, description="column of sample weights")
    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    memory_gb: float = Field(4.0, gt=0, description="larger training data is memory-mapped from disk")


class Gate(Section):
    """What one metric must reach before a version is promoted."""

    min: float | None = None
    max: float | None = None
    beats_champion: bool = Field(False, description="the interval of the difference to the champion must lie above 0")
    margin: float | None = Field(0.01, ge=0, description="how much worse than the champion is still accepted")
    slices: tuple[str, ...] = Field((), description="columns on whose values the metric must not get worse either")

    @model_validator(mode="after")
    def _ordered(self) -> "Gate":
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


class Promotion(Section):
    """How sure the judgement has to be."""

    min_rows: int = Field(100, ge=1, description="unseen rows below which the verdict is undecided")
    resamples: int = Field(1000, ge=100, description="bootstrap resamples of the difference to the champion")


class Evaluation(Section):
    """What the report looks at besides the whole test split."""

    slices: tuple[str, ...] = Field((), description="columns to slice by; chosen from the data if not given")
    resamples: int = Field(300, ge=50, description="bootstrap resamples of each interval")


class Schedule(Section):
    """When the deployed model retrains."""

    retrain: str | None = Field(None, description="cron expression of five fields, such as '0 3 * * *'")
    timezone: str = Field("UTC", description="IANA name, such as Europe/Berlin")

    @field_validator("retrain")
    @classmethod
    def _known_cron(cls, cron: str | None) -> str | None:
        return cron if cron is None else checked_cron(cron)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        return checked_zone(name)


class ModelFile(Section):
    """A whole model file; every key has a default that works, except name, sources and target."""

    name: str = Field(pattern=r"^\w[\w-]{0,99}$")
    sources: tuple[Source, ...] = Field(min_length=1)
    target: Target
    columns: dict[str, SerializeAsAny[ColumnSettings]] = Field(min_length=1)
    data: Data = Data()
    split: Split = Split()
    network: Network = Network()
    training: Training = Training()
    gates: dict[str, Gate] = Field(default_factory=dict)
    promotion: Promotion = Promotion()
    evaluation: Evaluation = Evaluation()
    schedule: Schedule = Schedule()

    @field_validator("columns", mode="before")
    @classmethod
    def _parse_columns(cls, columns: Any, info: ValidationInfo) -> Any:
        return settings_by_kind(columns) if isinstance(columns, Mapping) else columns

    @property
    def sensitive(self) -> frozenset[str]:
        """Names of the columns whose values must not be shown."""
        features = (name for name, settings in self.columns.items() if settings.sensitive)
        return frozenset(features) | frozenset(self.data.sensitive)

    def digest(self) -> str:
        """SHA-256 of what the file means: comments, order of keys and spelled-out defaults don't change it.

        Neither does the schedule: when a model retrains is not what it becomes.
        """
        meaning = self.model_dump(mode="json", exclude={"schedule"})
        return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def read_model_file(path: Path) -> ModelFile:
    """The model file at `path`, with source URIs made absolute. Raises InputError that lists every problem."""
    raw = _read_toml(path)
    problems = _problems(raw)
    if problems:
        raise InputError(*(f"{path}: {problem}" for problem in problems))
    parsed = ModelFile.model_validate(raw)
    sources = tuple(source.model_copy(update={"uri": _absolute(source.uri, path.parent)}) for source in parsed.sources)
    return parsed.model_copy(update={"sources": sources})


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
    found = [*_shape_problems(raw), *cross_problems(raw, SHARES), *_gate_problems(raw)]
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


def gate_problems(gates: Iterable[str], task: str | None) -> Iterator[str]:
    """A line for each gate that the task, or where it is not known yet any task, does not have."""
    known = [*METRICS[task], *BUDGETS] if task in METRICS else list(GATES)
    whose = f" for a {task} target" if task in METRICS else ""
    for gate in gates:
        if gate not in known:
            yield f"gates.{gate}: no such gate{whose}{near_match(gate, known)}"


def _budget_problems(gates: Mapping[str, Any]) -> Iterator[str]:
    for name in (name for name in BUDGETS if isinstance(gates.get(name), dict)):
        for key in ("beats_champion", "slices"):
            if gates[name].get(key):
                yield f"gates.{name}.{key}: a budget takes min and max only; remove it"


def _absolute(uri: str, folder: Path) -> str:
    return uri if "://" in uri else str((folder / uri).resolve()) if not _has_glob(uri) else str(folder.resolve() / uri)


def _has_glob(uri: str) -> bool:
    return any(mark in uri for mark in "*?[")

"""The sections of a model file, each with defaults that work."""

import re
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models.columns.cells import MARKS, canonical_word
from models.moments import checked_cron, checked_zone

Task = Literal["binary", "multiclass", "regression"]
SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)
DEFAULT_MISSING = MARKS

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
        DEFAULT_MISSING,
        description="texts that stand for a missing value, besides nothing; ? alone is a text, unless given here",
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


class Series(Section):
    """How rows become windows, for columns of the kind series; every row with enough rows before it ends one."""

    group: str | None = Field(None, description="column of the machine, engine or sensor; no window holds two of them")
    time: str | None = Field(
        None, description="number or date by which the rows of a group are sorted; else as they lie"
    )
    time_format: str | None = Field(
        None,
        description="how time is read, unless as ISO dates or numbers: a strptime pattern, unix, unix_ms or unix_us",
    )
    window: int = Field(30, ge=2, le=100_000, description="rows of a window")
    stride: int = Field(1, ge=1, description="training only: rows from one window's end to the next")
    max_gap: float | None = Field(
        None, gt=0, description="largest step of time within a window: seconds between dates, else in its own unit"
    )
    target: Literal["end", "max", "mean"] = Field("end", description="of the window's rows, whose target is learnt")


class Network(Section):
    """The size of the default network."""

    width: int = Field(128, ge=1, description="units of a hidden layer")
    depth: int = Field(2, ge=1, description="hidden layers")
    dropout: float = Field(0.1, ge=0, lt=1)
    members: int = Field(
        16, ge=1, description="predictions that share one trunk and are averaged (TabM, Gorishniy et al. 2024)"
    )
    embedding: int = Field(12, ge=1, description="width of the embedding of one number")
    file: str | None = Field(
        None,
        min_length=1,
        description="Python file beside the model file, whose class Trunk replaces the hidden layers",
    )


class Training(Section):
    """The training loop."""

    epochs: int = Field(100, ge=1, description="at most; early stopping ends sooner")
    patience: int = Field(9, ge=1, description="epochs without a better validation loss before stopping")
    batch_size: int | None = Field(
        None,
        ge=1,
        description="rows of a step; if not given 256, fewer where rows are pictures, sound or texts",
    )
    learning_rate: float = Field(0.002, gt=0)
    weight_decay: float = Field(0.0003, ge=0)
    clip: float = Field(1.0, gt=0, description="largest gradient norm")
    balance: bool = Field(False, description="weigh classes equally in the loss; probabilities are corrected for it")
    weight: str | None = Field(None, description="column of sample weights")
    seed: int = Field(0, ge=0, le=LARGEST_SEED)
    warm_start: bool = Field(False, description="begin with what fits of the champion's weights")
    memory_gb: float = Field(
        4.0,
        gt=0,
        description="half for train, half for validation: larger ones are mapped from disk, but for texts",
    )


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
    approval: bool = Field(False, description="a person has to approve what the gates let through")


class Hardware(Section):
    """What a cheaper way to run a version may cost in accuracy, time and memory."""

    max_accuracy_loss: float = Field(
        0.01,
        ge=0,
        lt=1,
        description="how much worse than float32 the task's first metric may be; of a regression a share of the error",
    )
    max_latency_p99_ms: float | None = Field(None, gt=0, description="of one row")
    max_memory_mb: float | None = Field(None, gt=0, description="of a process that loads the version and scores")


class Evaluation(Section):
    """What the report looks at besides the whole test split."""

    slices: tuple[str, ...] = Field((), description="columns to slice by; chosen from the data if not given")
    resamples: int = Field(300, ge=50, description="bootstrap resamples of each interval")


class Schedule(Section):
    """When the deployed model retrains, and when its input is looked at for drift."""

    retrain: str | None = Field(None, description="cron expression of five fields, such as '0 3 * * *'")
    monitor: str | None = Field(None, description="the same; needs monitor.input")
    timezone: str = Field("UTC", description="IANA name, such as Europe/Berlin")
    min_new_rows: int = Field(
        0, ge=0, description="a retraining is skipped while fewer rows have come since the newest version"
    )

    @field_validator("retrain", "monitor")
    @classmethod
    def _known_cron(cls, cron: str | None) -> str | None:
        return cron if cron is None else checked_cron(cron)

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        return checked_zone(name)


Topic = Literal["failure", "refusal", "promotion", "drift"]


class Notify(Section):
    """Who is told of what, by blocks of the Prefect server, which keep addresses and secrets."""

    webhook: str | None = Field(None, description="name of a Webhook block, which is sent JSON")
    slack: str | None = Field(None, description="name of a Slack Webhook block, which is sent a sentence")
    on: tuple[Topic, ...] = Field(get_args(Topic), description="failure, refusal, promotion, drift")

    @field_validator("webhook", "slack")
    @classmethod
    def _block_name(cls, name: str | None) -> str | None:
        return None if name is None else block_name(name)


def block_name(name: str) -> str:
    """The name, if Prefect takes it for a block. Raises ValueError."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", name):
        raise ValueError(f"{name!r} names no block: Prefect takes lower-case letters, digits and '-'")
    return name


MOST_WINDOWS = 20
"""Windows of a version that stay on record for the rule of `Monitor`."""


class Monitor(Section):
    """What counts as drift: a change that is large enough, and too large for chance; and what follows from it."""

    psi: float = Field(0.1, gt=0, description="population stability index from which on a distribution has shifted")
    share: float = Field(
        0.02, gt=0, le=1, description="change of a share from which on it counts: missing, unseen, rejected rows"
    )
    significance: float = Field(
        0.001, gt=0, lt=1, description="chance of calling anything of a window drift where nothing has changed"
    )
    windows: int = Field(
        5, ge=1, le=MOST_WINDOWS, description="the last windows of a version that are looked at together"
    )
    breaches: int = Field(2, ge=1, description="of them that have drifted, the newest included, emit an event")
    retrain: bool = Field(True, description="whether that event starts a retraining, where the file is deployed")
    input: tuple[str, ...] = Field((), description="files, folders or globs that a deployment monitors, each file once")

    @field_validator("input", mode="before")
    @classmethod
    def _one_or_more(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    @field_validator("input")
    @classmethod
    def _files(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for uri in given:
            if not uri.strip() or "\0" in uri:
                raise ValueError("give files, folders or globs")
            if uri.startswith(("postgresql:", "postgres:", "sqlite:")):
                raise ValueError(f"{uri.partition(':')[0]} is no file; monitor tables by `perennial monitor`")
        return given

    @model_validator(mode="after")
    def _reachable(self) -> "Monitor":
        if self.breaches > self.windows:
            raise ValueError(f"{self.breaches} breaches never happen in {self.windows} windows")
        return self

"""What there is to keep or to let go, as small records; all times are seconds since 1970."""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

DAY = 86_400.0
Kind: TypeAlias = Literal["version", "model", "outbox", "run", "snapshot", "parts", "training", "left-over"]


@dataclass(frozen=True)
class Rule:
    """How long what nobody needs is kept."""

    older_than: float = 30
    """Days."""
    keep_versions: int = 5
    """Newest versions of each model that stay although they have no alias."""
    named: frozenset[str] = frozenset()
    """Models that were named; nothing of others goes then. Empty for all."""


@dataclass(frozen=True)
class VersionRecord:
    """A registered version."""

    model: str
    number: int
    at: float
    aliased: bool = False
    """Has an alias, or is about to get one, or waits for somebody to approve that."""
    run_id: str = ""
    model_id: str = ""
    """Of the logged model that holds its files."""
    snapshot: str | None = None
    """None where it can't be told."""
    ours: bool = True
    """Perennial registered it."""


@dataclass(frozen=True)
class ModelRecord:
    """A logged model: the files of a version, or of one that is gone or was never registered."""

    model: str
    model_id: str
    at: float
    run_id: str = ""


@dataclass(frozen=True)
class RunRecord:
    """A run in MLflow."""

    model: str
    run_id: str
    at: float
    job: str = "train"
    """train, import, promote, score or monitor."""
    status: str = "FINISHED"
    parent: str = ""
    versions: frozenset[tuple[str, int]] = frozenset()
    """Model and number of those that it judged or scored with."""
    snapshot: str | None = None
    deleted: bool = False
    """MLflow shows it no more, but has it still."""


@dataclass(frozen=True)
class SnapshotRecord:
    """A manifest."""

    model: str
    digest: str
    at: float
    """When an ingestion last came to it."""
    parts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class PartRecord:
    """Rows that manifests share."""

    model: str
    sha256: str
    at: float
    """When an ingestion last came to it."""


@dataclass(frozen=True)
class TrainingRecord:
    """The folder of a training that has not come to its version."""

    model: str
    name: str
    at: float
    """When it was last written to."""
    run_id: str = ""
    held: bool = False
    """A process trains there now."""


@dataclass(frozen=True)
class OutboxRecord:
    """Letters of a scoring run."""

    run_id: str
    at: float
    open: bool
    """Some have not arrived."""


@dataclass(frozen=True)
class LeftRecord:
    """A hidden file or folder of a process."""

    model: str
    """Empty where it belongs to none."""
    path: str
    at: float
    owned: bool = False
    """Its process is there."""
    condemned: bool = False
    """A retention was about to remove it."""


@dataclass(frozen=True)
class Inventory:
    """Everything there is."""

    versions: tuple[VersionRecord, ...] = ()
    models: tuple[ModelRecord, ...] = ()
    runs: tuple[RunRecord, ...] = ()
    snapshots: tuple[SnapshotRecord, ...] = ()
    parts: tuple[PartRecord, ...] = ()
    trainings: tuple[TrainingRecord, ...] = ()
    outboxes: tuple[OutboxRecord, ...] = ()
    left: tuple[LeftRecord, ...] = ()
    unreadable: frozenset[str] = field(default_factory=frozenset)
    """Models of which a manifest can't be read."""


@dataclass(frozen=True)
class Item:
    """Something that goes."""

    kind: Kind
    model: str
    """Empty where it belongs to none."""
    name: str
    at: float
    why: str
    members: tuple[str, ...] = ()
    """What is removed, by the names that its kind has for it."""

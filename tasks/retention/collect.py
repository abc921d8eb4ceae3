"""Looking at everything, and letting go of what nobody needs: what can't be removed is told, and the rest goes on."""

import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from models.errors import InputError, PerennialError
from tasks.aside import HeldError
from tasks.data.manifest import PARTS
from tasks.data.snapshot import REJECTS
from tasks.registry.removal import remove_model, remove_run, remove_version, stored_bytes
from tasks.registry.retained import Recorded
from tasks.retention import files
from tasks.retention.files import GONE, Folders, size
from tasks.retention.plan import plan
from tasks.retention.records import DAY, Inventory, Item, Kind, Rule

ON_SERVER = (
    "on an MLflow server, runs and versions are marked as deleted; `mlflow gc` there removes them and their files"
)
Lock = Callable[[str], AbstractContextManager[None]]
"""Keeps everybody else from promoting a model."""


@dataclass(frozen=True)
class Gone:
    """Something that goes, or went."""

    kind: Kind
    model: str
    name: str
    age_days: float
    bytes: int
    why: str


@dataclass(frozen=True)
class Collected:
    """What a retention found, or did."""

    applied: bool
    items: tuple[Gone, ...]
    bytes: int
    problems: tuple[str, ...]
    """What can't be looked at or removed, a line each."""
    notes: tuple[str, ...] = ()
    """What else is to be done."""


def find_forgotten(rule: Rule, home: Path) -> Collected:
    """What would go; changes nothing. Raises InputError for names of models that are not there."""
    collector = Collector(home)
    there, problems = collector.survey(collector.require(rule.named))
    gone = [collector.measured(item) for item in plan(there, rule, time.time())]
    return collector.collected(False, gone, problems)


def let_go(rule: Rule, home: Path, promoting: Lock) -> Collected:
    """Removes what nobody needs, model by model, each while nobody promotes or ingests it.

    Raises InputError for names of models that are not there.
    """
    collector = Collector(home)
    names, problems, gone = collector.require(rule.named), list[str](), list[Gone]()
    for model in names:
        with _telling(problems), collector.alone(model, promoting):
            # Looked at once more: since the lock is held nothing of the model becomes needed.
            gone += collector.remove_all(rule, model, problems)
    if not rule.named:
        gone += collector.remove_all(rule, "", problems)
    return collector.collected(True, gone, problems)


@contextmanager
def _telling(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except HeldError as error:
        problems.append(str(error))
    except PerennialError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"{error.filename}: {error.strerror}")


class Collector:
    """MLflow's store and the state folder together."""

    def __init__(self, home: Path) -> None:
        self._folders, self._recorded = Folders(home), Recorded()

    def require(self, named: frozenset[str]) -> list[str]:
        """Names of the models to look at: all that are there, where none are named. Raises InputError for others."""
        there = {*self._recorded.registered(), *self._folders.models, *(run.model for run in self._recorded.runs())}
        problems = [f"{name}: no such model{_near(name, there)}" for name in sorted(named - there)]
        if problems:
            raise InputError(*problems)
        return sorted(named or there)

    def survey(self, models: Sequence[str]) -> tuple[Inventory, list[str]]:
        """Everything there is of the models, and what is wrong with what can't be read; of others, only their runs."""
        read = {model: files.snapshots_of(self._folders, model) for model in models}
        there = Inventory(
            versions=tuple(v for model in models for v in self._recorded.versions(model)),
            models=tuple(self._recorded.models()),
            runs=tuple(self._recorded.runs()),
            snapshots=tuple(snapshot for found, _ in read.values() for snapshot in found),
            parts=tuple(part for model in models for part in files.parts_of(self._folders, model)),
            trainings=tuple(each for model in models for each in files.trainings_of(self._folders, model)),
            outboxes=tuple(files.outboxes_in(self._folders)),
            left=tuple(files.left_in(self._folders, models)),
            unreadable=frozenset(model for model, (_, problems) in read.items() if problems),
        )
        return there, [problem for _, problems in read.values() for problem in problems]

    def collected(self, applied: bool, gone: Sequence[Gone], problems: Sequence[str]) -> Collected:
        """The sum of it."""
        on_server = self._recorded.database is None and any(item.kind in ("version", "model", "run") for item in gone)
        notes = (ON_SERVER,) if on_server else ()
        return Collected(applied, tuple(gone), sum(item.bytes for item in gone), tuple(dict.fromkeys(problems)), notes)

    @contextmanager
    def alone(self, model: str, promoting: Lock) -> Iterator[None]:
        """Nobody promotes the model, rolls it back or ingests its data during the block."""
        try:
            with self._folders.without_ingestion(model):
                if model in self._recorded.registered():
                    with promoting(model):
                        yield
                else:
                    yield
        except HeldError:
            raise HeldError(f"{model}: its data are being ingested now; nothing of it was removed") from None

    def remove_all(self, rule: Rule, model: str, problems: list[str]) -> list[Gone]:
        """What went of the model; what could not go is added to the problems."""
        there, unread = self.survey([model] if model else [])
        problems += unread
        gone = []
        for item in plan(there, rule, time.time()):
            if item.model == model:
                with _telling(problems):
                    measured = self.measured(item)
                    self._remove(item)
                    gone.append(measured)
        return gone

    def measured(self, item: Item) -> Gone:
        """The item with its size."""
        age = max(time.time() - item.at, 0) / DAY
        return Gone(item.kind, item.model, item.name, round(age, 2), self._bytes(item), item.why)

    def _bytes(self, item: Item) -> int:
        if item.kind == "run":
            return stored_bytes(self._recorded, run_id=item.name)
        if item.kind in ("version", "model"):
            return sum(stored_bytes(self._recorded, model_id=model_id) for model_id in item.members)
        return sum(map(size, self._paths(item)))

    def _remove(self, item: Item) -> None:
        if item.kind == "version":
            remove_version(self._recorded, item.model, item.name, item.why)
        if item.kind in ("version", "model"):
            for model_id in item.members:
                remove_model(self._recorded, model_id)
        elif item.kind == "run":
            remove_run(self._recorded, item.name)
        elif item.kind == "training":
            with self._untrained(item):
                self._remove_files(item)
        else:
            self._remove_files(item)

    @contextmanager
    def _untrained(self, item: Item) -> Iterator[None]:
        try:
            with self._folders.without_training(item.model, item.name):
                yield
        except HeldError:
            raise HeldError(f"{item.model}: training {item.name} goes on now, and stays") from None

    def _remove_files(self, item: Item) -> None:
        for path in self._paths(item):
            if path.is_dir():
                # Out of sight first, so that a kill leaves no half of it.
                gone = path.with_name(f".{GONE}.{socket.gethostname()}.{os.getpid()}.{path.name.lstrip('.')}")
                path.rename(gone)
                shutil.rmtree(gone)
            else:
                path.unlink(missing_ok=True)

    def _paths(self, item: Item) -> list[Path]:
        folder = self._folders.snapshots(item.model)
        if item.kind == "snapshot":
            return [folder / f"{item.name}.json", folder / REJECTS / f"{item.name}.parquet"]
        if item.kind == "parts":
            return [folder / PARTS / f"{part}.parquet" for part in item.members]
        if item.kind == "training":
            return [self._folders.trainings(item.model) / item.name]
        if item.kind == "outbox":
            return [self._folders.outbox(item.name)]
        return [Path(path) for path in item.members]


def _near(name: str, there: set[str]) -> str:
    found = get_close_matches(name, there, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""

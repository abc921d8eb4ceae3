"""What MLflow holds that may be let go: versions, logged models and runs, as records of `tasks.retention`."""

import json
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TypeVar

import mlflow
from mlflow.entities import LoggedModel, Run, ViewType
from mlflow.entities.model_registry import RegisteredModel
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.store.entities import PagedList
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from models.errors import PerennialError
from tasks.registry.approval import awaits_approval
from tasks.registry.connection import connect, plain_errors
from tasks.registry.promotion import MOVING
from tasks.registry.runs import ALSO
from tasks.registry.versions import SNAPSHOT, Version, contract_of, list_versions
from tasks.retention.records import ModelRecord, RunRecord, VersionRecord

OURS = "tags.`mlflow.source.name` = 'perennial'"
PAGE = 1000
T = TypeVar("T")


class Recorded:
    """The tracking store that the environment names."""

    def __init__(self) -> None:
        self.client = connect()

    @cached_property
    def database(self) -> SqlAlchemyStore | None:
        """The store where it is a database, from which rows can be removed; None behind a server."""
        uri = mlflow.get_tracking_uri()
        is_database = uri.partition(":")[0].partition("+")[0] in DATABASE_ENGINES
        return SqlAlchemyStore(uri, "unused") if is_database else None  # type: ignore[no-untyped-call]

    @cached_property
    def experiments(self) -> dict[str, str]:
        """Names by id."""
        found = _pages(lambda token: self.client.search_experiments(max_results=PAGE, page_token=token))
        return {str(each.experiment_id): each.name for each in found}

    def registered(self) -> list[str]:
        """Names of registered models."""
        with plain_errors("listing models"):
            found = _pages(lambda token: self.client.search_registered_models(max_results=PAGE, page_token=token))
            return sorted(model.name for model in found)

    def versions(self, model: str) -> list[VersionRecord]:
        """All versions of the model; none where it is not registered."""
        found = list_versions(model)
        if not found:
            return []
        with plain_errors(f"looking up {model!r}"):
            moving = _moving(self.client.get_registered_model(model))
        return [_version(version, moving) for version in found]

    def models(self) -> list[ModelRecord]:
        """Logged models that perennial made, also those marked as deleted where a database tells of them."""
        with plain_errors("listing logged models"):
            ids = list(self.experiments)
            found = _pages(lambda token: self.client.search_logged_models(ids, max_results=PAGE, page_token=token))
            deleted = [self.logged(model_id) for model_id in self._deleted_models()]
            return [
                ModelRecord(model.name, model.model_id, model.creation_timestamp / 1000, model.source_run_id or "")
                for model in (*found, *deleted)
                if model.name == self.experiments.get(str(model.experiment_id)) and model.model_type == "onnx"
            ]

    def logged(self, model_id: str) -> LoggedModel:
        """The logged model, even if it is marked as deleted where a database has it."""
        if self.database:
            return self.database.get_logged_model(model_id, allow_deleted=True)
        return self.client.get_logged_model(model_id)

    def _deleted_models(self) -> list[str]:
        found: list[str] = self.database._get_deleted_logged_models() if self.database else []  # type: ignore[no-untyped-call]
        return found

    def runs(self) -> list[RunRecord]:
        """Runs that perennial made, also those marked as deleted where they can be removed for good."""
        view = ViewType.ALL if self.database else ViewType.ACTIVE_ONLY
        ids = list(self.experiments)
        with plain_errors("listing runs"):
            found = _pages(lambda token: self.client.search_runs(ids, OURS, view, PAGE, page_token=token))
        return [_run(run) for run in found if "model" in run.data.tags]


def _pages(search: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    token: str | None = None
    while True:
        page = search(token)
        yield from page
        token = page.token
        if not token:
            return


def _version(version: Version, moving: set[str]) -> VersionRecord:
    return VersionRecord(
        model=version.model,
        number=int(version.number),
        at=version.made,
        aliased=bool(version.aliases) or version.number in moving or awaits_approval(version),
        run_id=version.run_id,
        model_id=version.model_id or "",
        snapshot=_snapshot_of(version),
        ours=version.sha256 is not None,
    )


def _moving(registered: RegisteredModel) -> set[str]:
    """Numbers of the versions that a move of the champion, begun and perhaps killed, gives an alias to."""
    noted = json.loads(registered.tags.get(MOVING, "{}"))
    return {str(noted[end]) for end in ("champion", "previous", "rolled_back") if noted.get(end)}


def _snapshot_of(version: Version) -> str | None:
    """None where neither a tag nor the contract tells."""
    if SNAPSHOT in version.tags or version.sha256 is None:
        return version.tags.get(SNAPSHOT)
    try:
        return contract_of(version).snapshot
    except PerennialError:
        return None


def _run(run: Run) -> RunRecord:
    tags, info = run.data.tags, run.info
    model, scored = tags["model"], tags.get(ALSO, "").rpartition("/")
    pairs = [(model, tags.get("version", "")), (scored[0], scored[2])]
    return RunRecord(
        model=model,
        run_id=info.run_id,
        at=max(info.start_time, info.end_time or 0) / 1000,
        job=tags.get("job", ""),
        status=info.status,
        parent=tags.get(MLFLOW_PARENT_RUN_ID, ""),
        versions=frozenset((name, int(number)) for name, number in pairs if number.isdecimal()),
        snapshot=tags.get(SNAPSHOT),
        deleted=info.lifecycle_stage == "deleted",
    )

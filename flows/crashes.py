"""Runs whose process was killed: noticed at the next start, and marked in Prefect and MLflow."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from prefect import get_client
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.runtime import flow_run
from prefect.states import Crashed

from models.errors import OutsideError
from tasks.aside import HeldError, held
from tasks.registry.runs import mark_crashed, resume_run

PATIENCE_SECONDS = 60.0
WHY = "its process ended without a word, as a killed one does"


@contextmanager
def begun(home: Path) -> Iterator[None]:
    """Tells later commands that this flow run is at work, from before it has a run of MLflow."""
    folder, flow_run_id = home / "running", str(flow_run.id)
    with held(folder / f"{flow_run_id}.lock", flow_run_id), _noted(folder / f"{flow_run_id}.json", None):
        yield


@contextmanager
def running(run_id: str, home: Path) -> Iterator[None]:
    """Tells later commands that the MLflow run and this flow run are at work, as long as this process lives."""
    folder = home / "running"
    note = folder / f"{run_id}.json"
    with ExitStack() as stack:
        if _hold(stack, folder / f"{run_id}.lock", run_id):
            # Whoever had it may have marked the run as crashed after it was resumed.
            resume_run(run_id)
        stack.enter_context(_noted(note, run_id))
        yield


@contextmanager
def _noted(note: Path, run_id: str | None) -> Iterator[None]:
    aside = note.with_suffix(".partial")
    aside.write_text(json.dumps({"run_id": run_id, "flow_run_id": flow_run.id}), encoding="utf-8")
    aside.replace(note)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def _hold(stack: ExitStack, lock: Path, run_id: str) -> bool:
    """Whether another process, which marks what a killed one has left, had to be waited for.

    Raises OutsideError when that takes too long.
    """
    waited, until = False, time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            stack.enter_context(held(lock, run_id))
        except HeldError as other:
            if time.monotonic() > until:
                raise OutsideError(f"{lock}: held by process {other} for too long; give the command again") from None
            waited = True
            time.sleep(0.05)
        else:
            return waited


def sweep_crashed(home: Path) -> None:
    """Marks what is noted as running and whose process is gone; what can't be told now is told at a later start."""
    for note in sorted((home / "running").glob("*.json")):
        with suppress(HeldError, OutsideError, PrefectException), held(note.with_suffix(".lock"), str(os.getpid())):
            told = _read(note)
            if told is not None:
                if told.run_id:
                    mark_crashed(told.run_id, WHY)
                _mark_flow_run(told.flow_run_id)
            note.unlink(missing_ok=True)


def _read(note: Path) -> "_Told | None":
    """None where the run has ended meanwhile, or nothing can be read of what a killed process or a full disk left."""
    try:
        told = json.loads(note.read_text(encoding="utf-8"))
        return _Told(told["run_id"] and str(told["run_id"]), UUID(told["flow_run_id"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None


@dataclass(frozen=True)
class _Told:
    run_id: str | None
    """None while there is none yet."""
    flow_run_id: UUID


def _mark_flow_run(flow_run_id: UUID) -> None:
    """Where this server knows it, and unless it has come to an end."""
    with get_client(sync_client=True) as client, suppress(ObjectNotFound):
        run = client.read_flow_run(flow_run_id)
        if run.state is None or not run.state.is_final():
            client.set_flow_run_state(run.id, Crashed(message=WHY), force=True)

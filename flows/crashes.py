"""Runs whose process was killed: noticed at the next start, and marked in Prefect and MLflow."""

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
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
def at_work(home: Path) -> Iterator[None]:
    """Tells later commands that this flow run is at work, as long as this process lives."""
    flow_run_id = str(flow_run.id)
    note = home / "running" / f"{flow_run_id}.json"
    with held(note.with_suffix(".lock"), flow_run_id), _noted(note, {"flow_run_id": flow_run_id}):
        yield


@contextmanager
def running(run_id: str, home: Path) -> Iterator[None]:
    """Tells later commands that the MLflow run is at work, as long as this process lives."""
    note = home / "running" / f"{run_id}.json"
    with ExitStack() as stack:
        if _hold(stack, note.with_suffix(".lock"), run_id):
            # Whoever had it may have marked the run as crashed after it was resumed.
            resume_run(run_id)
        stack.enter_context(_noted(note, {"run_id": run_id}))
        yield


@contextmanager
def _noted(note: Path, content: Mapping[str, str]) -> Iterator[None]:
    aside = note.with_suffix(".partial")
    aside.write_text(json.dumps(content), encoding="utf-8")
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
            if "run_id" in told:
                mark_crashed(told["run_id"], WHY)
            if "flow_run_id" in told:
                _mark_flow_run(UUID(told["flow_run_id"]))
            note.unlink(missing_ok=True)


def _read(note: Path) -> Mapping[str, str]:
    """Nothing where the run has ended meanwhile, or where a killed process or a full disk left nothing to read."""
    try:
        told = json.loads(note.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _mark_flow_run(flow_run_id: UUID) -> None:
    """Where this server knows it, and unless it has come to an end."""
    with get_client(sync_client=True) as client, suppress(ObjectNotFound):
        run = client.read_flow_run(flow_run_id)
        if run.state is None or not run.state.is_final():
            client.set_flow_run_state(run.id, Crashed(message=WHY), force=True)

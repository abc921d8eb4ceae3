"""What is made once for all processes of a test session: whoever needs it first makes it, the others wait and copy."""

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` has filled. Tests must not change it."""
    base = factory.getbasetemp()
    # xdist gives each of its processes a folder in the one of the session.
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "once" / name
    folder.parent.mkdir(exist_ok=True)
    done = folder.with_suffix(".done")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@dataclass(frozen=True)
class Databases:
    """Empty databases of Prefect and MLflow: making their tables takes seconds each time."""

    folder: Path

    @property
    def prefect(self) -> Path:
        """Prefect's."""
        return self.folder / "prefect" / "prefect.db"

    def give(self, home: Path) -> Path:
        """The state folder, in which no process has to make them any more."""
        (home / "prefect").mkdir(parents=True, exist_ok=True)
        for path in ("prefect/prefect.db", "mlflow.db"):
            if not (home / path).exists():
                shutil.copyfile(self.folder / path, home / path)
        return home


def make_databases(home: Path) -> None:
    """Both, as they are after the first start of a server and a first look at MLflow."""
    from mlflow import MlflowClient

    prefect = home / "prefect"
    prefect.mkdir()
    words = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    environment = os.environ | {"PREFECT_HOME": str(prefect)}
    subprocess.run(words, env=environment, check=True, stdout=subprocess.DEVNULL)
    MlflowClient(f"sqlite:///{home}/mlflow.db")
    for path in ("prefect/prefect.db", "mlflow.db"):
        # What lies in a log beside the file is left behind when it is copied.
        with sqlite3.connect(home / path) as opened:
            opened.execute("PRAGMA wal_checkpoint(TRUNCATE)")

"""Ray for as long as a block runs: a small one of our own on this machine, or a cluster that is there already."""

import hashlib
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from models.cores import usable_cores
from models.errors import InputError, OutsideError
from tasks.aside import remove_left

OBJECT_STORE_BYTES = 200_000_000
"""Shared memory of our own Ray: tables and tensors go by path, so that only small messages lie there."""
LONGEST_FOLDER = 10
"""Characters of the folder that Ray's own is made in: a Unix socket's path has 107, Ray takes 64 and our name 33."""
ANSWER_SECONDS = 10
PASSED_ON = (
    "PERENNIAL_HOME", "OMP_WAIT_POLICY", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "ORT_DISABLE_TELEMETRY",
    "RAY_USAGE_STATS_ENABLED",
)  # fmt: skip
"""Settings of this process that processes on other machines get too."""


def require_ray() -> None:
    """Raises InputError where Ray, an optional extra, is not installed."""
    if find_spec("ray") is None:
        raise InputError("--engine ray needs Ray: pip install -r requirements-ray.lock")


@contextmanager
def connected(address: str | None, workers: int) -> Iterator[None]:
    """Ray answers in the block, with room for `workers` processes where it is our own.

    Without an address a Ray is started on this machine, which ends with the block, or with this process however that
    ends. A cluster at an address, or one that this process uses already, is left as it is. Raises InputError where Ray
    is not installed, OutsideError when nothing answers.
    """
    require_ray()
    import ray

    if ray.is_initialized():
        yield
        return
    with _folder() as folder:
        handler = signal.getsignal(signal.SIGTERM)
        try:
            _connect(address, workers, folder)
            # Ray sets a handler of its own; what a flow does when it is cancelled must stay.
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, handler)
            yield
        finally:
            ray.shutdown()


def _connect(address: str | None, workers: int, folder: Path) -> None:
    import ray

    own: dict[str, Any] = {
        "num_cpus": max(workers, usable_cores()),
        "object_store_memory": OBJECT_STORE_BYTES,
        "include_dashboard": False,
        "_temp_dir": str(folder),
    }
    # Processes of our own Ray inherit the settings; those of a cluster were started by others.
    settings = {"env_vars": {name: os.environ[name] for name in PASSED_ON if name in os.environ}}
    more = {"runtime_env": settings} if address else own
    if address:
        _require_answer(address)
    # Else Ray prints about workers that died to standard output, whatever `log_to_driver` says.
    ray._private.worker._worker_logs_enabled = False
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=logging.CRITICAL, **more)
    except (OSError, RuntimeError, ValueError, TimeoutError) as error:
        where = f"Ray at {address} can't be used" if address else "Ray did not start on this machine"
        raise OutsideError(f"{where}: {' '.join(str(error).split())[:300]}") from None


def _require_answer(address: str) -> None:
    """Passes when something listens at HOST:PORT: Ray itself would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except (OSError, ValueError) as error:
        raise OutsideError(f"Ray at {address} can't be reached ({error}); give HOST:PORT of its head") from None


@contextmanager
def _folder() -> Iterator[Path]:
    """A new folder for Ray's sockets and logs, gone afterwards; not in the state folder, whose path may be too long.

    Those whose process on this machine was killed are removed first.
    """
    given = tempfile.gettempdir()
    parent = Path(given if len(given) < LONGEST_FOLDER else "/tmp")
    # Names of machines may be long.
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
    prefix = f"perennial-ray-{host}."
    remove_left(parent, prefix)
    folder = parent / f"{prefix}{os.getpid()}.{secrets.token_hex(2)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cores_each(workers: int) -> int:
    """Cores that each of so many processes can have while all run, each on one machine of the connected cluster.

    Raises InputError when there are too few.
    """
    import ray

    machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    for cores in range(max(machines), 0, -1):
        if sum(machine // cores for machine in machines) >= workers:
            return cores
    raise InputError(f"--workers {workers}: the Ray cluster has {sum(machines)} cores; give fewer workers")


def has_gpus(workers: int) -> bool:
    """Whether each of so many processes can have a GPU of the connected cluster."""
    import ray

    return bool(ray.cluster_resources().get("GPU", 0) >= workers)

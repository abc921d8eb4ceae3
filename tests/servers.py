"""Servers that tests start for themselves, on free ports of 127.0.0.1: PostgreSQL, and a store that speaks S3."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Address = Callable[[str], str]
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URI of an empty database of a PostgreSQL server."""
    programs = _postgres_programs()
    # It refuses to run as root. The temporary folders of pytest are closed to other users.
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="perennial-postgres-"))
    if user:
        shutil.chown(folder, user, user)

    def run(program: str, *words: str) -> None:
        line = [programs / program, "-D", folder / "data", *words]
        done = subprocess.run(line, cwd=folder, user=user, group=user, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    port = _free_port()
    run("initdb", "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    run("pg_ctl", "start", "-w", "-l", str(folder / "log.txt"), "-o", f"-h 127.0.0.1 -p {port} -k '' -F")
    yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    run("pg_ctl", "stop", "-m", "immediate")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def s3() -> Iterator[Address]:
    """A function that gives the URI of a path in an empty bucket; the keys are in the environment."""
    from moto.server import ThreadedMotoServer
    from pyarrow import fs

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        fs.S3FileSystem(endpoint_override=f"{host}:{port}", scheme="http", allow_bucket_creation=True).create_dir(
            "tests"
        )
        yield lambda path: f"s3://tests/{path}?endpoint_override={host}:{port}&scheme=http"
    server.stop()


def _postgres_programs() -> Path:
    """The folder of the newest PostgreSQL's programs, which Debian keeps off the path; skips where there is none."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    complete = [folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()]
    if not complete:
        pytest.skip("needs PostgreSQL, such as Debian's package postgresql")
    return complete[0]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

"""Servers that tests start for themselves, on free ports of 127.0.0.1: PostgreSQL, and a store that speaks S3."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

USER = "postgres"
Address = Callable[[str], str]
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class PostgresServer:
    """A PostgreSQL server of its own, in a temporary folder."""

    binaries: Path
    folder: Path
    port: int

    @property
    def uri(self) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        settings = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off"
        self._control("-w", "-l", str(self.folder / "log"), "-o", settings, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._control("-m", mode, "stop")

    def psql(self, sql: str) -> str:
        """What psql prints, an independent view of the tables."""
        return self.run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-d", USER, "-XAtc", sql)

    def run(self, program: str, *words: str) -> str:
        done = subprocess.run(
            [self.binaries / program, *words], check=True, capture_output=True, text=True, **_as_somebody()
        )
        return done.stdout.strip()

    def _control(self, *words: str) -> None:
        # Its output would be held open by the server.
        subprocess.run(
            [self.binaries / "pg_ctl", "-D", self.folder / "data", *words],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **_as_somebody(),
        )  # fmt: skip


def _as_somebody() -> dict[str, str]:
    """PostgreSQL refuses to run as root."""
    return {"user": USER, "cwd": "/"} if os.geteuid() == 0 else {"cwd": "/"}


def _binaries() -> Path | None:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else next(iter(installed), None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Skips where PostgreSQL is not installed, or nobody but root could run it."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL's initdb is neither on the PATH nor in /usr/lib/postgresql")
    if os.geteuid() == 0 and USER not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip(f"PostgreSQL refuses to run as root, and there is no user {USER}")
    folder = Path(tempfile.mkdtemp(prefix="perennial-postgres-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, USER)
        server = PostgresServer(binaries, folder, _free_port())
        server.run("initdb", "-D", str(folder / "data"), "-U", USER, "-A", "trust", "--no-sync")
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(postgres_server: PostgresServer) -> str:
    """The URI of the server's database."""
    return postgres_server.uri


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

"""A PostgreSQL server of its own, and the least that copying rows out of and into it takes."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

USER = "postgres"


@dataclass(frozen=True)
class Server:
    """Runs in a folder, and listens on a port of this machine."""

    binaries: Path
    folder: Path
    port: int

    @property
    def uri(self) -> str:
        """Of its database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{USER}"

    def psql(self, *commands: str) -> float:
        """Seconds that psql takes for the commands."""
        words = [word for command in commands for word in ("-c", command)]
        started = time.perf_counter()
        self.run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-Xq", *words)
        return time.perf_counter() - started

    def run(self, program: str, *words: str) -> None:
        """Runs one of its programs, as a user that PostgreSQL takes."""
        subprocess.run(
            [self.binaries / program, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd="/", user=USER if os.geteuid() == 0 else None,
        )  # fmt: skip


@contextmanager
def postgres_server() -> Iterator[Server]:
    """A server with PostgreSQL's own settings, but for its port. Raises FileNotFoundError where it is not installed."""
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="perennial-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, USER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = Server(binaries, folder, probe.getsockname()[1])
    data, settings = str(folder / "data"), f"-p {server.port} -k {folder} -c listen_addresses=127.0.0.1"
    try:
        server.run("initdb", "-D", data, "-U", USER, "-A", "trust")
        server.run("pg_ctl", "-D", data, "-w", "-l", str(folder / "log"), "-o", settings, "start")
        yield server
        server.run("pg_ctl", "-D", data, "-m", "fast", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not installed:
        raise FileNotFoundError("PostgreSQL's initdb is neither on the PATH nor in /usr/lib/postgresql")
    return installed[-1]


def copy_out(server: Server, source: str) -> float:
    """Seconds of COPY of a table's rows to nowhere."""
    return server.psql(f"\\copy (SELECT * FROM {source}) TO '/dev/null' WITH (FORMAT binary)")


def copy_in(server: Server, scored: str) -> float:
    """Seconds of COPY of as many rows as a finished output holds into a table like it."""
    path = server.folder / "rows"
    server.psql(f"\\copy (SELECT * FROM {scored}) TO '{path}' WITH (FORMAT binary)")
    server.psql(f"DROP TABLE IF EXISTS copied; CREATE TABLE copied (LIKE {scored})")
    seconds = server.psql(f"\\copy copied FROM '{path}' WITH (FORMAT binary)")
    path.unlink()
    return seconds

"""A PostgreSQL server of its own."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

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

    def table(self, name: str) -> str:
        """The URI of a table."""
        return f"{self.uri}#{name}"

    def start(self) -> None:
        """With PostgreSQL's own settings, but for its port; returns when it answers."""
        settings = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        self._control("-w", "-l", str(self.folder / "log"), "-o", settings, "start")

    def stop(self) -> None:
        """Ends all sessions and returns when it has stopped."""
        self._control("-m", "fast", "stop")

    def psql(self, *commands: str) -> None:
        """Each in a transaction of its own."""
        words = [word for command in commands for word in ("-c", command)]
        self.run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", USER, "-Xq", *words)

    def fill(self, name: str, rows: Path, key: str) -> None:
        """A table of the rows of a Parquet file, with a primary key."""
        from adbc_driver_postgresql.dbapi import connect

        with connect(self.uri) as session, session.cursor() as cursor:
            cursor.adbc_ingest(name, pq.read_table(rows), mode="create")
            session.commit()
        self.psql(f"ALTER TABLE {name} ADD PRIMARY KEY ({key})", f"VACUUM ANALYZE {name}")

    def run(self, program: str, *words: str) -> None:
        """Runs one of its programs, as a user that PostgreSQL takes."""
        subprocess.run(
            [self.binaries / program, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            cwd="/", user=USER if os.geteuid() == 0 else None,
        )  # fmt: skip

    def _control(self, *words: str) -> None:
        self.run("pg_ctl", "-D", str(self.folder / "data"), *words)


class Looks:
    """A session that looks at tables from outside of any run, and comes back when the server does."""

    def __init__(self, server: Server) -> None:
        from adbc_driver_postgresql import dbapi

        self.server, self._api = server, dbapi
        self._session: dbapi.Connection | None = None

    def table(self, sql: str) -> pa.Table:
        """The result of a query."""
        try:
            return self._ask(sql)
        except self._api.Error:
            self.close()
            return self._ask(sql)

    def column(self, sql: str) -> Sequence[object]:
        """The only column of a result."""
        found: Sequence[object] = self.table(sql).column(0).to_pylist()
        return found

    def exists(self, name: str) -> bool:
        """Whether there is such a table."""
        return self.column(f"SELECT to_regclass('{name}') IS NOT NULL AS found") == [True]

    def close(self) -> None:
        """Ends the session."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _ask(self, sql: str) -> pa.Table:
        self._session = self._session or self._api.connect(self.server.uri, autocommit=True)
        with self._session.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetch_arrow_table()


@contextmanager
def postgres_server() -> Iterator[Server]:
    """A server with PostgreSQL's own settings, but for its port.

    Raises FileNotFoundError where it is not installed, or nobody but root could run it.
    """
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="perennial-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, USER)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = Server(binaries, folder, probe.getsockname()[1])
    try:
        server.run("initdb", "-D", str(folder / "data"), "-U", USER, "-A", "trust")
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path:
    if os.geteuid() == 0 and USER not in {user.pw_name for user in pwd.getpwall()}:
        raise FileNotFoundError(f"PostgreSQL refuses to run as root, and there is no user {USER}")
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not installed:
        raise FileNotFoundError("PostgreSQL's initdb is neither on the PATH nor in /usr/lib/postgresql")
    return installed[-1]

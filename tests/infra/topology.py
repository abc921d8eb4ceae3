"""The production topology on this machine, started by the commands of its page."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.small import ROOT

PAGE = ROOT / "infra" / "README.md"
PATIENCE_SECONDS = 180
OWN = ("MLFLOW_", "PREFECT_", "PERENNIAL_", "AWS_", "PG", "XDG_")


def blocks_of(section: str) -> list[tuple[str, str]]:
    """What the page says to do in a section: `every`, `terminal` or nothing, and the commands."""
    (text,) = re.findall(rf"^## {section}$(.*?)(?=^## |\Z)", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return re.findall(r"^```sh *(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@dataclass
class Topology:
    """All parts, in a folder of its own; `said` holds what commands have printed."""

    folder: Path
    extra: dict[str, str]
    every: str = ""
    said: list[str] = field(default_factory=list)
    started: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        lines = (self.folder / "production.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))

    @property
    def secrets(self) -> dict[str, str]:
        """Settings that the example leaves open."""
        example = (ROOT / "infra" / "production.env.example").read_text()
        return {name: self.settings[name] for name in re.findall(r"^(\w+)=$", example, re.MULTILINE)}

    @property
    def home(self) -> Path:
        return Path(self.settings["PERENNIAL_HOME"])

    def change(self, **settings: object) -> None:
        changed = self.settings | {name: str(value) for name, value in settings.items()}
        (self.folder / "production.env").write_text("".join(f"{name}={value}\n" for name, value in changed.items()))

    def run(self, commands: str, code: int = 0) -> str:
        """What the commands print, in a shell that took the settings."""
        done = subprocess.run(
            ["bash", "-euc", self.every + commands],
            cwd=self.folder, env=self._environment(), capture_output=True, text=True, timeout=280,
        )  # fmt: skip
        self.said.append(done.stdout + done.stderr)
        assert done.returncode == code, f"{commands}\n{done.stdout}\n{done.stderr}\n{self.last_words()}"
        return done.stdout

    def start(self, commands: str) -> None:
        """Starts what runs in a terminal of its own."""
        name = commands.split()[0].rpartition("/")[2]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.started[name] = subprocess.Popen(
                ["bash", "-euc", f"{self.every}exec {commands}"],
                cwd=self.folder, env=self._environment(), stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait(self) -> None:
        """Until all that was started answers."""
        ready: dict[str, Callable[[], bool]] = {
            "trial-stores": lambda: "listens" in (self.folder / "trial-stores.log").read_text(),
            "mlflow-server": lambda: answer(f"{self.mlflow}/health") == 200,
            "worker": lambda: "started" in (self.folder / "worker.log").read_text(),
            "prefect-server": lambda: answer(f"{self.prefect}/health") == 200,
        }
        until = time.monotonic() + PATIENCE_SECONDS
        while not all(is_ready() for name, is_ready in ready.items() if name in self.started):
            assert time.monotonic() < until and all(p.poll() is None for p in self.started.values()), self.last_words()
            time.sleep(0.2)

    def stop(self, *names: str) -> None:
        """Ends these, or all, the last one first; fails where one does not end."""
        for name in names or reversed(list(self.started)):
            process = self.started.pop(name)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
        if not names:
            (self.folder / "trial-stores.log").write_text("")

    def follow(self) -> None:
        """Does what the page says to do natively, once the settings are made."""
        for how, commands in blocks_of("Natively")[1:]:
            if how == "every":
                self.every = commands
            elif how == "terminal":
                self.start(commands)
            else:
                self.wait()
                self.run(commands)

    @property
    def mlflow(self) -> str:
        return self.settings["MLFLOW_TRACKING_URI"]

    @property
    def prefect(self) -> str:
        return self.settings["PREFECT_API_URL"]

    def psql(self, database: str, sql: str) -> str:
        """What the superuser reads in a database."""
        return self.run(f'PGUSER=postgres PGPASSWORD=$POSTGRES_PASSWORD psql -XAtc "{sql}" {database}').strip()

    def logs(self) -> Iterable[Path]:
        return self.folder.glob("*.log")

    def last_words(self) -> str:
        return "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in self.logs())

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(OWN)}
        return kept | {"PYTHONPATH": f"{ROOT}:{ROOT / 'infra'}", "HOME": str(self.folder)} | self.extra


@contextmanager
def topology(ports: list[int], **extra: str) -> Iterator[Topology]:
    """Nothing runs yet; what was started is ended, and the folder removed."""
    folder = Path(tempfile.mkdtemp(prefix="perennial-production-"))
    # The user postgres has to reach its folder in it.
    folder.chmod(0o755)
    (folder / "infra").symlink_to(ROOT / "infra")
    (folder / ".venv").symlink_to(sys.prefix)
    made = Topology(folder, extra)
    made.run(blocks_of("Natively")[0][1])
    postgres, store, mlflow, prefect = ports
    made.change(
        PGPORT=postgres, ARTIFACT_ENDPOINT=f"http://127.0.0.1:{store}", PERENNIAL_HOME=folder / "home",
        MLFLOW_PORT=mlflow, MLFLOW_TRACKING_URI=f"http://127.0.0.1:{mlflow}",
        PREFECT_PORT=prefect, PREFECT_API_URL=f"http://127.0.0.1:{prefect}/api",
        PREFECT_PUBLIC_API=f"http://127.0.0.1:{prefect}/api",
    )  # fmt: skip
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def answer(url: str, user: str | None = None, body: bytes | None = None, host: str | None = None) -> int:
    """The status with which a server answers; 0 where there is none."""
    headers = {"Content-Type": "application/json", **({"Host": host} if host else {})}
    if user:
        headers["Authorization"] = f"Basic {b64encode(user.encode()).decode()}"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as said:
            return int(said.status)
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError:
        return 0


def require_postgresql() -> None:
    """Skips where PostgreSQL is not installed."""
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        pytest.skip("PostgreSQL is not installed in /usr/lib/postgresql")

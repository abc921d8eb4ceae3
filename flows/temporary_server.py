"""A Prefect server for one command, where none is set: it starts up while the command still imports what it needs.

Prefect would start one by itself, but only as the first flow runs, and after loading the whole server into this process
too. This one ends when the process that started it does, however that happens.
"""

import atexit
import os
import re
import socket
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flows.logs import open_log
from models.errors import OutsideError
from tasks.addresses import without_credentials

API_URL = "PREFECT_API_URL"
PATIENCE_SECONDS = 120
"""A first start makes the database."""
END_SECONDS = 20
"""A server that has not ended by then is killed."""
ENV_FILE_LINE = re.compile(r"\s*(export\s+)?PREFECT_(API_URL|PROFILES_PATH|PROFILE)\s*=", re.IGNORECASE)
NOT_NEEDED = ("SCHEDULER", "LATE_RUNS", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP", "FOREMAN", "TRIGGERS")
"""Services for deployments and workers, which a temporary server has none of."""
ONLY_TEMPORARY = {
    "PREFECT_UI_ENABLED": "0",
    **{f"PREFECT_SERVER_SERVICES_{service}_ENABLED": "false" for service in NOT_NEEDED},
    # A list of block types for the UI's forms; a server with a UI writes it.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
}


@contextmanager
def prefect_server() -> Iterator[None]:
    """A Prefect server answers when the block ends; import flows in the block, and run them after it.

    Raises OutsideError when it does not.
    """
    log = None if _is_settled() else _start()
    yield
    if API_URL in os.environ:
        _require_answer(os.environ[API_URL], log)


def _is_settled() -> bool:
    """Whether Prefect knows its server: from the environment, from a file of its own, or because it is loaded."""
    return API_URL in os.environ or "prefect" in sys.modules or _is_named_in_files()


def _is_named_in_files() -> bool:
    """Whether a settings file that Prefect reads names a server, or other profiles, which may name one."""
    project = _toml(Path("prefect.toml")), _toml(Path("pyproject.toml")).get("tool", {}).get("prefect", {})
    if any("url" in settings.get("api", {}) or "profiles_path" in settings for settings in project):
        return True
    return API_URL in _active_profile() or any(ENV_FILE_LINE.match(line) for line in _lines(Path(".env")))


def _active_profile() -> dict[str, Any]:
    """The settings of the profile that Prefect would use."""
    profiles = _toml(Path(os.environ["PREFECT_HOME"]) / "profiles.toml")
    active = os.environ.get("PREFECT_PROFILE") or profiles.get("active")
    found: dict[str, Any] = profiles.get("profiles", {}).get(active, {})
    return found


def _toml(path: Path) -> dict[str, Any]:
    """The file's tables; none where there is no such file, or it is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []


def _start() -> Path:
    """The log of a server that is starting. Its address is free and accepts connections at once, which then wait."""
    log = Path(os.environ["PREFECT_HOME"]) / "temporary-server.log"
    with socket.create_server(("127.0.0.1", 0)) as listener, open_log(log) as output:
        server = subprocess.Popen(
            [sys.executable, "-P", "-m", "flows.serve_prefect", str(listener.fileno())],
            env={**os.environ, **ONLY_TEMPORARY},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=[listener.fileno()],
            # An interrupt from the keyboard must not reach the server before the flow has reported its end to it.
            start_new_session=True,
        )
        os.environ[API_URL] = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
    atexit.register(_end, server)
    return log


def _end(server: "subprocess.Popen[bytes]") -> None:
    """The server is gone: by itself, as its input ends, or killed when that takes too long."""
    try:
        server.communicate(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _require_answer(url: str, log: Path | None) -> None:
    """Passes when anything answers at the address."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=PATIENCE_SECONDS):
            return
    except urllib.error.HTTPError:
        return
    except (OSError, ValueError) as error:
        reason = without_credentials(str(getattr(error, "reason", error))) or type(error).__name__
    if log:
        raise OutsideError(f"Prefect's temporary server did not start ({reason}); see {log}")
    advice = "start it with `prefect server start`, or unset PREFECT_API_URL to work with a temporary one"
    raise OutsideError(f"Prefect at {without_credentials(url)} does not answer ({reason}); {advice}")

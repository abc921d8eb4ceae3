"""What Ray wrote down before it ended the process of a test, which else leaves no trace of why."""

import tempfile
import time
from pathlib import Path

import pytest

LINES = 25
BEGUN = time.time()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Where a process of tests was lost, the ends of the logs that a Ray of this session has left behind."""
    if hasattr(config, "workerinput"):
        return
    if not any("crashed while running" in str(report.longrepr) for report in terminalreporter.stats.get("failed", ())):
        return
    for log in sorted(Path(tempfile.gettempdir()).glob("perennial-ray-*/session_2*/logs/*")):
        if log.name.startswith(("python-core-driver", "raylet.", "gcs_server.")) and log.stat().st_mtime > BEGUN:
            terminalreporter.section(log.name)
            dated = [line for line in log.read_text(errors="replace").splitlines() if line.startswith("[20")]
            terminalreporter.line("\n".join(dated[-LINES:]))

"""The `perennial` command: makes sure that the right packages are imported, then hands over to the command line.

From Python: `from perennial import Predictor`, which answers rows in the caller's own process.
"""

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasks.serving.predictor import Predictor

__all__ = ["Predictor", "main"]
PACKAGES = ("models", "tasks", "flows")


def __getattr__(name: str) -> Any:
    """Loads `Predictor`, and what it needs, when it is asked for."""
    if name == "Predictor":
        from tasks.serving.predictor import Predictor

        return Predictor
    raise AttributeError(f"module 'perennial' has no attribute {name!r}")


def main() -> None:
    """Runs the command line; exits with 2 when another distribution took the name of one of our packages."""
    intruder = _intruder()
    if intruder:
        name, path = intruder
        sys.exit(_complain(name, path))
    from flows.cli import main as run

    try:
        run()
    except SystemExit as end:
        _leave(end)
    _leave(SystemExit(0))


def _leave(end: SystemExit) -> None:
    """Ends the process at once where no flow ran.

    Arrow's threads may still be reading ahead in a file that was given up half way, and abort a process that Python
    takes apart meanwhile. Where a flow ran, Prefect has its own things to do at the end.
    """
    if "prefect" in sys.modules or not isinstance(end.code, int | None):
        raise end
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(end.code or 0)


def _intruder() -> tuple[str, str] | None:
    """Name and place of the first of our packages that Python would take from elsewhere."""
    root = _own_root()
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve().parent if spec and spec.origin else None
        if found != root / name:
            return name, str(found or "nowhere")
    return None


def _own_root() -> Path:
    """The folder that holds our packages: beside this one when installed, two up in a checkout."""
    here = Path(__file__).resolve().parent
    return here.parent if (here.parent / PACKAGES[0]).is_dir() else here.parent.parent


def _complain(name: str, path: str) -> int:
    print(
        f"Python imports the package {name!r} from {path}, not perennial's own; "
        "uninstall the distribution that it belongs to, or use an environment of perennial's own (make demo makes one)",
        file=sys.stderr,
    )
    return 2

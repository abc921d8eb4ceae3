"""How long `perennial demo` takes, from command to exit: what a newcomer waits for after the installation.

make bench NAME=demo
"""

import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measuring.command import COMMAND, own_environment
from benchmarks.measuring.reporting import Figure, report, temporary_home

WARM_UP = "import mlflow, onnxruntime, pandas, prefect, sklearn, torch"
"""Reads the libraries from disk once, which the first command after an installation has done as well."""


def main() -> None:
    """Plays the demo once, in a state folder of its own."""
    subprocess.run([sys.executable, "-c", WARM_UP], check=True)
    with temporary_home() as home:
        seconds = run_demo(home)
    sys.exit(report("demo", "once", [Figure("perennial demo", seconds, "s", "lower", 120.0, 60.0)]))


def run_demo(home: Path) -> float:
    """Seconds that the demo takes. Raises CalledProcessError when it does not play to its end."""
    started = time.perf_counter()
    subprocess.run([str(COMMAND), "demo"], env=own_environment(home), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

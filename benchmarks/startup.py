"""How long `perennial --help` takes, from command to exit.

make bench NAME=startup
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measuring.reporting import Figure, report

REPEATS = 10
COMMAND = Path(sys.executable).with_name("perennial")


def main() -> None:
    """Runs the command once to warm the disk's cache, then ten times."""
    run_help()
    seconds = [run_help() for _ in range(REPEATS)]
    figure = Figure("perennial --help", statistics.median(seconds), "s", "lower", 0.5, 0.2)
    sys.exit(report("startup", f"median of {REPEATS}", [figure]))


def run_help() -> float:
    """Seconds that one call takes."""
    started = time.perf_counter()
    subprocess.run([str(COMMAND), "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()

"""How often drift is noticed in one of twenty columns, and how often it is seen where there is none.

make bench NAME=drift
"""

import sys
import time

import numpy as np

from benchmarks.measuring.reporting import Figure, report
from benchmarks.measuring.windows import false_alarms, made_rows, shifts, watch

WINDOWS, ROWS, SHIFT = 200, 2000, 0.5
MANY = 200_000


def main() -> None:
    """Compares seeded windows with the profile of a made-up training."""
    rng = np.random.default_rng(0)
    watched = watch(rng)
    noticed = list(shifts(watched, rng, WINDOWS, ROWS, SHIFT))
    alarms = {rows: sum(false_alarms(watched, rng, WINDOWS, rows)) for rows in (ROWS, 200)}
    many = made_rows(rng, MANY)
    started = time.perf_counter()
    watched.drift(many)
    seconds = time.perf_counter() - started
    figures = [
        Figure(f"mean of 1 of 20 columns {SHIFT:g} standard deviations higher, windows of {ROWS:,} rows: noticed in",
               100 * float(np.mean(noticed)), "%", "higher", 95, 100),
        Figure(f"{WINDOWS} windows of {ROWS:,} rows without drift: with anything drifted", alarms[ROWS], "windows",
               "lower", 2, 0),
        Figure(f"{WINDOWS} windows of 200 rows without drift: with anything drifted", alarms[200], "windows", "lower"),
        Figure("rows profiled and compared, 20 columns", MANY / seconds, "rows/s", "higher"),
    ]  # fmt: skip
    sys.exit(report("drift", f"{WINDOWS} windows of each sort", figures))


if __name__ == "__main__":
    main()

"""The closed loop without a person: a plant drifts, windows are scored and monitored, a better version takes over.

make bench NAME=loop
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from benchmarks.measuring.plant import MODEL, Plant
from benchmarks.measuring.reporting import Figure, report, temporary_home
from benchmarks.measuring.servers_up import Up, servers_up
from benchmarks.measuring.windows import false_alarms, watch
from models.sections import Monitor
from tasks.monitoring.alarm import WindowRecord, find_alarm

HISTORY, WINDOW, HELD_OUT = 6_000, 2_000, 4_000
"""Rows before the first training, of a window, and after the change of the process that only the judgement sees."""
QUIET, DRIFTED = 2, 2
"""Windows before the change, and after it."""
RESAMPLES = 1_000
PATIENCE_SECONDS = 300.0
WINDOWS, ROWS = 200, 2_000
"""Windows without drift, of made-up rows, and rows of each."""


def main() -> None:
    """Lets the plant drift, waits for a new champion, and compares it with the old one."""
    with temporary_home() as folder:
        (folder / "home").mkdir()
        plant = Plant(folder / "plant", np.random.default_rng(0))
        with servers_up(folder / "home") as up:
            seconds, events = closed_loop(plant, up)
            held_out = plant.made(HELD_OUT, changed=True)
            old, new = (scores_of(up, plant, held_out, version) for version in ("1", up.champion(MODEL) or ""))
    labels = held_out["failure"].to_numpy()
    low, lead, high = paired_lead(labels, new, old)
    figures = [
        Figure("from the first drifted window to a new champion", seconds, "s", "lower", 300.0, 120.0),
        Figure("average precision of the old champion on rows after the change", _ap(labels, old), "", "higher"),
        Figure("average precision of the new champion", _ap(labels, new), "", "higher"),
        Figure("lead of the new champion, lower end of the 95 % interval", low, "", "higher", 1e-9),
        Figure("lead of the new champion", lead, "", "higher"),
        Figure("lead of the new champion, upper end of the 95 % interval", high, "", "higher"),
        Figure("retrainings started before the change", events, "runs", "lower", 0),
        Figure(f"{WINDOWS} windows of {ROWS:,} rows without drift: events", alarms(), "events", "lower", 2, 0),
    ]  # fmt: skip
    sys.exit(report("loop", "perennial up, a simulated plant, no person", figures))


def closed_loop(plant: Plant, up: Up) -> tuple[float, int]:
    """Seconds from the first drifted window to the promotion of another version, and retrainings begun before it.

    Raises RuntimeError where none is promoted in time.
    """
    file = plant.begin(HISTORY)
    up.command("deploy", str(file))
    up.run(f"retrain/{MODEL}", {})
    for number in range(1, QUIET + 1):
        window_comes(plant, up, number, changed=False)
    early = len(up.runs_of(f"retrain/{MODEL}")) - 1
    began = time.monotonic()
    for number in range(QUIET + 1, QUIET + DRIFTED + 1):
        window_comes(plant, up, number, changed=True)
    while up.champion(MODEL) == "1":
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise RuntimeError(f"no new champion after {PATIENCE_SECONDS:g} s; see {up.home}")
        time.sleep(0.5)
    return time.monotonic() - began, early


def window_comes(plant: Plant, up: Up, number: int, changed: bool) -> None:
    """One window is scored and monitored, as the plant's own clock would have it; its labels are known then."""
    rows = plant.made(WINDOW, changed)
    path = plant.comes_in(rows, number)
    output = plant.folder / "scored" / f"{number:03}.parquet"
    up.run(f"score/{MODEL}", {"input": [str(path)], "output": str(output)})
    plant.learnt(rows, number)
    up.run(f"monitor/{MODEL}", {})


def scores_of(up: Up, plant: Plant, rows: pd.DataFrame, version: str) -> NDArray[np.float64]:
    """The version's probabilities of a failure, [N]."""
    given, output = plant.folder / "held-out.csv", plant.folder / f"held-out-{version}.parquet"
    rows.drop(columns="failure").to_csv(given, index=False)
    up.command("score", f"{MODEL}/{version}", "--input", str(given), "--output", str(output))
    return _in_order(output, len(rows))


def _in_order(output: Path, rows: int) -> NDArray[np.float64]:
    table = pq.read_table(output).to_pandas().sort_values("row")
    if len(table) != rows:
        raise RuntimeError(f"{output}: {len(table)} of {rows} rows are scored")
    return np.asarray(table["probability_1"], dtype=np.float64)


def paired_lead(
    labels: NDArray[np.int64], new: NDArray[np.float64], old: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Lower end, value and upper end of the 95 % interval of the lead, by rows drawn for both at once (Efron 1979)."""
    rng, leads = np.random.default_rng(1), []
    for _ in range(RESAMPLES):
        rows = rng.integers(0, len(labels), len(labels))
        leads.append(_ap(labels[rows], new[rows]) - _ap(labels[rows], old[rows]))
    low, high = np.quantile(leads, [0.025, 0.975])
    return float(low), _ap(labels, new) - _ap(labels, old), float(high)


def _ap(labels: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    return float(average_precision_score(labels, scores))


def alarms() -> int:
    """Retraining events of windows in which nothing has changed, one after another, by the rule of the model file."""
    rng, records, events = np.random.default_rng(0), list[WindowRecord](), 0
    for number, drifted in enumerate(false_alarms(watch(rng), rng, WINDOWS, ROWS)):
        records.insert(0, WindowRecord(f"{number}", float(number), drifted, f"{number}"))
        events += find_alarm(records, Monitor()).raised
    return events


if __name__ == "__main__":
    main()

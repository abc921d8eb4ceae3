"""A process of its own for everything that is measured or converted: its memory, and its end, are nobody else's.

It imports nothing that serving does without. What it is asked comes as JSON, what it answers is its last line.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.columns import KINDS
from models.columns.cells import as_array
from models.contract import read_contract
from tasks.scoring.execution import Execution, first_line, start_session
from tasks.scoring.predictor import Predictions, Predictor

WARM_UP = 10
FEWEST_CALLS, MOST_CALLS = 30, 2000
"""Single rows of a round, whatever its seconds say."""
CALLS, USUAL_START, MOST_SPEED_BYTES = 5, 64, 1 << 28
"""For throughput: calls that a round has time for, rows of a first call, and bytes that are handed over at once."""
ALONE = 64
"""Rows that are scored one by one too, to see whether an answer depends on the rows beside it."""
CALIBRATION_BATCH = 64
CHOICE, TEST, CALIBRATION = "choice", "test", "calibration"
"""Names of the files of rows: by which points are chosen, which are only answered, and which int8 is scaled by."""

Columns = Mapping[str, pa.Array]


@dataclass(frozen=True)
class Placed:
    """Nodes of one operator that a provider ran, as it calls them: what it has merged into one counts once."""

    provider: str
    operator: str
    nodes: int


def main(words: Sequence[str]) -> None:
    """Does what the first word says with the JSON in the second, and prints the answer."""
    try:
        asked = json.loads(words[1])
        answer = ANSWERS[words[0]](asked)
    except Exception as error:
        print(first_line(error), file=sys.stderr)
        sys.exit(1)
    print(json.dumps(answer))


def measure(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Speed, memory and time to load of one graph with one execution; with `answers`, what it says in that folder."""
    folder = Path(asked["folder"])
    columns = read_columns(folder, CHOICE)
    first = {name: values[:1] for name, values in columns.items()}
    started = time.perf_counter()
    predictor = Predictor(
        Path(asked["graph"]).read_bytes(), read_contract(folder), None, Execution.of(asked["execution"])
    )
    predictor.predict(first)
    loaded = time.perf_counter() - started
    latencies = single_rows(predictor, columns, asked["seconds"])
    speed = throughput(predictor, columns, asked["seconds"])
    found = {"load_seconds": loaded, "latencies_ms": latencies, "rows_per_second": speed, "peak_mb": peak_mb()}
    if asked.get("answers"):
        place = Path(asked["answers"])
        place.mkdir(exist_ok=True)
        found["beside"] = effect_of_others(predictor, columns, _answered(predictor, columns, place / CHOICE))
        _answered(predictor, read_columns(folder, TEST), place / TEST)
    return found


def _answered(predictor: Predictor, columns: Columns, place: Path) -> Predictions:
    """What it says about the rows, which the file holds afterwards."""
    answers = predictor.predict_each(columns)
    np.savez(place, **{name: values for name, values in vars(answers).items() if values is not None})
    return answers


def read_columns(folder: Path, name: str) -> dict[str, pa.Array]:
    """Parsed columns of the rows in `folder`, as scoring has them."""
    contract = read_contract(folder)
    with pa.memory_map(str(folder / f"{name}.arrow")) as file:
        rows = pa.ipc.open_file(file).read_all()
    return {
        column.name: KINDS[column.settings.kind]
        .parse(as_array(rows.column(column.name)), column.settings, contract.missing)
        .values
        for column in contract.columns
    }


def single_rows(predictor: Predictor, columns: Columns, seconds: float) -> list[float]:
    """Milliseconds that each of some single rows took, from parsed columns to its prediction."""
    count = _count(columns)
    singles = [_slice(columns, place, 1) for place in range(min(count, MOST_CALLS))]
    for single in singles[:WARM_UP]:
        predictor.predict(single)
    found: list[float] = []
    until = time.perf_counter() + seconds
    while len(found) < FEWEST_CALLS or (time.perf_counter() < until and len(found) < MOST_CALLS):
        single = singles[len(found) % len(singles)]
        started = time.perf_counter()
        predictor.predict(single)
        found.append((time.perf_counter() - started) * 1000)
    return found


def throughput(predictor: Predictor, columns: Columns, seconds: float) -> float:
    """Rows a second of the best of several calls, each with a batch for every thread at least.

    The best, as whatever else runs on the machine only ever makes a call slower.
    """
    few = _repeated(columns, _least(predictor))
    predictor.predict_each(few)
    fair = int(seconds / CALLS / _seconds(predictor, few) * _count(few))
    size = sum(values.nbytes for values in columns.values()) // _count(columns) + 1
    most = min(max(predictor.batch_rows * predictor.threads, _count(few)), max(MOST_SPEED_BYTES // size, 1))
    many = _repeated(columns, min(max(fair, _count(few)), most))
    best, until = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < until:
        best = min(best, _seconds(predictor, many))
    return _count(many) / best


def _least(predictor: Predictor) -> int:
    """Rows that make a batch for every thread; of batches of the usual size, which depends on the rows, a start."""
    return (predictor.execution.batch_rows or USUAL_START) * predictor.threads


def _seconds(predictor: Predictor, columns: Columns) -> float:
    started = time.perf_counter()
    predictor.predict_each(columns)
    return time.perf_counter() - started


def _repeated(columns: Columns, rows: int) -> dict[str, pa.Array]:
    """So many rows, the same again and again where there are too few."""
    places = pa.array(np.arange(rows) % _count(columns))
    return {name: values.take(places) for name, values in columns.items()}


def _count(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def effect_of_others(predictor: Predictor, columns: Columns, answers: Predictions) -> float:
    """How far a row's prediction alone may be from that among others: of a probability, or a share of the spread.

    The spread is that of the values of all rows.
    """
    apart = [0.0]
    for place in range(min(ALONE, _count(columns))):
        alone = predictor.predict(_slice(columns, place, 1))
        if answers.probabilities is not None and alone.probabilities is not None:
            apart.append(float(np.abs(alone.probabilities[0] - answers.probabilities[place]).max()))
        elif answers.values is not None and alone.values is not None:
            spread = float(np.std(answers.values)) or 1.0
            apart.append(float(abs(alone.values[0] - answers.values[place])) / spread)
    return max(apart)


def place(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Which provider ran which operators of the graph, by ONNX Runtime's own profile of a run."""
    folder = Path(asked["folder"])
    columns = _slice(read_columns(folder, CHOICE), 0, 8)
    contract = read_contract(folder)
    feed = {c.name: KINDS[c.settings.kind].to_input(columns[c.name], c.settings) for c in contract.columns}
    with tempfile.TemporaryDirectory() as scratch:
        graph, execution = Path(asked["graph"]).read_bytes(), Execution.of(asked["execution"])
        session = start_session(graph, execution, str(Path(scratch) / "profile"))
        session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return [vars(each) for each in placed(events)]


def placed(events: Sequence[Mapping[str, Any]]) -> list[Placed]:
    """What a profile of ONNX Runtime says of nodes: how many distinct ones of each operator ran where."""
    found = {
        (event["args"]["provider"], event["args"]["op_name"], event["name"])
        for event in events
        if event.get("cat") == "Node" and event.get("args", {}).get("provider")
    }
    counted = Counter((provider, operator) for provider, operator, _ in found)
    return [Placed(provider, operator, count) for (provider, operator), count in sorted(counted.items())]


def convert(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Writes the graph in another precision, calibrated on the rows for that in the folder."""
    from tasks.hardware.precision import convert as converted

    folder = Path(asked["folder"])
    columns, contract = read_columns(folder, CALIBRATION), read_contract(folder)
    rows = _count(columns)
    feeds = [
        {
            c.name: KINDS[c.settings.kind].to_input(columns[c.name][start : start + CALIBRATION_BATCH], c.settings)
            for c in contract.columns
        }
        for start in range(0, rows, CALIBRATION_BATCH)
    ]
    graph = converted(Path(asked["graph"]).read_bytes(), asked["precision"], feeds)
    Path(asked["target"]).write_bytes(graph)
    # Loaded once: what can't be run is told before anything is measured.
    start_session(graph, Execution())
    return {"bytes": len(graph)}


def peak_mb(status: Path = Path("/proc/self/status")) -> float:
    """Millions of bytes that were resident at most since the process began.

    Where the kernel doesn't tell, what psutil says: the peak on Windows, elsewhere what is resident now.
    """
    # Not getrusage: its maximum begins with what the process that started this one held.
    lines = status.read_text(encoding="utf-8").splitlines() if status.exists() else []
    told = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
    if told is None:
        import psutil

        memory = psutil.Process().memory_info()
        told = getattr(memory, "peak_wset", memory.rss)
    return told / 1e6


def _slice(columns: Columns, start: int, count: int) -> dict[str, pa.Array]:
    return {name: values.slice(start, count) for name, values in columns.items()}


ANSWERS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {"measure": measure, "place": place, "convert": convert}

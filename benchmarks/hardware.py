"""What 8 bits make of a shipped picture example: speed over float32 side by side, and the accuracy that it costs.

    make bench NAME=hardware
    .venv/bin/python -m benchmarks.hardware --few      # two epochs and one round, not an official result

Every point is measured in a process of its own, in turns; see `perennial measure`.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.measuring.reporting import Figure, report, temporary_home
from benchmarks.measuring.trained import train
from models.modelfile import ModelFile, read_model_file
from models.packaged import MODEL_FILE
from tasks.examples.shipped import EXAMPLES
from tasks.hardware.asked import PRICES
from tasks.hardware.machine import this_machine
from tasks.hardware.measure import Subject, measure
from tasks.hardware.points import Point, ask_grid
from tasks.hardware.precision import PRECISIONS
from tasks.hardware.prepare import prepare
from tasks.hardware.prices import price_of
from tasks.hardware.results import Measured, Result

EXAMPLE, EPOCHS = "traffic-signs", 6
"""More epochs change neither the speed nor what rounding costs."""


def main(
    few: Annotated[bool, typer.Option("--few", help="A quick look.")] = False,
    example: Annotated[str, typer.Option(help="A shipped example of pictures.")] = EXAMPLE,
) -> None:
    """Trains the example by its own model file, and measures the exported graph."""
    with temporary_home() as home:
        result = measure_example(example, home, few)
    figures = figures_of(result, example)
    official = not few and example == EXAMPLE
    sys.exit(report("hardware", f"{example} on {result.machine.processor}", figures, official))


def measure_example(example: str, home: Path, few: bool) -> Result:
    """All points of the usual grid."""
    (home / "data").mkdir()
    file = EXAMPLES[example].make(home / "data", example)
    epochs = f"\n[training]\nepochs = {2 if few else EPOCHS}\n"
    file.write_text(file.read_text(encoding="utf-8") + epochs, encoding="utf-8")
    model = train(file, home, home / "training")
    print(f"trained for {model.epochs} epochs in {model.seconds:.0f} s", file=sys.stderr)
    package, folder = home / "training" / "package", home / "bench"
    _complete(package, read_model_file(file))
    folder.mkdir()
    prepared = prepare(package, folder, home)
    price = price_of(PRICES, None)
    contract = prepared.bench.contract
    subject = Subject(example, "1", contract.graph_sha256, prepared.model_file.hardware, price, this_machine())
    grid = ask_grid(rounds=1 if few else 3)
    return measure(prepared, subject, grid, lambda done, total: print(f"\r{done} of {total}", end="", file=sys.stderr))


def _complete(package: Path, model_file: ModelFile) -> None:
    """With the model file, as registered versions have it."""
    (package / MODEL_FILE).write_text(json.dumps(model_file.model_dump(mode="json")), encoding="utf-8")


def figures_of(result: Result, example: str) -> list[Figure]:
    """The best of each precision, among the settings that all of them were measured with."""
    alike = [point for point in result.points if Point("float32", point.point.execution) in _measured(result)]
    best = {name: max((p for p in alike if p.precision == name), key=_speed, default=None) for name in PRECISIONS}
    plain = best["float32"]
    small = max(filter(None, (best["int8-tensor"], best["int8-channel"])), key=_speed, default=None)
    if plain is None or small is None or small.test.difference is None or small.test.low is None:
        raise RuntimeError(f"nothing to compare: {result.not_measured}")
    gain = _speed(small) / _speed(plain)
    return [
        *(Figure(f"{example}, {p.name}", _speed(p), "rows/s", "higher") for p in best.values() if p),
        Figure("int8 over float32, each at its best size of batches", gain, "ratio", "higher", 1.3, 2.0),
        Figure(f"int8: {result.metric} lost, {result.test.text}", -small.test.difference, "share", "lower", 0.01),
        Figure("int8: the same, upper end of its 95 % interval", -small.test.low, "share", "lower"),
        Figure("int8: size over that of float32", small.size_mb / plain.size_mb, "ratio", "lower"),
    ]


def _measured(result: Result) -> list[Point]:
    return [point.point for point in result.points]


def _speed(point: Measured) -> float:
    return point.rows_per_second


if __name__ == "__main__":
    typer.run(main)

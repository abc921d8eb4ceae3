"""Points and results as measurements would leave them."""

from typing import Any

from models.sections import Hardware
from tasks.hardware.machine import Machine
from tasks.hardware.prices import Price
from tasks.hardware.results import Drawn, Measured, NotMeasured, PlacedNodes, Placement, Result
from tasks.scoring.execution import Execution

SAME = {"value": 0.9, "difference": 0.0, "low": 0.0, "high": 0.0}
MACHINE = Machine(name="bench", processor="p", cores=2, memory_gb=8.0, system="Linux", onnxruntime="1")


def point(speed: float = 1000.0, precision: str = "float32", **more: Any) -> Measured:
    """`test` and `choice` are what differs there; what is given besides differs on the rows that choose alone."""
    choice = {name: more.pop(name) for name in ("value", "difference", "low", "high", "same") if name in more}
    more = {**more, "choice": SAME | choice | more.get("choice", {}), "test": SAME | more.get("test", {})}
    plain: dict[str, Any] = {
        "precision": precision, "execution": vars(Execution()), "rows_per_second": speed, "latency_p50_ms": 1.0,
        "latency_p95_ms": 2.0, "latency_p99_ms": 3.0, "load_seconds": 0.1, "peak_mb": 100.0, "size_mb": 1.0,
        "beside": 0.0, "cost": 100 / speed,
    }  # fmt: skip
    return Measured(**plain | more)


def result(*points: Measured, chosen: int | None = 0, **more: Any) -> Result:
    nodes = (
        PlacedNodes(provider="CPUExecutionProvider", operator="Conv", nodes=3),
        PlacedNodes(provider="CPUExecutionProvider", operator="Gemm", nodes=1),
    )
    plain: dict[str, Any] = {
        "model": "m", "version": "1", "graph_sha256": "a" * 64, "snapshot": "s", "metric": "accuracy",
        "choice": Drawn(split="validation", rows=80, of=80), "test": Drawn(split="test", rows=100, of=100),
        "limits": Hardware(), "machine": MACHINE, "made": "2026-11-27T03:00:00+00:00", "rounds": 3, "seconds": 0.5,
        "price": Price(machine="two", currency="USD", hourly=0.36, watts=0.0, kwh=0.0),
        "points": points or (point(),), "chosen": chosen, "why": "it is the cheapest",
        "placements": (Placement(asked="CPUExecutionProvider", precision="float32", nodes=nodes),),
        "not_measured": (NotMeasured(what="CUDAExecutionProvider", why="not in this build of onnxruntime"),),
    }  # fmt: skip
    return Result(**plain | more)

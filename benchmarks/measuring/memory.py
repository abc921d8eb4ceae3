"""Trains in a process of its own and tells the memory that took: `python -m benchmarks.measuring.memory FILE HOME`."""

import json
import sys
from pathlib import Path

from models.modelfile import read_model_file
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import fit_split
from tasks.training.fit import fit_model


def main(path: Path, home: Path) -> None:
    """Ingests and trains; prints the bytes that were resident at most, before training and in all."""
    model_file = read_model_file(path)
    snapshot = open_snapshot(ingest(model_file, home).manifest)
    before = _peak()
    fit_model(model_file, snapshot, fit_split(model_file, snapshot), home / "checkpoint.pt", home / "trained.pt")
    print(json.dumps({"ingestion": before, "all": _peak()}))


def _peak() -> int:
    # Not getrusage: its maximum begins with what the process that started this one held.
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Parcels of made-up rows, and a process that delivers them."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from models.actions import Action
from tasks.actions.circuit import Pace
from tasks.actions.deliver import Delivered, deliver
from tasks.actions.letters import Parcel
from tasks.actions.outbox import write_outbox
from tasks.actions.whole import TableTarget

QUICK = Pace(first=0.001, longest=0.01, asked=0.05, silences=50, probes=3, threads=4)
RUN = "run-1"


def action(to: str, **more: Any) -> Action:
    return Action(**{"name": "refund", "when": 'label == "refund"', "to": to, **more})


def parcel(folder: Path, rows: int, shard: str = "00001", source: str = "in.csv") -> Parcel:
    """A parcel with an outbox of so many rows, numbered from 1."""
    outbox = folder / f"{shard}.parquet"
    table = pa.table(
        {
            "model": ["m"] * rows,
            "model_version": ["3"] * rows,
            "run_id": [RUN] * rows,
            "source": [source] * rows,
            "row": pa.array(np.arange(1, rows + 1)),
            "message": [f"message {n}" for n in range(1, rows + 1)],
            "probability": pa.array(np.full(rows, 0.95, np.float32)),
        }
    )
    write_outbox(outbox, table)
    return Parcel(shard, outbox, folder / f"{shard}.receipts.jsonl", folder / f"{shard}.dead.jsonl")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def no_tables(address: str) -> Iterator[TableTarget]:
    raise AssertionError(f"{address} is no table")
    yield


def send(wanted: Action, *parcels: Parcel, again: bool = False, **pace: Any) -> Delivered:
    return deliver(wanted, parcels, RUN, no_tables, again=again, pace=replace(QUICK, **pace))


def main() -> None:
    """For each line of its input, delivers the parcels in a folder to an address in a process that can be killed.

    Says that process's id, and how it has ended. Forked, since each start of Python would load pyarrow and httpx.
    """
    folder, address, retries = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    found = [
        Parcel(path.stem, path, path.with_suffix(".receipts.jsonl"), path.with_suffix(".dead.jsonl"))
        for path in sorted(folder.glob("*.parquet"))
    ]
    for _ in sys.stdin:
        child = os.fork()
        if not child:
            told = send(action(address, retries=retries), *found)
            (folder / "told.json").write_text(json.dumps(asdict(told)))
            os._exit(0)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()

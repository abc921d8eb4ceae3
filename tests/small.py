"""A small table of every column kind and its model file: trained in seconds, with a signal that a test can rely on."""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = """
[columns]
"load" = { kind = "number", min = -50, max = 50 }
"heat" = "number"
"shop" = "category"
"night" = "boolean"
"made" = "datetime"
"""
QUICK = """
[network]
width = 8
depth = 1
members = 2
[training]
epochs = 2
batch_size = 64
learning_rate = 0.02
[evaluation]
resamples = 50
"""


def table(rows: int = 600, seed: int = 0) -> pd.DataFrame:
    """`load` decides most of `broken`; the other columns have missing values here and there."""
    random = np.random.default_rng(seed)
    load = random.normal(0, 10, rows).round(3)
    frame = pd.DataFrame(
        {
            "id": np.arange(rows),
            "load": load,
            "heat": random.normal(300, 5, rows).round(2),
            "shop": random.choice(["north", "south", "east"], rows),
            "night": random.choice(["true", "false"], rows),
            "made": (pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 500, rows), unit="D")).strftime(
                "%Y-%m-%d"
            ),
            "broken": np.where(load + random.normal(0, 4, rows) > 5, "yes", "no"),
        }
    )
    for name in ("heat", "shop", "night", "made"):
        frame.loc[random.random(rows) < 0.05, name] = None
    return frame


def write_model(
    folder: Path,
    name: str,
    frame: pd.DataFrame | None = None,
    *,
    target: str = 'column = "broken"',
    columns: str = COLUMNS,
    quick: str = QUICK,
    rest: str = "",
) -> Path:
    """A model file `NAME.toml` beside its data `NAME.csv`."""
    folder.mkdir(parents=True, exist_ok=True)
    (table() if frame is None else frame).to_csv(folder / f"{name}.csv", index=False)
    path = folder / f"{name}.toml"
    key = '[split]\nkey = "id"\n' if "[split]" not in rest else ""
    path.write_text(
        f'name = "{name}"\n[[sources]]\nuri = "{name}.csv"\n[target]\n{target}\n{columns}\n{quick}\n{key}{rest}',
        encoding="utf-8",
    )
    return path


@dataclass(frozen=True)
class Outcome:
    """What a command left on the screen, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The last line of standard output."""
        return json.loads(self.out.strip().splitlines()[-1])

    @property
    def both(self) -> str:
        return self.out + self.err


def cli(*words: object) -> Outcome:
    """Runs the command line in this process."""
    from flows.cli import main

    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        mock.patch.object(sys, "argv", ["perennial", *map(str, words)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return Outcome(code, out.getvalue(), err.getvalue())


def command(*words: object, python: tuple[str, ...] = (), **environment: str) -> subprocess.Popen[str]:
    """Starts the command line as a process of its own."""
    return subprocess.Popen(
        [sys.executable, *python, "-c", "from perennial import main; main()", *map(str, words)],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: "subprocess.Popen[str]", timeout: float = 240) -> Outcome:
    """What the process left when it ended."""
    out, err = process.communicate(timeout=timeout)
    return Outcome(process.returncode, out, err)


def plain(outcome: Outcome, code: int, *words: str) -> None:
    """Fails unless the error is the given exit code and one plain line that has all words."""
    assert outcome.code == code, outcome.both
    lines = [line for line in outcome.err.splitlines() if line.strip()]
    assert len(lines) == 1, outcome.err
    assert "Traceback" not in outcome.both
    assert all(word in lines[0] for word in words), lines[0]

"""Recordings with which a failing bearing is heard before it is seen: tables and WAV files, split by machine."""

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from tasks.examples.machine_acoustics import RATE, Floats, Machine, Running, draw_machine, play

MACHINES = {"train": 40, "test": 15}
STATES = {"healthy": 8, "outer race": 4, "inner race": 4, "imbalance": 4}
"""Recordings of each state with each machine."""
STRENGTHS = {"none": (0.0, 0.0), "early": (1.2, 1.7), "late": (2.0, 4.0)}
"""Ranges of the strength of a fault."""
BACKGROUNDS = {"quiet": (0.1, 0.35), "loud": (0.4, 0.8)}
"""Ranges of the level of the surroundings."""


def make(folder: Path, seed: int = 0) -> None:
    """Writes `train.csv` and `test.csv`, and a WAV file for each of their rows into folders of the same names.

    All states are recorded with each machine, as on a test rig whose bearings are changed; no machine is in both.
    """
    for place, (split, machines) in enumerate(MACHINES.items()):
        (folder / split).mkdir(parents=True, exist_ok=True)
        rows: list[dict[str, str | float]] = []
        for number in range(machines):
            random = np.random.default_rng((seed, place, number))
            machine = draw_machine(f"{split}-{number + 1:02d}", random)
            rows += _record(machine, folder, split, random)
        pd.DataFrame(rows).to_csv(folder / f"{split}.csv", index=False, lineterminator="\n")


def write_wav(path: Path, sound: Floats) -> None:
    """Writes sound within -1 and 1, [N], as 16 bit."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, len(sound), "NONE", "not compressed"))
        file.writeframes(np.round(sound * 32767).astype("<i2").tobytes())


def _record(
    machine: Machine, folder: Path, split: str, random: np.random.Generator
) -> Iterator[dict[str, str | float]]:
    """The table's rows of one machine, each after its recording is written."""
    for place, (state, severity) in enumerate(_plan()):
        background = str(random.choice(list(BACKGROUNDS)))
        strength, hall = random.uniform(*STRENGTHS[severity]), random.uniform(*BACKGROUNDS[background])
        running = Running(state, strength, hall, speed=random.uniform(5, 10), load=random.uniform(0.4, 1))
        path = f"{split}/{machine.name}-{place + 1:02d}.wav"
        write_wav(folder / path, play(machine, running, random))
        yield {
            "recording": path,
            "state": state,
            "machine": machine.name,
            "severity": severity,
            "background": background,
            "turns a minute": round(running.speed * 60),
            "load": round(running.load, 2),
        }


def _plan() -> Iterator[tuple[str, str]]:
    """State and severity of each recording with one machine; every second fault is an early one."""
    for state, count in STATES.items():
        for place in range(count):
            yield state, "none" if state == "healthy" else ("early", "late")[place % 2]

"""Synthesised recordings of slow machines whose bearing begins to fail, or whose shaft is out of balance.

A spalled race is struck by every ball that passes, and each strike makes the housing ring: impacts at a rate that the
bearing's geometry gives, nearly but not quite periodic, since balls slip; a spot on the inner race moves through the
load once in a turn, so that its impacts swell and fade (Randall and Antoni 2011, "Rolling element bearing diagnostics -
a tutorial"). Healthy machines sound too, and something else knocks at random: only the rhythm tells.
"""

import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RATE = 16_000
"""Samples a second, in one second of sound."""
TIME = np.arange(RATE) / RATE
STATES = {"healthy": 8, "outer race": 4, "inner race": 4, "imbalance": 4}
"""Recordings of each state with each machine."""
MACHINES = {"train": 40, "test": 15}
STRENGTHS = {"early": (0.75, 1.2), "late": (1.6, 3.5)}
"""Ranges of the strength of a fault."""
BACKGROUNDS = {"quiet": (0.1, 0.35), "loud": (0.5, 1.0)}
"""Ranges of the level of the hall, relative to that of the machine's own noise."""
SLIP = 0.02
"""Standard deviation of the time between two impacts, as a share of it."""
KNOCKS = 3.0
"""Strikes a second, on average, that have nothing to do with the bearing."""


@dataclass(frozen=True)
class Machine:
    """What stays the same in all recordings with one machine."""

    name: str
    balls: int
    ratio: float
    """Diameter of a ball over that of the circle it runs on, times the cosine of the contact angle."""
    teeth: int
    ring: tuple[float, float]
    """Frequency in Hz and damping in 1/s of the housing's resonance."""
    tilt: float
    """Slope of the noise's spectrum: power of the frequency."""
    bumps: Floats
    """Centre in Hz, width in Hz and height of broad peaks in the noise, [3, bumps]."""

    @property
    def outer(self) -> float:
        """Impacts in a turn of the shaft from a spot on the outer race (Randall and Antoni 2011, equation 1)."""
        return self.balls / 2 * (1 - self.ratio)

    @property
    def inner(self) -> float:
        """Impacts in a turn of the shaft from a spot on the inner race (Randall and Antoni 2011, equation 2)."""
        return self.balls / 2 * (1 + self.ratio)


@dataclass(frozen=True)
class Setting:
    """What is different in each recording."""

    state: str
    severity: str
    background: str
    speed: float
    """Turns of the shaft a second."""
    load: float
    """Share of the full load."""


def make(folder: Path, seed: int = 0) -> None:
    """Writes `train.csv` and `test.csv`, and a WAV file for each of their rows into folders of the same names.

    All states are recorded with each machine, as on a test rig whose bearings are changed; no machine is in both.
    """
    for place, (split, machines) in enumerate(MACHINES.items()):
        (folder / split).mkdir(parents=True, exist_ok=True)
        rows = [
            row
            for number in range(machines)
            for row in _record_machine(folder, split, number, np.random.default_rng((seed, place, number)))
        ]
        pd.DataFrame(rows).to_csv(folder / f"{split}.csv", index=False, lineterminator="\n")


def _record_machine(
    folder: Path, split: str, number: int, random: np.random.Generator
) -> Iterator[dict[str, str | float]]:
    """The table's rows of one machine, whose recordings are written on the way."""
    machine = draw_machine(f"{split}-{number + 1:02d}", random)
    for place, setting in enumerate(_settings(random)):
        path = f"{split}/{machine.name}-{place + 1:02d}.wav"
        write_wav(folder / path, play(machine, setting, random))
        yield {
            "recording": path,
            "state": setting.state,
            "machine": machine.name,
            "severity": setting.severity,
            "background": setting.background,
            "turns a minute": round(setting.speed * 60),
            "load": round(setting.load, 2),
        }


def draw_machine(name: str, random: np.random.Generator) -> Machine:
    """A machine with a bearing, gears and a voice of its own."""
    centres, widths = random.uniform(200, 7000, 4), random.uniform(100, 900, 4)
    return Machine(
        name,
        balls=int(random.integers(7, 10)),
        ratio=random.uniform(0.18, 0.28),
        teeth=int(random.integers(19, 45)),
        ring=(random.uniform(1800, 6000), random.uniform(350, 900)),
        tilt=random.uniform(-0.7, -0.2),
        bumps=np.stack([centres, widths, random.uniform(0.5, 4, 4)]),
    )


def _settings(random: np.random.Generator) -> Iterator[Setting]:
    """Every second fault is an early one."""
    for state, count in STATES.items():
        for place in range(count):
            severity = "none" if state == "healthy" else list(STRENGTHS)[place % len(STRENGTHS)]
            background = str(random.choice(list(BACKGROUNDS)))
            yield Setting(state, severity, background, random.uniform(5, 10), random.uniform(0.4, 1))


def play(machine: Machine, setting: Setting, random: np.random.Generator) -> Floats:
    """One second of sound as the microphone hears it, [16000], within -1 and 1; the level is random."""
    angle = _turns(setting.speed, random)
    strength = random.uniform(*STRENGTHS[setting.severity]) if setting.severity in STRENGTHS else 0.0
    swell = random.uniform(0, 0.06) + (0.28 * strength if setting.state == "imbalance" else 0)
    own = _noise(machine, random) + _gears(machine, angle, setting.load, random)
    own *= 1 + min(swell, 0.9) * np.cos(2 * np.pi * (angle - random.random()))
    struck = _strikes(machine, setting, angle, random) * strength * (0.6 + 0.5 * setting.load)
    rung = _ring(struck + _knocks(random), machine, random)
    hall = random.uniform(*BACKGROUNDS[setting.background]) * _coloured(-0.5 * (_FREQUENCIES > 0), random)
    sound = own + rung + hall + _hum(random)
    return np.asarray(sound / np.abs(sound).max() * 10 ** (random.uniform(-24, -1) / 20))


def write_wav(path: Path, sound: Floats) -> None:
    """Writes sound within -1 and 1, [N], as 16 bit."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, len(sound), "NONE", ""))
        file.writeframes(np.round(sound * 32767).astype("<i2").tobytes())

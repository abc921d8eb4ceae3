"""A simulated fleet of machine tools in three plants, whose telemetry arrives in three forms and becomes one table.

The ways in which a machine fails follow the rules of the AI4I 2020 data (Matzka 2020, "Explainable artificial
intelligence for predictive maintenance applications"), made soft, so that near a limit both ends happen.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tasks.examples.machine_endpoints import ENDPOINTS, PLANTS, Endpoint, report, unify

Floats = NDArray[np.float64]

START = pd.Timestamp("2025-04-01", tz="UTC")
DAYS = 180
"""The campaign: a summer, in which no plant changes its clocks."""
MACHINES = 20
"""In each plant."""
TYPES = ("milling", "turning", "drilling")
SHARES = (0.5, 0.3, 0.2)
LOAD = np.array([40.0, 43.0, 36.0])
"""Usual torque of each type, Nm."""
STRENGTH = np.array([11_300.0, 12_100.0, 10_200.0])
"""Wear times torque that each type bears, min Nm."""
HALL = {"Lyon": 297.0, "Austin": 301.0, "Osaka": 299.0}
"""Usual temperature of each hall, K."""
LOST = 0.004
"""Share of the values that a sensor does not deliver."""
BOLT = 0.0008
"""Failures out of the blue, as a share of the readings."""
MEASURED = ("air temperature", "process temperature", "speed", "torque", "tool wear")


@dataclass(frozen=True)
class Fleet:
    """Readings of one plant; each array is [N]."""

    machine: NDArray[np.int64]
    kind: NDArray[np.int64]
    air: Floats
    process: Floats
    speed: Floats
    torque: Floats
    wear: Floats


def make(folder: Path, seed: int = 0, rows: int = 20_000, drift: float = 0.0) -> None:
    """Writes a file for each plant into `folder/endpoints`, and all of them as `folder/telemetry.parquet`.

    `drift` goes from 0 to about 1: a hotter summer, cooling that is clogged, and machines that are older, so that they
    need more torque and bear less of it.
    """
    raw = folder / ENDPOINTS
    raw.mkdir(parents=True, exist_ok=True)
    shares = [rows // len(PLANTS) + (place < rows % len(PLANTS)) for place in range(len(PLANTS))]
    for place, (endpoint, share) in enumerate(zip(PLANTS, shares, strict=True)):
        random = np.random.default_rng((seed, place))
        report(simulate(endpoint, share, drift, random), endpoint, raw)
    unify(folder)


def simulate(endpoint: Endpoint, rows: int, drift: float, random: np.random.Generator) -> pd.DataFrame:
    """Readings of one plant in our names and units, in the order of time, [rows]."""
    when = START + pd.to_timedelta(np.sort(random.integers(0, DAYS * 86_400, rows)), unit="s")
    fleet = _fleet(endpoint, when, drift, random)
    failed = _strain(fleet, drift).max(axis=0) + random.logistic(0, 1, rows) > 0
    failed |= random.random(rows) < BOLT
    frame = pd.DataFrame(
        {
            "reading": [f"{endpoint.plant[:3].upper()}-{number:08d}" for number in range(rows)],
            "machine": [f"{endpoint.plant[:3].upper()}-{number:02d}" for number in fleet.machine],
            "machine type": np.array(TYPES)[fleet.kind],
            "measured": when,
            **dict(zip(MEASURED, (fleet.air, fleet.process, fleet.speed, fleet.torque, fleet.wear), strict=True)),
            "failure": np.where(failed, "yes", "no"),
        }
    )
    lost = random.random((rows, len(MEASURED))) < LOST
    frame[list(MEASURED)] = frame[list(MEASURED)].mask(lost)
    return frame


def _fleet(endpoint: Endpoint, when: pd.DatetimeIndex, drift: float, random: np.random.Generator) -> Fleet:
    """What the sensors of all machines see at the instants [N]."""
    rows = len(when)
    machine = random.integers(0, MACHINES, rows)
    kind = random.choice(len(TYPES), MACHINES, p=SHARES)[machine]
    air = _hall(endpoint, when, drift) + random.normal(0, 1.2, rows)
    process = air + 10 - 0.5 * drift + random.normal(0, 1, rows)
    torque = np.maximum(LOAD[kind] * (1 + 0.06 * drift) + random.normal(0, 9.5, rows), 4)
    speed = 1540 * (40 / torque) ** 0.5 * np.exp(random.normal(0, 0.04, rows))
    return Fleet(machine, kind, air, process, speed, torque, _wear(machine, random))


def _hall(endpoint: Endpoint, when: pd.DatetimeIndex, drift: float) -> Floats:
    """Temperature of the hall in K, [N]: highest in the middle of the campaign, and in the plant's own afternoon."""
    season = np.sin(np.pi * np.asarray((when - START).days) / DAYS)
    local = when.tz_convert(endpoint.zone)
    hour = np.asarray(local.hour) + np.asarray(local.minute) / 60
    day = np.cos(2 * np.pi * (hour - 15) / 24)
    return np.asarray(HALL[endpoint.plant] + (3 + 4 * drift) * season + 1.5 * day)


def _wear(machine: NDArray[np.int64], random: np.random.Generator) -> Floats:
    """Minutes that the tool has cut at each reading, [N]: a tool works for 200 to 250 minutes, then a new one does."""
    cut, lives = random.uniform(1, 6, len(machine)), random.uniform(200, 250, (MACHINES, len(machine) // 30 + 2))
    wear = np.empty(len(machine))
    for number in range(MACHINES):
        rows = machine == number
        total = np.cumsum(cut[rows]) + random.uniform(0, 200)
        changes = np.concatenate([[0.0], np.cumsum(lives[number])])
        wear[rows] = total - changes[np.searchsorted(changes, total, side="right") - 1]
    return wear


def _strain(fleet: Fleet, drift: float) -> Floats:
    """How far beyond its limit each way to fail is, [4, N], in widths of the zone in which both ends happen."""
    power = fleet.torque * fleet.speed * 2 * np.pi / 60
    heat = np.minimum((8.6 - (fleet.process - fleet.air)) / 0.1, (1380 - fleet.speed) / 9)
    overload = np.maximum((power - 8700) / 50, (3600 - power) / 50)
    overstrain = (fleet.wear * fleet.torque / (STRENGTH[fleet.kind] * (1 - 0.12 * drift)) - 1) / 0.012
    worn = (fleet.wear - 243) / 1.5
    return np.stack([heat, overload, overstrain, worn])

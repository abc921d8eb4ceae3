"""Simulated engines that run until they must be serviced, and how many cycles are left at each of them.

Wear grows slowly, then faster, as in the simulation behind C-MAPSS (Saxena, Goebel, Simon and Eklund 2008, "Damage
propagation modeling for aircraft engine run-to-failure simulation"), and the number of cycles left is held at 125
while an engine is as good as new (Heimes 2008, "Recurrent neural networks for remaining useful life estimation").
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SITES = {"north": 40, "south": 35, "coast": 25}
"""Engines that each site has run to their end; a file for each site."""
TESTED = 40
"""Engines of all sites, in one file, from which nothing is learnt."""
LIVES = (120, 350)
"""Cycles until the service."""
CAP = 125
SETTINGS = ("altitude", "airspeed", "throttle")
REGIMES = np.array([[1.0, 0.30, 60.0], [6.0, 0.60, 80.0], [10.5, 0.80, 70.0]])
"""Altitude in km, Mach number and throttle in % of the three kinds of flight."""
SPREAD = np.array([0.4, 0.03, 3.0])
"""How much flights of one kind differ."""
LOST = 0.015
"""Share of the cycles of which no record arrived."""
OUTAGES = 0.3
"""Share of the engines whose recorder was away once, for 12 to 20 cycles."""


@dataclass(frozen=True)
class Sensor:
    """How one reading follows from the flight and from wear."""

    name: str
    usual: float
    flight: tuple[float, float, float]
    """Change with each setting, in its own unit."""
    wear: tuple[float, float]
    """Change from new to worn of the compressor, and of the turbine."""
    curve: float
    """Power of the wear that the reading follows: below 1 it shows early, above 1 late."""
    noise: float
    offset: float
    """Standard deviation between engines, and so the error of an engine's own sensor."""


# fmt: off
SENSORS = (
    Sensor("compressor temperature", 640.0, (-9.0, 60.0, 1.2), (16.0, 5.0), 1.0, 1.6, 1.2),
    Sensor("compressor pressure", 24.0, (-1.1, 5.0, 0.12), (-1.7, -0.4), 0.8, 0.20, 0.12),
    Sensor("exhaust temperature", 820.0, (-6.0, 40.0, 3.2), (11.0, 34.0), 1.2, 3.5, 2.5),
    Sensor("fuel flow", 1.10, (-0.055, 0.2, 0.014), (0.035, 0.065), 1.0, 0.010, 0.006),
    Sensor("fan speed", 2300.0, (4.0, 90.0, 6.0), (7.0, 16.0), 1.5, 3.5, 2.0),
    Sensor("core speed", 8900.0, (10.0, 120.0, 11.0), (-60.0, 45.0), 1.0, 9.0, 6.0),
    Sensor("oil pressure", 3.6, (-0.02, 0.05, 0.006), (-0.14, -0.22), 0.7, 0.04, 0.03),
    Sensor("vibration", 0.50, (0.004, 0.03, 0.002), (0.35, 0.50), 3.0, 0.04, 0.03),
)
# fmt: on


def make(folder: Path, seed: int = 0) -> None:
    """Writes `train/SITE.parquet` for each site, and `test.parquet`: a row for each cycle of which a record arrived."""
    (folder / "train").mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for site, engines in SITES.items():
        runs = [run(f"{site}-{number + 1:02d}", site, random) for number in range(engines)]
        _write(runs, folder / "train" / f"{site}.parquet")
    sites = random.choice(list(SITES), TESTED)
    _write(
        [run(f"test-{number + 1:02d}", str(site), random) for number, site in enumerate(sites)], folder / "test.parquet"
    )


def run(engine: str, site: str, random: np.random.Generator) -> pd.DataFrame:
    """The recorded cycles of one engine from its first to the service, in order."""
    life = int(random.integers(LIVES[0], LIVES[1] + 1))
    cycle = np.arange(1, life + 1)
    worn_by = random.choice(["compressor", "turbine"])
    share = random.uniform(0.75, 1.0)
    flown = random.integers(0, len(REGIMES), life)
    flights = np.maximum(REGIMES[flown] + SPREAD * random.standard_normal((life, len(SETTINGS))), 0)
    wear = _wear(life, random)
    parts = np.array([share, 1 - share] if worn_by == "compressor" else [1 - share, share])
    frame = pd.DataFrame(
        {
            "engine": engine,
            "site": site,
            "worn": worn_by,
            "cycle": cycle,
            **{name: flights[:, place].round(3) for place, name in enumerate(SETTINGS)},
            **{sensor.name: _reading(sensor, flights, wear, parts, random) for sensor in SENSORS},
            "cycles_left": np.minimum(life - cycle, CAP),
        }
    )
    return frame[_recorded(life, random)]


def _wear(life: int, random: np.random.Generator) -> Floats:
    """From nearly 0 to about 1 over the cycles [life]: exponential growth of a rate that differs between engines."""
    start, rate = random.uniform(0, 0.12), random.uniform(3.0, 4.0)
    grown = np.expm1(rate * np.arange(1, life + 1) / life) / np.expm1(rate)
    uneven = np.cumsum(random.normal(0, 0.003, life))
    return np.asarray(np.clip(start + (1 - start) * grown + uneven * (1 - grown), 0, 1.05))


def _reading(sensor: Sensor, flights: Floats, wear: Floats, parts: Floats, random: np.random.Generator) -> Floats:
    """What the sensor says at each cycle, [N]; the wear shows more the higher the throttle."""
    usual = sensor.usual + (flights - REGIMES.mean(axis=0)) @ np.array(sensor.flight)
    shown = wear**sensor.curve * float(parts @ np.array(sensor.wear)) * (flights[:, 2] / 70)
    error = random.normal(0, sensor.offset) + random.normal(0, sensor.noise, len(wear))
    return np.asarray(np.round(usual + shown + error, 4))


def _recorded(life: int, random: np.random.Generator) -> NDArray[np.bool_]:
    """Mask [life] of the cycles whose record arrived; the first and the last one always do."""
    arrived = random.random(life) >= LOST
    if random.random() < OUTAGES:
        start = int(random.integers(10, life - 40))
        arrived[start : start + int(random.integers(12, 21))] = False
    arrived[[0, -1]] = True
    return arrived


def _write(runs: list[pd.DataFrame], path: Path) -> None:
    pq.write_table(pa.Table.from_pandas(pd.concat(runs, ignore_index=True), preserve_index=False), path)

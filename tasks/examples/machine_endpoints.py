"""Telemetry endpoints of three plants, each with its own names, units, words and clock, and the one table they become.

Inside, temperatures are in kelvin, torque is in newton metres, speed in turns a minute, wear in minutes, time in UTC.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ENDPOINTS = "endpoints"
TELEMETRY = "telemetry.parquet"
POUND_FOOT = 1.3558179483314004
"""Newton metres."""
FAHRENHEIT = 5 / 9
"""Kelvin."""

# fmt: off
UNITS: dict[str, tuple[float, float]] = {
    "K": (1, 0), "degC": (1, 273.15), "degF": (FAHRENHEIT, 459.67 * FAHRENHEIT),
    "Nm": (1, 0), "lb-ft": (POUND_FOOT, 0),
    "rpm": (1, 0), "Hz": (60, 0),
    "min": (1, 0), "h": (60, 0),
}
"""Factor and offset that bring a value into the unit that is used inside."""
# fmt: on


@dataclass(frozen=True)
class Endpoint:
    """How one plant reports what its machines measure."""

    plant: str
    file: str
    zone: str
    clock: str
    """Pattern of the local time, in the words of strptime."""
    names: dict[str, str]
    """The plant's own names of our columns."""
    units: dict[str, str]
    """Units of the measured columns."""
    words: dict[str, dict[str, str]]
    """The plant's own words for our values, by column."""


LYON = Endpoint(
    plant="Lyon",
    file="lyon.csv",
    zone="Europe/Paris",
    clock="%d/%m/%Y %H:%M:%S",
    names={
        "reading": "releve",
        "machine": "machine",
        "machine type": "procede",
        "measured": "horodatage",
        "air temperature": "temp_air_C",
        "process temperature": "temp_procede_C",
        "speed": "vitesse_tr_min",
        "torque": "couple_Nm",
        "tool wear": "usure_outil_min",
        "failure": "panne",
    },
    units={
        "air temperature": "degC",
        "process temperature": "degC",
        "speed": "rpm",
        "torque": "Nm",
        "tool wear": "min",
    },
    words={
        "machine type": {"milling": "fraisage", "turning": "tournage", "drilling": "percage"},
        "failure": {"yes": "oui", "no": "non"},
    },
)
AUSTIN = Endpoint(
    plant="Austin",
    file="austin.jsonl",
    zone="America/Chicago",
    clock="%m/%d/%Y %I:%M:%S %p",
    names={
        "reading": "readingId",
        "machine": "asset",
        "machine type": "process",
        "measured": "localTime",
        "air temperature": "ambientF",
        "process temperature": "processF",
        "speed": "spindleRpm",
        "torque": "torqueLbFt",
        "tool wear": "toolMinutes",
        "failure": "failed",
    },
    units={
        "air temperature": "degF",
        "process temperature": "degF",
        "speed": "rpm",
        "torque": "lb-ft",
        "tool wear": "min",
    },
    words={
        "machine type": {"milling": "MILL", "turning": "LATHE", "drilling": "DRILL"},
        "failure": {"yes": "Y", "no": "N"},
    },
)
OSAKA = Endpoint(
    plant="Osaka",
    file="osaka.parquet",
    zone="Asia/Tokyo",
    clock="%Y%m%d%H%M%S",
    names={
        "reading": "record",
        "machine": "unit",
        "machine type": "work",
        "measured": "jst",
        "air temperature": "t_air",
        "process temperature": "t_proc",
        "speed": "spindle_hz",
        "torque": "torque",
        "tool wear": "tool_h",
        "failure": "ng",
    },
    units={"air temperature": "K", "process temperature": "K", "speed": "Hz", "torque": "Nm", "tool wear": "h"},
    words={
        "machine type": {"milling": "M", "turning": "T", "drilling": "D"},
        "failure": {"yes": "1", "no": "0"},
    },
)
PLANTS = (LYON, AUSTIN, OSAKA)
DIGITS = {"degC": 2, "degF": 1, "K": 2, "Nm": 2, "lb-ft": 2, "rpm": 0, "Hz": 3, "min": 0, "h": 3}
"""Decimals that an endpoint reports."""


def report(table: pd.DataFrame, endpoint: Endpoint, folder: Path) -> None:
    """Writes the plant's file, in its own terms, into `folder`; row i is row i of `table`, which is in ours."""
    theirs = {name: _told(table[name], name, endpoint) for name in endpoint.names}
    frame = pd.DataFrame(theirs).rename(columns=endpoint.names)
    _WRITERS[Path(endpoint.file).suffix](frame, folder / endpoint.file)


def unify(folder: Path) -> Path:
    """The path of `telemetry.parquet` in `folder`: the rows of all endpoints, in one set of names, units and words."""
    tables = [_understood(folder / ENDPOINTS / endpoint.file, endpoint) for endpoint in PLANTS]
    target = folder / TELEMETRY
    pq.write_table(pa.Table.from_pandas(pd.concat(tables, ignore_index=True), preserve_index=False), target)
    return target


def _told(column: pd.Series, name: str, endpoint: Endpoint) -> pd.Series:
    if name in endpoint.units:
        factor, offset = UNITS[endpoint.units[name]]
        return ((column - offset) / factor).round(DIGITS[endpoint.units[name]])
    if name == "measured":
        return _clock_times(column, endpoint)
    return column.map(endpoint.words[name]) if name in endpoint.words else column


def _clock_times(instants: pd.Series, endpoint: Endpoint) -> pd.Series:
    """What a clock on the plant's wall shows; by Arrow, which formats many stamps far faster than pandas does."""
    local = instants.dt.tz_convert(endpoint.zone).dt.tz_localize(None).astype("datetime64[s]")
    texts = pc.strftime(pa.array(local.to_numpy()), endpoint.clock, locale="C")
    return pd.Series(texts.to_numpy(zero_copy_only=False), index=instants.index)


def _understood(file: Path, endpoint: Endpoint) -> pd.DataFrame:
    theirs = _READERS[file.suffix](file)
    ours = {name: _meant(theirs[column], name, endpoint) for name, column in endpoint.names.items()}
    return pd.DataFrame({"reading": ours.pop("reading"), "plant": endpoint.plant, **ours})


def _meant(column: pd.Series, name: str, endpoint: Endpoint) -> pd.Series:
    if name in endpoint.units:
        factor, offset = UNITS[endpoint.units[name]]
        return (column.astype("float64") * factor + offset).round(3)
    if name == "measured":
        return _instants(column, endpoint)
    words = {theirs: ours for ours, theirs in endpoint.words.get(name, {}).items()}
    return column.map(words) if words else column


def _instants(local: pd.Series, endpoint: Endpoint) -> pd.Series:
    """UTC; of an hour that the change to winter time doubles, the first is meant."""
    wall = pd.to_datetime(local, format=endpoint.clock)
    summer = np.ones(len(wall), dtype=bool)
    return wall.dt.tz_localize(endpoint.zone, ambiguous=summer, nonexistent="shift_forward").dt.tz_convert("UTC")


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, sep=";", decimal=",", index=False, lineterminator="\n")


def _write_json_lines(frame: pd.DataFrame, path: Path) -> None:
    frame.to_json(path, orient="records", lines=True)


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), path)


def _read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep=";", decimal=",")


def _read_json_lines(path: Path) -> pd.DataFrame:
    return pd.read_json(path, lines=True, dtype=False)


_WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
    ".parquet": _write_parquet,
}
_READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".jsonl": _read_json_lines,
    ".parquet": pd.read_parquet,
}

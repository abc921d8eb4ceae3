import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.modelfile import read_model_file
from tasks.examples.machine_endpoints import AUSTIN, ENDPOINTS, LYON, OSAKA, PLANTS, TELEMETRY, report, unify
from tasks.examples.machine_failure import MEASURED, make
from tests.small import ROOT

SPEC = ROOT / "models" / "specs" / "machine-failure.toml"


def made(folder: Path, **settings: float) -> pd.DataFrame:
    make(folder, **settings)  # type: ignore[arg-type]
    return pd.read_parquet(folder / TELEMETRY)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fleet without drift."""
    folder = tmp_path_factory.mktemp("calm")
    make(folder)
    return folder


@pytest.fixture(scope="module")
def telemetry(calm: Path) -> pd.DataFrame:
    return pd.read_parquet(calm / TELEMETRY)


def reading(**changed: object) -> pd.DataFrame:
    """One reading in our terms: half past ten at night in UTC on the 9th of July."""
    row = {
        "reading": "X-1",
        "machine": "X-01",
        "machine type": "turning",
        "measured": pd.Timestamp("2025-07-09 22:30:00", tz="UTC"),
        "air temperature": 300.15,
        "process temperature": 310.15,
        "speed": 1500.0,
        "torque": 40.0,
        "tool wear": 90.0,
        "failure": "yes",
    }
    return pd.DataFrame([row | changed])


def test_equal_seeds_write_equal_bytes_and_others_do_not(tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        make(tmp_path / name, seed=seed, rows=300)
    files = [Path(TELEMETRY), *(Path(ENDPOINTS) / endpoint.file for endpoint in PLANTS)]
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
        assert (tmp_path / "one" / file).read_bytes() != (tmp_path / "other" / file).read_bytes()


@pytest.mark.parametrize("rows", [4, 1001])
def test_there_are_as_many_readings_as_were_asked_for_and_each_has_its_own_name(tmp_path: Path, rows: int) -> None:
    table = made(tmp_path, rows=rows)
    assert len(table) == rows
    assert table["reading"].is_unique
    assert set(table["plant"]) == {"Lyon", "Austin", "Osaka"}


def test_three_to_four_readings_of_a_hundred_are_failures_in_the_fleet_and_about_as_many_in_each_plant(
    telemetry: pd.DataFrame,
) -> None:
    failed = telemetry["failure"].eq("yes")
    assert 0.03 <= failed.mean() <= 0.04
    assert failed.groupby(telemetry["plant"]).mean().between(0.025, 0.045).all()


def test_lyon_writes_semicolons_decimal_commas_celsius_and_the_day_first(tmp_path: Path) -> None:
    report(reading(), LYON, tmp_path)
    assert (tmp_path / "lyon.csv").read_text().splitlines()[1] == (
        "X-1;X-01;tournage;10/07/2025 00:30:00;27,0;37,0;1500,0;40,0;90,0;oui"
    )


def test_austin_writes_fahrenheit_pound_feet_and_the_month_first(tmp_path: Path) -> None:
    report(reading(), AUSTIN, tmp_path)
    row = json.loads((tmp_path / "austin.jsonl").read_text())
    assert row["localTime"] == "07/09/2025 05:30:00 PM"
    assert row["ambientF"] == pytest.approx(80.6)
    assert row["torqueLbFt"] == pytest.approx(29.5)
    assert (row["process"], row["failed"]) == ("LATHE", "Y")


def test_osaka_writes_hertz_and_hours_and_a_time_without_separators(tmp_path: Path) -> None:
    report(reading(), OSAKA, tmp_path)
    row = pd.read_parquet(tmp_path / "osaka.parquet").iloc[0]
    assert row["jst"] == "20250710073000"
    assert row["spindle_hz"] == pytest.approx(25)
    assert row["tool_h"] == pytest.approx(1.5)
    assert (row["work"], row["ng"]) == ("T", "1")


def test_what_three_plants_say_of_one_event_is_one_and_the_same_row(tmp_path: Path) -> None:
    raw = tmp_path / ENDPOINTS
    raw.mkdir()
    for endpoint in PLANTS:
        report(reading(), endpoint, raw)
    table = pd.read_parquet(unify(tmp_path))
    assert table["measured"].eq(pd.Timestamp("2025-07-09 22:30:00", tz="UTC")).all()
    assert table["machine type"].eq("turning").all()
    assert table["failure"].eq("yes").all()
    expected = reading()[list(MEASURED)].iloc[0].to_numpy()
    np.testing.assert_allclose(table[list(MEASURED)], np.tile(expected, (3, 1)), rtol=1e-3)


def test_a_value_that_a_sensor_did_not_deliver_stays_missing_through_every_endpoint(tmp_path: Path) -> None:
    raw = tmp_path / ENDPOINTS
    raw.mkdir()
    for endpoint in PLANTS:
        report(pd.concat([reading(torque=np.nan), reading(reading="X-2")]), endpoint, raw)
    table = pd.read_parquet(unify(tmp_path))
    assert table["torque"].isna().tolist() == [True, False] * 3
    assert table["reading"].tolist() == ["X-1", "X-2"] * 3


def test_of_an_hour_that_winter_time_doubles_the_first_is_meant(tmp_path: Path) -> None:
    raw = tmp_path / ENDPOINTS
    raw.mkdir()
    second = pd.Timestamp("2025-10-26 01:30:00", tz="UTC")
    for endpoint in PLANTS:
        report(reading(measured=second), endpoint, raw)
    assert pd.read_parquet(unify(tmp_path))["measured"].tolist() == [second - pd.Timedelta(hours=1), second, second]


def test_readings_are_physical_and_few_are_missing(telemetry: pd.DataFrame) -> None:
    measured = telemetry[list(MEASURED)]
    assert measured.isna().mean().between(0.001, 0.01).all()
    assert telemetry["air temperature"].dropna().between(285, 315).all()
    assert telemetry["tool wear"].dropna().between(0, 251).all()
    assert (measured["process temperature"] - measured["air temperature"]).mean() == pytest.approx(10, abs=0.1)
    assert telemetry["measured"].between("2025-04-01", "2025-09-29").all()


@pytest.mark.parametrize(
    ("name", "risky"),
    [
        ("heat", "`process temperature` - `air temperature` < 8.2 and speed < 1340"),
        ("power", "torque * speed * 0.10472 > 8850"),
        ("overstrain", "`tool wear` * torque > 13500"),
        ("wear", "`tool wear` > 245.5"),
    ],
)
def test_each_rule_makes_failures_where_its_limit_is_passed(telemetry: pd.DataFrame, name: str, risky: str) -> None:
    beyond = telemetry.query(risky)
    assert len(beyond) >= 10, name
    assert beyond["failure"].eq("yes").mean() > 0.75, name


def test_with_drift_the_halls_are_hotter_and_old_machines_fail_more_even_at_equal_strain(
    telemetry: pd.DataFrame, tmp_path: Path
) -> None:
    drifted = made(tmp_path, drift=1.0)
    assert drifted["air temperature"].mean() > telemetry["air temperature"].mean() + 2
    assert drifted["torque"].mean() > telemetry["torque"].mean() * 1.04
    assert drifted["failure"].eq("yes").mean() > 2 * telemetry["failure"].eq("yes").mean()
    strained = "9800 < `tool wear` * torque < 10800"
    old, new = (table.query(strained)["failure"].eq("yes").mean() for table in (drifted, telemetry))
    assert old > new + 0.1


def test_the_model_file_reads_and_asks_for_columns_that_are_there_and_never_for_the_machine(
    telemetry: pd.DataFrame,
) -> None:
    model_file = read_model_file(SPEC)
    assert model_file.name == "machine-failure"
    assert set(model_file.columns) | {"failure", "reading"} == set(telemetry.columns) - {"machine"}
    assert model_file.target.positive in set(telemetry["failure"])

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.examples.remaining_life import CAP, LIVES, SENSORS, SETTINGS, SITES, make, run
from tests.small import ROOT


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines")
    make(folder)
    return folder


@pytest.fixture(scope="module")
def train(folder: Path) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(path) for path in files(folder / "train")], ignore_index=True)


@pytest.fixture(scope="module")
def test(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "test.parquet")


def test_equal_seeds_write_equal_bytes_and_others_do_not(folder: Path, tmp_path: Path) -> None:
    make(tmp_path / "same")
    make(tmp_path / "other", seed=1)
    kept, same, other = files(folder), files(tmp_path / "same"), files(tmp_path / "other")
    assert [path.name for path in kept] == ["test.parquet", *sorted(f"{site}.parquet" for site in SITES)]
    assert [path.read_bytes() for path in same] == [path.read_bytes() for path in kept]
    assert not {path.read_bytes() for path in other} & {path.read_bytes() for path in kept}


def test_a_hundred_engines_train_and_forty_others_test(train: pd.DataFrame, test: pd.DataFrame) -> None:
    assert train["engine"].nunique() == 100
    assert test["engine"].nunique() == 40
    assert not set(train["engine"]) & set(test["engine"])
    assert set(test["site"]) == set(train["site"]) == set(SITES)


def test_engines_live_for_120_to_350_cycles_and_are_seen_from_the_first_to_the_last(
    train: pd.DataFrame, test: pd.DataFrame
) -> None:
    engines = pd.concat([train, test]).groupby("engine")
    assert engines["cycle"].min().eq(1).all()
    assert engines["cycle"].max().between(*LIVES).all()
    assert engines["cycle"].max().nunique() > 70
    assert engines["cycles_left"].min().eq(0).all()


def test_the_target_counts_down_and_is_held_while_the_engine_is_as_good_as_new(train: pd.DataFrame) -> None:
    life = train.groupby("engine")["cycle"].transform("max")
    np.testing.assert_array_equal(train["cycles_left"], np.minimum(life - train["cycle"], CAP))


def test_cycles_are_in_order_and_some_are_missing_a_few_at_a_time_or_a_whole_outage(train: pd.DataFrame) -> None:
    steps = train.groupby("engine")["cycle"].diff().dropna()
    assert (steps >= 1).all()
    assert 0.01 < (steps > 1).mean() < 0.03
    outages = train.loc[steps.index[steps > 5], "engine"]
    assert outages.is_unique
    assert 15 <= len(outages) <= 45
    assert steps.max() <= 25


def test_no_cell_is_empty_and_settings_stay_within_what_can_be_flown(train: pd.DataFrame) -> None:
    assert not train.isna().any(axis=None)
    assert train["altitude"].between(0, 13).all()
    assert train["airspeed"].between(0, 1).all()
    assert train["throttle"].between(40, 100).all()


def test_a_flight_moves_most_readings_more_than_wear_does(train: pd.DataFrame) -> None:
    new = train[train["cycles_left"].eq(CAP)]
    high, low = new[new["altitude"] > 9], new[new["altitude"] < 3]
    worn = train[train["cycles_left"] < 10]
    hidden = [
        abs(high[sensor.name].mean() - low[sensor.name].mean())
        > abs(worn[sensor.name].mean() - new[sensor.name].mean())
        for sensor in SENSORS
    ]
    assert sum(hidden) >= 5


def test_what_wears_shows_in_its_own_sensors(train: pd.DataFrame) -> None:
    new, worn = train["cycles_left"].eq(CAP), train["cycles_left"] < 10

    def rise(part: str, sensor: str) -> float:
        of_part = train["worn"].eq(part)
        return float(train.loc[of_part & worn, sensor].mean() - train.loc[of_part & new, sensor].mean())

    assert rise("turbine", "exhaust temperature") > rise("compressor", "exhaust temperature") + 8
    assert rise("compressor", "compressor temperature") > rise("turbine", "compressor temperature") + 4
    assert rise("compressor", "core speed") < 0 < rise("turbine", "core speed")


def test_a_worn_engine_vibrates_and_only_late(train: pd.DataFrame) -> None:
    vibration = train.groupby(pd.cut(train["cycles_left"], [-1, 10, 50, 80, CAP]))["vibration"].mean().to_numpy()
    assert vibration[0] > vibration[1] + 0.1
    assert abs(vibration[2] - vibration[3]) < 0.05


def test_sensors_of_two_engines_disagree_from_the_start() -> None:
    random = np.random.default_rng(0)
    pressures = [run(f"e{n}", "north", random).head(40)["oil pressure"].mean() for n in range(12)]
    assert np.std(pressures) > 0.015


def test_the_model_file_reads_every_channel_and_never_the_answer(train: pd.DataFrame, test: pd.DataFrame) -> None:
    spec = tomllib.loads((ROOT / "models" / "specs" / "remaining-life.toml").read_text())
    assert list(spec["columns"]) == [*SETTINGS, *(sensor.name for sensor in SENSORS)]
    assert set(spec["columns"].values()) == {"series"}
    assert spec["series"]["group"] == spec["split"]["group"] == "engine"
    named = {*spec["columns"], *spec["evaluation"]["slices"], spec["target"]["column"], "engine", "cycle"}
    assert named == set(train.columns) == set(test.columns)

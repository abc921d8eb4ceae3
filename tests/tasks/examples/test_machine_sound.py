import hashlib
import tomllib
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tasks.examples import machine_sound
from tasks.examples.machine_acoustics import FREQUENCIES, RATE, Floats, Machine, Running, draw_machine, play
from tasks.examples.machine_sound import MACHINES, STATES, make
from tests.small import ROOT

SPLITS = ("train", "test")
PER_MACHINE = sum(STATES.values())


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recordings of the first machines only."""
    folder = tmp_path_factory.mktemp("sound")
    make_few(folder, seed=0)
    return folder


def make_few(folder: Path, seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine_sound, "MACHINES", {"train": 4, "test": 2})
        make(folder, seed)


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    return {split: pd.read_csv(folder / f"{split}.csv", keep_default_na=False) for split in SPLITS}


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def clear(machine: Machine) -> Machine:
    """The machine with a lightly damped resonance at 3 kHz and even noise, so that a test can measure its rhythm."""
    return replace(machine, resonance=3000.0, damping=600.0, shape=np.ones(len(FREQUENCIES)))


def rhythm(sound: Floats, centre: float) -> Floats:
    """Spectrum of the envelope of the band around a frequency, at each Hz."""
    spectrum = np.fft.fft(sound)
    band = np.where(np.abs(np.fft.fftfreq(RATE, 1 / RATE) - centre) < 300, spectrum, 0)
    envelope = np.abs(np.fft.ifft(band)) ** 2
    return np.asarray(np.abs(np.fft.rfft(envelope - envelope.mean())))


def heard(state: str, strength: float = 8.0, centre: float = 3000.0) -> tuple[Machine, Floats]:
    """A machine at 8 turns a second, and the rhythm of its sound, averaged over 8 recordings."""
    random = np.random.default_rng(1)
    machine = clear(draw_machine("m", random))
    running = Running(state, strength, hall=0.1, speed=8.0, load=1.0)
    return machine, np.mean([rhythm(play(machine, running, random), centre) for _ in range(8)], axis=0)


def around(spectrum: Floats, frequency: float) -> float:
    """The highest value within 2 Hz, over the middle value from 3 to 100 Hz."""
    place = round(frequency)
    return float(spectrum[place - 2 : place + 3].max() / np.median(spectrum[3:100]))


def test_equal_seeds_write_equal_bytes_and_others_do_not(few: Path, tmp_path: Path) -> None:
    make_few(tmp_path / "same", seed=0)
    make_few(tmp_path / "other", seed=1)
    first, other = digests(few), digests(tmp_path / "other")
    assert digests(tmp_path / "same") == first
    assert first.keys() == other.keys()
    assert not set(first.values()) & set(other.values())


def test_about_800_recordings_train_and_300_test() -> None:
    assert {split: machines * PER_MACHINE for split, machines in MACHINES.items()} == {"train": 800, "test": 300}


def test_each_row_names_a_recording_of_one_second_at_16_kilohertz_and_no_file_is_left_over(few: Path) -> None:
    for split, table in tables(few).items():
        on_disk = {path.relative_to(few).as_posix() for path in (few / split).iterdir()}
        assert on_disk == set(table["recording"])
        for path in table["recording"]:
            with wave.open(str(few / path)) as file:
                assert (file.getframerate(), file.getnframes(), file.getnchannels()) == (16_000, 16_000, 1)


def test_no_machine_is_in_both_splits_and_each_is_recorded_in_all_states(few: Path) -> None:
    parts = tables(few)
    assert not set(parts["train"]["machine"]) & set(parts["test"]["machine"])
    for table in parts.values():
        counts = table.groupby("machine")["state"].value_counts().unstack()
        assert (counts[list(STATES)] == list(STATES.values())).all(axis=None)


def test_half_of_the_faults_are_early_and_healthy_machines_have_none(few: Path) -> None:
    table = pd.concat(list(tables(few).values()))
    healthy = table["state"].eq("healthy")
    assert table.loc[healthy, "severity"].eq("none").all()
    assert table.loc[~healthy, "severity"].value_counts().to_dict() == {"early": 36, "late": 36}


def test_how_loud_a_recording_is_tells_nothing_about_the_machine(few: Path) -> None:
    table = pd.concat(list(tables(few).values()), ignore_index=True)
    loudness = []
    for path in table["recording"]:
        with wave.open(str(few / path)) as file:
            samples = np.frombuffer(file.readframes(16_000), "<i2").astype(np.float64)
        assert 0.05 < np.abs(samples).max() / 32767 < 0.95
        loudness.append(20 * np.log10(samples.std()))
    by_state = pd.Series(loudness).groupby(table["state"])
    assert np.ptp(by_state.mean().to_numpy()) < by_state.std().min()


def test_a_machine_fails_at_the_rates_that_its_geometry_gives() -> None:
    machine = replace(draw_machine("m", np.random.default_rng(0)), balls=8, ratio=0.25)
    assert machine.outer == pytest.approx(3.0)
    assert machine.inner == pytest.approx(5.0)


def test_balls_strike_an_outer_race_at_its_own_rate() -> None:
    machine, spectrum = heard("outer race")
    assert around(spectrum, machine.outer * 8) > 5


def test_strikes_on_an_inner_race_swell_once_in_a_turn() -> None:
    machine, spectrum = heard("inner race")
    assert around(spectrum, 8) > 3
    assert around(spectrum, machine.inner * 8) > 3


def test_an_imbalance_makes_the_whole_sound_swell_once_in_a_turn_where_nothing_rings_too() -> None:
    for centre in (1500.0, 6000.0):
        assert around(heard("imbalance", 3.0, centre)[1], 8) > 8
        assert around(heard("outer race", 3.0, centre)[1], 8) < 3


def test_a_healthy_machine_has_no_rhythm() -> None:
    machine, spectrum = heard("healthy", strength=0.0)
    assert around(spectrum, 8) < 3
    assert around(spectrum, machine.outer * 8) < 3


def test_an_early_fault_is_quieter_than_a_late_one() -> None:
    machine, early = heard("outer race", strength=1.5)
    _, late = heard("outer race", strength=4.0)
    assert around(early, machine.outer * 8) < around(late, machine.outer * 8)


def test_the_model_file_keeps_machines_apart_and_hears_the_recording_alone(few: Path) -> None:
    spec = tomllib.loads((ROOT / "models" / "specs" / "machine-sound.toml").read_text())
    assert [source["uri"] for source in spec["sources"]] == ["train.csv", "test.csv"]
    assert spec["sources"][1]["split"] == "test"
    assert list(spec["columns"]) == ["recording"]
    assert spec["split"]["group"] == "machine"
    named = {spec["target"]["column"], spec["split"]["group"], *spec["columns"], *spec["evaluation"]["slices"]}
    assert all(named <= set(table.columns) for table in tables(few).values())

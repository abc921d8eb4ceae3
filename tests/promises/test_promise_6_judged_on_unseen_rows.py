"""Promise 6: the verdict uses rows that neither challenger nor champion trained or validated on.

What a model saw is worked out here from the identity of rows alone (the feature `x`, one value per row), so that no
fault in hashing, cut-offs or sources can hide behind itself.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.contract import SplitSpec
from models.errors import InputError
from models.modelfile import read_model_file
from tasks.data.layout import SOURCE
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import assign, fit_split, judged_rows, why_not_comparable

START = pd.Timestamp("2024-01-01")


@dataclass(frozen=True)
class Learnt:
    """A model as far as this promise goes: its rule, its rows, and which of them it trained or validated on."""

    spec: SplitSpec
    table: pa.Table
    seen: frozenset[float]


def rows(first: int, last: int, seed: int = 0) -> pd.DataFrame:
    """Rows `first` to `last`; what a row holds depends on its number alone."""
    random = np.random.default_rng(seed)
    numbers = np.arange(first, last)
    return pd.DataFrame(
        {
            "k": [f"key-{number}" for number in numbers],
            "g": [f"group-{number // 7}" for number in numbers],
            "t": START + pd.to_timedelta(numbers // 3, unit="D"),
            "s": np.array(["train", "validation", "test"])[numbers % 3],
            "x": numbers + 0.5,
            "y": (numbers + random.integers(0, 2)) % 2,
        }
    )


def learn(folder: Path, split: str, files: dict[str, pd.DataFrame], declared: dict[str, str] | None = None) -> Learnt:
    """What a training from these files and this split section would keep of them."""
    sources = ""
    for name, frame in files.items():
        frame.to_csv(folder / name, index=False)
        said = (declared or {}).get(name)
        sources += f'[[sources]]\nuri = "{name}"\n' + (f'split = "{said}"\n' if said else "")
    path = folder / "model.toml"
    path.write_text(f'name = "m"\n{sources}[target]\ncolumn = "y"\n[columns]\nx = "number"\n{split}')
    model_file = read_model_file(path)
    snapshot = open_snapshot(ingest(model_file, folder).manifest)
    table = snapshot.table()
    spec = fit_split(model_file, snapshot)
    seen = table["x"].to_numpy()[assign(table, spec) != 2]
    return Learnt(spec, table, frozenset(seen.tolist()))


def judged(champion: Learnt, challenger: Learnt) -> set[float] | None:
    """The identities of the rows on which the two would meet."""
    if why_not_comparable(challenger.table.column_names, challenger.spec, champion.spec):
        return None
    sources = set(challenger.table[SOURCE].cast(pa.string()).to_pylist())
    mask = judged_rows(challenger.table, challenger.spec, champion.spec, sources)
    return set(challenger.table["x"].to_numpy()[mask].tolist())


def unseen(champion: Learnt, challenger: Learnt) -> set[float]:
    """The judged rows, after checking that neither saw one of them."""
    found = judged(champion, challenger)
    assert found is not None
    assert not found & champion.seen
    assert not found & challenger.seen
    return found


SECTIONS = {
    "key": '[split]\nkey = "k"\n',
    "features": "",
    "other shares": '[split]\nkey = "k"\ntest = 0.35\nvalidation = 0.05\n',
    "group": '[split]\nkey = "k"\ngroup = "g"\n',
    "time": '[split]\nkey = "k"\ntime = "t"\n',
    "column": '[split]\nkey = "k"\ncolumn = "s"\n',
}


@settings(max_examples=15, deadline=None)
@given(before=st.integers(60, 150), more=st.integers(0, 150), section=st.sampled_from(["key", "features", "group"]))
def test_growing_data_moves_no_row(before: int, more: int, section: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        champion = learn(Path(folder), SECTIONS[section], {"a.csv": rows(0, before)})
        challenger = learn(Path(folder), SECTIONS[section], {"a.csv": rows(0, before + more)})
    assert champion.seen <= challenger.seen
    tested = set(challenger.table["x"].to_pylist()) - challenger.seen
    assert unseen(champion, challenger) == tested


@settings(max_examples=15, deadline=None)
@given(slide=st.integers(0, 400), window=st.sampled_from(["last_days = 60", "last_rows = 180", "last_days = 1000"]))
def test_rolling_windows_judge_only_what_is_later_than_both_cut_offs(slide: int, window: str) -> None:
    section = f'[split]\ntime = "t"\n[data]\n{window}\n'
    with tempfile.TemporaryDirectory() as folder:
        champion = learn(Path(folder), section, {"a.csv": rows(0, 300)})
        challenger = learn(Path(folder), section, {"a.csv": rows(0, 300 + slide)})
    found = unseen(champion, challenger)
    cut_off = max(champion.spec.test_from or 0, challenger.spec.test_from or 0)
    stamps = {row: (START + pd.Timedelta(days=int(row) // 3)).timestamp() for row in challenger.table["x"].to_pylist()}
    assert found == {row for row, stamp in stamps.items() if stamp >= cut_off}


@pytest.mark.parametrize("before", SECTIONS)
@pytest.mark.parametrize("after", SECTIONS)
def test_a_changed_split_section_judges_no_row_that_was_seen(tmp_path: Path, before: str, after: str) -> None:
    champion = learn(tmp_path, SECTIONS[before], {"a.csv": rows(0, 240)})
    challenger = learn(tmp_path, SECTIONS[after], {"a.csv": rows(0, 300)})
    found = judged(champion, challenger)
    decided = set(champion.spec.columns) <= set(challenger.table.column_names)
    assert (found is not None) == decided
    if found is not None:
        assert unseen(champion, challenger)


def test_sources_that_are_test_data_stay_test_data(tmp_path: Path) -> None:
    declared = {"old.csv": "train", "val.csv": "validation", "test.csv": "test"}
    files = {"old.csv": rows(0, 100), "val.csv": rows(100, 130), "test.csv": rows(130, 180)}
    champion = learn(tmp_path, "", files, declared)
    challenger = learn(tmp_path, SECTIONS["other shares"], {**files, "old.csv": rows(200, 300)}, declared)
    assert unseen(champion, challenger) == {number + 0.5 for number in range(130, 180)}


def test_training_rows_that_come_back_under_another_name_are_not_judged(tmp_path: Path) -> None:
    files = {"train.csv": rows(0, 200), "test.csv": rows(200, 260)}
    champion = learn(tmp_path, SECTIONS["key"], files, {"train.csv": "train"})
    challenger = learn(tmp_path, SECTIONS["key"], {"all.csv": rows(0, 260)})
    assert unseen(champion, challenger) == set()


def test_test_rows_that_are_trained_on_later_are_not_judged(tmp_path: Path) -> None:
    files = {"a.csv": rows(0, 200), "b.csv": rows(200, 260)}
    champion = learn(tmp_path, "", files, {"b.csv": "test"})
    challenger = learn(tmp_path, "", files, {"b.csv": "train"})
    assert unseen(champion, challenger) == set()


def test_rows_of_known_sources_are_judged_beside_declared_ones(tmp_path: Path) -> None:
    files = {"a.csv": rows(0, 100), "b.csv": rows(100, 300)}
    champion = learn(tmp_path, SECTIONS["key"], files, {"a.csv": "train"})
    challenger = learn(tmp_path, SECTIONS["key"], {**files, "b.csv": rows(100, 400)}, {"a.csv": "train"})
    assert unseen(champion, challenger)


def test_a_first_model_is_judged_on_its_own_test_rows(tmp_path: Path) -> None:
    only = learn(tmp_path, SECTIONS["key"], {"a.csv": rows(0, 200)})
    mask = judged_rows(only.table, only.spec, None, ())
    assert set(only.table["x"].to_numpy()[mask].tolist()) == set(only.table["x"].to_pylist()) - only.seen


def test_a_split_that_leaves_nothing_to_judge_is_an_error_not_a_verdict(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row is left for"):
        learn(tmp_path, '[split]\nkey = "k"\ncolumn = "s"\n', {"a.csv": rows(0, 60).query("s != 'test'")})

"""Rows that changed sides after a model had learnt from them; what it learnt from is worked out from `x` alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.contract import SplitSpec
from models.modelfile import read_model_file
from tasks.data.learnt import learnt_rows, may_change_sides
from tasks.data.snapshot import Snapshot, ingest, open_snapshot
from tasks.data.splits import TEST, assign, fit_split

KEY = '[split]\nkey = "k"\n'
SIDES = np.array(["train", "validation", "test"])


@dataclass(frozen=True)
class Learnt:
    snapshot: Snapshot
    spec: SplitSpec
    seen: frozenset[float]


def rows(count: int = 120) -> pd.DataFrame:
    numbers = np.arange(count)
    return pd.DataFrame(
        {
            "k": [f"key-{number}" for number in numbers],
            "g": [f"group-{number // 4}" for number in numbers],
            "t": (pd.Timestamp("2024-01-01") + pd.to_timedelta(numbers, unit="D")).strftime("%Y-%m-%d"),
            "s": SIDES[numbers % 3],
            "x": numbers + 0.5,
            "y": numbers % 2,
        }
    )


def learn(folder: Path, split: str, frame: pd.DataFrame, test: pd.DataFrame | None = None) -> Learnt:
    sources = '[[sources]]\nuri = "rows.csv"\n'
    frame.to_csv(folder / "rows.csv", index=False)
    if test is not None:
        sources = '[[sources]]\nuri = "rows.csv"\n[[sources]]\nuri = "test.csv"\nsplit = "test"\n'
        test.to_csv(folder / "test.csv", index=False)
    path = folder / "model.toml"
    path.write_text(f'name = "m"\n{sources}[target]\ncolumn = "y"\n[columns]\nx = "number"\n{split}')
    model_file = read_model_file(path)
    snapshot = open_snapshot(ingest(model_file, folder).manifest)
    spec = fit_split(model_file, snapshot)
    table = snapshot.table()
    return Learnt(snapshot, spec, frozenset(table["x"].to_numpy()[assign(table, spec) != TEST].tolist()))


def judged(champion: Learnt, now: Learnt, key: tuple[str, ...]) -> set[float]:
    """Test rows of today by the champion's rule, less those it learnt from."""
    table = now.snapshot.table()
    free = ~learnt_rows(now.snapshot, champion.snapshot, champion.spec, key)
    return set(table["x"].to_numpy()[(assign(table, champion.spec) == TEST) & free].tolist())


CHANGES = {
    "relabelled": ('column = "s"\n', {"s": SIDES[(np.arange(120) + 1) % 3]}),
    "regrouped": ('group = "g"\n', {"g": [f"group-{number // 4 + 100}" for number in range(120)]}),
    "later": ('time = "t"\n', {"t": rows()["t"].to_numpy()[::-1]}),
}


@pytest.mark.parametrize("how", CHANGES)
def test_with_a_key_no_row_that_changed_sides_is_judged(tmp_path: Path, how: str) -> None:
    rule, changed = CHANGES[how]
    champion = learn(tmp_path, KEY + rule, rows())
    now = learn(tmp_path, KEY + rule, pd.concat([rows().assign(**changed), rows(300).iloc[120:]]))
    assert may_change_sides(champion.spec, ("k",))
    table = now.snapshot.table()
    moved = set(table["x"].to_numpy()[assign(table, champion.spec) == TEST].tolist())
    assert moved & champion.seen
    assert judged(champion, now, ("k",)) == moved - champion.seen


@pytest.mark.parametrize("how", ["relabelled", "regrouped"])
def test_without_a_key_rows_are_known_by_what_they_hold(tmp_path: Path, how: str) -> None:
    rule, changed = CHANGES[how]
    champion = learn(tmp_path, f"[split]\n{rule}", rows())
    now = learn(tmp_path, f"[split]\n{rule}", rows().assign(**changed))
    assert may_change_sides(champion.spec, ())
    assert not judged(champion, now, ()) & champion.seen


def test_rows_that_only_look_alike_are_judged_as_long_as_none_is_gone(tmp_path: Path) -> None:
    alike = rows().assign(x=1.0, y=np.arange(120) % 2)
    champion = learn(tmp_path, '[split]\ncolumn = "s"\n', alike)
    now = learn(tmp_path, '[split]\ncolumn = "s"\n', pd.concat([alike, alike]))
    assert learnt_rows(now.snapshot, champion.snapshot, champion.spec, ()).sum() == 0
    fewer = learn(tmp_path, '[split]\ncolumn = "s"\n', alike.iloc[6:])
    marked = learnt_rows(fewer.snapshot, champion.snapshot, champion.spec, ())
    assert marked.sum() == (alike.iloc[6:]["s"] == "test").sum()


def test_rows_that_moved_to_a_test_file_are_not_judged(tmp_path: Path) -> None:
    frame = rows()
    champion = learn(tmp_path, "", frame.iloc[:100], frame.iloc[100:])
    now = learn(tmp_path, "", frame.iloc[50:100], pd.concat([frame.iloc[:50], frame.iloc[100:]]))
    assert may_change_sides(champion.spec, ())
    assert judged(champion, now, ()) == {number + 0.5 for number in range(100, 120)}


def test_a_hashed_key_and_hashed_features_stay_where_they_are(tmp_path: Path) -> None:
    assert not may_change_sides(learn(tmp_path, KEY, rows()).spec, ("k",))
    assert not may_change_sides(learn(tmp_path, "", rows()).spec, ())
    assert not may_change_sides(learn(tmp_path, '[split]\ntime = "t"\n', rows()).spec, ())

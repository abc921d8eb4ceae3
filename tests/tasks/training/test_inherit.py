"""What a warm start takes over: a network then says of a row what the earlier one said, as far as both know the row."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from torch import Tensor

from models.columns import KINDS
from models.columns.category.statistics import CategoryStatistics
from models.errors import InputError
from models.network import FusionNetwork
from tasks.data.splits import fit_split
from tasks.training.fit import Prepared, prepare
from tasks.training.fitted import Inherited
from tasks.training.heritage import read_heritage, write_heritage
from tasks.training.inherit import inherit, loosen
from tasks.training.tensors import Layout, encode_inputs
from tests.small import COLUMNS, QUICK, table
from tests.tasks.training.test_fit import ingested

ROWS = 300
MORE = '"wear" = "number"\n"site" = "category"\n"note" = "text"\n'


class Side:
    """A model file's network on one table, with random weights everywhere, and its heritage."""

    def __init__(self, folder: Path, name: str, frame: pd.DataFrame, seed: int, **more: str) -> None:
        self.model_file, snapshot = ingested(folder / name, "m", frame, **more)
        split = fit_split(self.model_file, snapshot)
        self.prepared: Prepared = prepare(self.model_file, snapshot, split, folder / name / "scratch")
        torch.manual_seed(seed)
        self.network: FusionNetwork = self.prepared.build(self.model_file)
        with torch.no_grad():
            for parameter in self.network.parameters():
                parameter.copy_(torch.randn_like(parameter) * 0.3)
        self.network.load_state_dict(self.network.state_dict())
        self.network.eval()
        self.heritage = self.prepared.heritage(self.network, self.model_file, split)

    def takes(self, then: "Side") -> Inherited:
        return inherit(self.network, self.model_file.columns, self.heritage, then.heritage)

    def says(self, frame: pd.DataFrame) -> Tensor:
        """Probabilities by class name in order, or values, for these raw rows."""
        columns = self.model_file.columns
        parsed = {
            name: KINDS[s.kind].parse(pa.array(frame[name], from_pandas=True), s, ()).values
            for name, s in columns.items()
        }
        rows = encode_inputs(pa.table(parsed), Layout(columns, self.prepared.statistics, "broken"))
        with torch.inference_mode():
            out = torch.cat([self.network.aggregate(self.network(part.inputs)) for part in rows.chunks()])
        order = sorted(range(len(self.prepared.classes)), key=lambda i: str(self.prepared.classes[i]))
        return out[:, order] if order else out


def grown() -> pd.DataFrame:
    """More rows of other numbers, in which one shop is new and all are as frequent as they were not."""
    frame = table(ROWS * 2, seed=1)
    frame["load"], frame["heat"] = frame["load"] * 1.3 + 1, frame["heat"] + 2
    frame.loc[frame.index % 3 == 0, "shop"] = "west"
    return frame


def known(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows without the new shop, within the range that both know well."""
    return frame[(frame["shop"] != "west") & (frame["load"].abs() < 15)].head(100)


def test_equal_columns_of_equal_statistics_are_taken_over_wholly(tmp_path: Path) -> None:
    then, now = (Side(tmp_path, name, table(ROWS), seed) for seed, name in enumerate(("then", "now")))
    assert not torch.allclose(now.says(table(50)), then.says(table(50)), atol=0.1)
    taken = now.takes(then)
    assert (taken.anew, taken.news) == ((), ())
    torch.testing.assert_close(now.says(table(50)), then.says(table(50)), atol=1e-5, rtol=1e-5)


def test_other_bins_scales_and_frequencies_change_little_of_what_is_said(tmp_path: Path) -> None:
    then, now = Side(tmp_path, "then", table(ROWS), 0), Side(tmp_path, "now", grown(), 1)
    before = (now.says(known(table(ROWS))) - then.says(known(table(ROWS)))).abs().mean()
    taken = now.takes(then)
    assert taken.news == ("1 of 4 values: shop",)
    assert now.prepared.statistics["load"] != then.prepared.statistics["load"]
    after = (now.says(known(table(ROWS))) - then.says(known(table(ROWS)))).abs().mean()
    assert after < before / 10


def test_columns_are_found_by_name_and_new_ones_start_anew(tmp_path: Path) -> None:
    frame = table(ROWS).assign(wear=np.arange(ROWS) % 7, site=list("ab") * (ROWS // 2), note="all is well")
    turned = "\n".join(["[columns]", *reversed(COLUMNS.strip().splitlines()[1:]), MORE])
    then = Side(tmp_path, "then", frame, 0)
    now = Side(tmp_path, "now", frame, 1, columns=turned)
    taken = now.takes(then)
    assert taken.news == ("columns: wear", "columns: site", "columns: note")
    first = now.network.trunk[0].weight  # type: ignore[index]
    with torch.no_grad():
        fresh = _features_of(now, ("wear", "site", "note"))
        assert len(fresh) == 12 + 12 + 128
        first[fresh] = 0  # type: ignore[index]
    torch.testing.assert_close(now.says(frame), then.says(frame), atol=1e-5, rtol=1e-5)


def _features_of(side: Side, columns: tuple[str, ...]) -> list[int]:
    """Places of the features of number, category and text columns among all features."""
    names, start, found = list(side.model_file.columns), 0, []
    for group, encoder in side.network.encoders.items():
        kind = group.partition("_")[0]
        of_kind = [n for n in names if side.model_file.columns[n].kind == kind]
        width = int(encoder.out_features)  # type: ignore[arg-type]
        if kind in ("number", "category"):
            each = width // len(of_kind)
            found += [start + of_kind.index(n) * each + i for n in of_kind if n in columns for i in range(each)]
        elif kind == "text":
            found += range(start, start + width)
        start += width
    return found


def test_vectors_of_rare_values_are_loosened_and_no_other_weights(tmp_path: Path) -> None:
    """Of 300 rows with a value half its vector is kept, of 100 a quarter."""
    frame = table(ROWS).assign(site=list("ab") * (ROWS // 2))
    columns = COLUMNS + MORE.splitlines()[1] + "\n"
    side, other = (Side(tmp_path, name, frame, seed, columns=columns) for seed, name in enumerate(("then", "now")))
    before, fresh = ({name: value.clone() for name, value in each.network.named_parameters()} for each in (side, other))
    shop, site = (side.prepared.statistics[name] for name in ("shop", "site"))
    assert isinstance(shop, CategoryStatistics) and isinstance(site, CategoryStatistics)
    rare, frequent = replaced(shop, missing=0, counts=(100, 300, 1)), replaced(site, counts=(2700, 0))
    loosen(side.network, fresh, {**side.prepared.statistics, "shop": rare, "site": frequent})
    kept = torch.tensor([0, 0, 0.25, 0.5, 1 / 301, 0, 0, 0.9, 0]).unsqueeze(1)
    for name, value in side.network.named_parameters():
        expected = kept * before[name] + (1 - kept) * fresh[name] if name.endswith("vectors.weight") else before[name]
        torch.testing.assert_close(value, expected)


def replaced(statistics: CategoryStatistics, **counts: object) -> CategoryStatistics:
    return statistics.model_copy(update={"rare": 0, **counts})


def test_without_categories_nothing_is_loosened(tmp_path: Path) -> None:
    side = Side(tmp_path, "then", table(ROWS), 0, columns='[columns]\n"load" = "number"\n')
    before = {name: value.clone() for name, value in side.network.named_parameters()}
    loosen(side.network, {}, side.prepared.statistics)
    for name, value in side.network.named_parameters():
        assert torch.equal(value, before[name])


def test_classes_are_found_by_name(tmp_path: Path) -> None:
    frame = table(ROWS)
    then = Side(tmp_path, "then", frame, 0, target='column = "broken"\npositive = "yes"')
    now = Side(tmp_path, "now", frame, 1, target='column = "broken"\npositive = "no"')
    assert then.prepared.classes == tuple(reversed(now.prepared.classes))
    now.takes(then)
    torch.testing.assert_close(now.says(frame), then.says(frame), atol=1e-5, rtol=1e-5)


def test_a_value_is_said_in_its_own_unit_though_the_target_has_moved(tmp_path: Path) -> None:
    frame = table(ROWS).assign(broken=table(ROWS)["load"] * 2.5)
    moved = frame.assign(broken=frame["broken"] * 3 + 100)
    then, now = Side(tmp_path, "then", frame, 0), Side(tmp_path, "now", moved, 1)
    now.takes(then)
    torch.testing.assert_close(now.says(frame), then.says(frame), atol=1e-4, rtol=1e-5)


def test_vectors_of_words_follow_their_words(tmp_path: Path) -> None:
    columns = '[columns]\n"note" = "text"\n'
    first, second = ["red fox", "blue sky", "red sky"], ["blue fox", "blue sky", "green fox", "green sky", "red fox"]
    frames = [table(ROWS).assign(note=(words * ROWS)[:ROWS]) for words in (first, second)]
    then, now = (
        Side(tmp_path, name, frame, seed, columns=columns)
        for seed, (name, frame) in enumerate(zip(("then", "now"), frames, strict=True))
    )
    now.takes(then)
    places = [list(side.prepared.statistics["note"].words) for side in (now, then)]  # type: ignore[attr-defined]
    assert places[0] != places[1]
    for word in ("red", "fox", "blue", "sky"):
        new, old = (
            side.network.encoders["text_0"].vectors[2 + words.index(word)]  # type: ignore[index, union-attr]
            for side, words in zip((now, then), places, strict=True)
        )
        assert torch.equal(new, old), word


def test_another_width_keeps_what_is_before_it(tmp_path: Path) -> None:
    then = Side(tmp_path, "then", table(ROWS), 0)
    now = Side(tmp_path, "now", table(ROWS), 1, quick=QUICK.replace("width = 8", "width = 9"))
    taken = now.takes(then)
    assert all(name.startswith(("trunk.", "head.")) for name in taken.anew)
    assert "encoders.number.pieces" in taken.kept and "trunk.0.weight" in taken.anew


@pytest.mark.parametrize(
    "rest",
    ['[split]\nkey = "id"\ntest = 0.3\n', '[split]\nkey = "load"\n', "[split]\n"],
)
def test_nothing_is_taken_over_where_learnt_rows_may_judge(tmp_path: Path, rest: str) -> None:
    then, now = Side(tmp_path, "then", table(ROWS), 0), Side(tmp_path, "now", table(ROWS), 1, rest=rest)
    before = now.says(table(50))
    taken = now.takes(then)
    assert taken.kept == () and "split" in taken.news[0]
    assert torch.equal(now.says(table(50)), before)


def test_a_time_may_move_on_but_not_back(tmp_path: Path) -> None:
    def side(name: str, days: int, seed: int) -> Side:
        frame = table(ROWS).assign(at=pd.date_range("2024-01-01", periods=ROWS) + pd.Timedelta(days=days))
        return Side(tmp_path, name, frame, seed, rest='[split]\ntime = "at"\n')

    early, late = side("early", 0, 0), side("late", 30, 1)
    assert late.takes(early).kept
    assert not side("again", 0, 2).takes(late).kept


def test_a_heritage_is_read_as_it_was_written_and_runs_no_code(tmp_path: Path) -> None:
    side = Side(tmp_path, "then", table(ROWS), 0)
    write_heritage(side.heritage, tmp_path / "heritage.pt")
    back = read_heritage(tmp_path / "heritage.pt")
    assert replace(back, state={}, entries={}) == replace(side.heritage, state={}, entries={})
    assert all(torch.equal(back.state[name], value) for name, value in side.heritage.state.items())
    torch.save({"state": Path("x")}, tmp_path / "heritage.pt")
    with pytest.raises(InputError, match="damaged weights"):
        read_heritage(tmp_path / "heritage.pt")

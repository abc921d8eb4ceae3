"""A first model file for unknown data, and every problem of one at once."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError
from models.modelfile import read_model_file
from tasks.data.inspect import Proposal, examine, propose
from tasks.data.modeltext import quoted
from tasks.data.observe import observe
from tasks.data.snapshot import ingest
from tests.tasks.data.tables import ROWS, proposed, table


def comment_on(proposal: Proposal, column: str) -> str:
    """The comment of the line on which the column is left out."""
    (line,) = [line for line in proposal.text.splitlines() if line.startswith(f"# {quoted(column)} =")]
    return line.partition("    # ")[2]


def test_the_file_loads_and_trains_as_it_is(tmp_path: Path) -> None:
    model_file, proposal = proposed(tmp_path, table())
    assert (model_file.name, model_file.target.kind, model_file.target.positive) == ("m", "binary", "yes")
    assert 'uri = "data.csv"' in proposal.text
    assert ingest(model_file, tmp_path).rows == ROWS
    assert model_file.gates["average_precision"].min == pytest.approx((table()["y"] == "yes").mean(), abs=1e-4)


def test_kinds_are_found(tmp_path: Path) -> None:
    i = np.arange(ROWS)
    frame = table(
        whole=i % 37,
        decimal=(i * 7 % 400) / 3,
        word=np.array(["u", "v", "w"])[i % 3],
        flag=i % 2,
        said=np.array(["Yes", "No"])[i % 2],
        zip=[f"0{n % 50:04}" for n in i],
        iso=pd.date_range("2020-01-01", periods=ROWS)[::-1].strftime("%Y-%m-%dT%H:%M:%S"),
        german=pd.date_range("2020-01-01", periods=ROWS)[::-1].strftime("%d.%m.%Y"),
        compact_date=pd.date_range("2020-01-01", periods=ROWS)[::-1].strftime("%Y%m%d"),
        created_ts=1_600_000_000 + (i * 7919) % 100_000,
    )
    model_file, _ = proposed(tmp_path, frame)
    kinds = {name: settings.model_dump(exclude_defaults=True) for name, settings in model_file.columns.items()}
    assert {name: model_file.columns[name].kind for name in kinds} == {
        "signal": "number", "whole": "number", "decimal": "number", "word": "category", "flag": "boolean",
        "said": "boolean", "zip": "category", "iso": "datetime", "german": "datetime", "compact_date": "datetime",
        "created_ts": "datetime",
    }  # fmt: skip
    assert kinds["german"] == {"format": "%d.%m.%Y"}
    assert kinds["compact_date"] == {"format": "%Y%m%d"}
    assert kinds["created_ts"] == {"format": "unix"}
    assert ingest(model_file, tmp_path).rejected == 0


@pytest.mark.parametrize(("rows", "test"), [(200, 0.4), (400, 0.35), (1000, 0.2)])
def test_small_tables_keep_enough_rows_for_a_judgement(tmp_path: Path, rows: int, test: float) -> None:
    frame = pd.DataFrame({"x": np.arange(rows) % 7 / 3, "y": np.arange(rows) % 2})
    model_file, _ = proposed(tmp_path, frame)
    assert model_file.split.test == test


def test_a_flag_among_numbered_siblings_that_are_numbers_is_a_number(tmp_path: Path) -> None:
    frame = table(pixel_1=np.arange(ROWS) % 17, pixel_2=np.arange(ROWS) % 2, flag=np.arange(ROWS) % 2)
    model_file, _ = proposed(tmp_path, frame)
    kinds = {name: settings.kind for name, settings in model_file.columns.items()}
    assert (kinds["pixel_1"], kinds["pixel_2"], kinds["flag"]) == ("number", "number", "boolean")


def test_typed_columns_of_parquet_files_are_found(tmp_path: Path) -> None:
    frame = table(b=np.arange(ROWS) % 2 == 0, t=pd.date_range("2020-01-01", periods=ROWS)[::-1])
    arrow = (
        pa.Table.from_pandas(frame)
        .append_column("nested", pa.array([[1]] * ROWS))
        .append_column("raw", pa.array([b"x"] * ROWS))
    )
    pq.write_table(arrow, tmp_path / "d.parquet")
    proposal = propose([str(tmp_path / "d.parquet")], "y", "m", tmp_path)
    (tmp_path / "m.toml").write_text(proposal.text)
    columns = read_model_file(tmp_path / "m.toml").columns
    assert {name: found.kind for name, found in columns.items()} == {
        "signal": "number",
        "b": "boolean",
        "t": "datetime",
    }
    assert "which no kind reads" in comment_on(proposal, "nested")
    assert "which no kind reads" in comment_on(proposal, "raw")


def test_keys_are_left_out_and_the_first_one_splits(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    frame = table(
        row=np.arange(ROWS), UDI=random.permutation(ROWS) + 1, product=[f"M{i}" for i in range(ROWS)],
        customer_id=random.choice(10**9, ROWS, replace=False), measured=random.normal(size=ROWS),
        revenue=random.choice(10**9, ROWS, replace=False),
    )  # fmt: skip
    model_file, proposal = proposed(tmp_path, frame)
    assert set(model_file.columns) == {"signal", "measured", "revenue"}
    assert model_file.split.key == ("UDI",)
    assert comment_on(proposal, "product") == "looks like a key: each row has its own value"


def test_a_small_table_of_distinct_numbers_keeps_its_features(tmp_path: Path) -> None:
    model_file, _ = proposed(tmp_path, pd.DataFrame({"age": range(20, 30), "y": ["a", "b"] * 5}))
    assert set(model_file.columns) == {"age"}


def test_columns_that_say_nothing_are_left_out_with_a_reason(tmp_path: Path) -> None:
    frame = table(same="x", nothing=None, name=[f"N{i // 1.05:.0f}" for i in range(ROWS)])
    _, proposal = proposed(tmp_path, frame)
    assert comment_on(proposal, "same") == "the same in every row"
    assert comment_on(proposal, "nothing") == "missing in every row"
    assert comment_on(proposal, "name") == "nearly every row has its own value"


def test_missing_marks_that_occur_are_written_down(tmp_path: Path) -> None:
    amount = [str(i) for i in range(ROWS)]
    amount[3:9] = ["-", "n/a", "?", "", "#N/A", "NA"]
    model_file, _ = proposed(tmp_path, table(amount=amount, grade=["None", "A", "B", "-"] * 100))
    assert {"-", "n/a", "#N/A", "?", "NA"} <= set(model_file.data.missing)
    assert "None" not in model_file.data.missing
    assert model_file.columns["amount"].kind == "number"
    assert "[data]" not in proposed(tmp_path, table(z=["?", "1", "2", "3"] * 100))[1].text


def test_a_copy_of_the_target_leaks(tmp_path: Path) -> None:
    frame = table()
    frame["code"] = np.where(frame["y"] == "yes", 7.0, 3.0) + np.arange(ROWS) / 1e4
    frame["word"] = np.where(frame["y"] == "yes", "granted", "refused")
    model_file, proposal = proposed(tmp_path, frame)
    assert set(model_file.columns) == {"signal"}
    assert "tells the classes apart (ROC AUC 1.000)" in comment_on(proposal, "code")
    assert "leaks the target" in comment_on(proposal, "word")
    assert any("'code' is left out: leaks" in finding for finding in proposal.findings)


def test_a_flag_that_is_only_set_after_the_fact_leaks_and_its_neighbours_are_suspect(tmp_path: Path) -> None:
    rare = np.zeros(ROWS, dtype=int)
    rare[:12] = 1
    failure = rare.copy()
    failure[12:25] = 1
    frame = pd.DataFrame({"signal": table()["signal"], "wear": rare, "random": np.roll(rare, 200), "y": failure})
    model_file, proposal = proposed(tmp_path, frame)
    assert set(model_file.columns) == {"signal", "random"}
    assert "12 of the 12 rows where it is true have target 1" in comment_on(proposal, "wear")
    assert "column 'random' stands beside flags that leak: is it known before 'y' is?" in proposal.findings


@pytest.mark.parametrize(("target", "task"), [("value", "regression"), ("grade", "multiclass")])
def test_leaks_of_other_tasks_are_found(tmp_path: Path, target: str, task: str) -> None:
    frame = table()
    frame["value"] = frame["signal"] * 3 + np.random.default_rng(2).normal(size=ROWS)
    frame["grade"] = pd.cut(frame["value"], 3, labels=["low", "mid", "high"]).astype(str)
    frame["copy"] = frame["value"] * 2 if target == "value" else frame["grade"].str.upper()
    model_file, proposal = proposed(tmp_path, frame.drop(columns="grade" if target == "value" else "value"), target)
    assert model_file.target.kind == task
    assert "copy" not in model_file.columns and "signal" in model_file.columns
    gate = {"regression": "r2", "multiclass": "balanced_accuracy"}[task]
    assert model_file.gates[gate].min == pytest.approx(0 if task == "regression" else 1 / 3, abs=1e-3)
    assert "leaks" in comment_on(proposal, "copy")


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train.csv", "val.csv", "test.csv"), ["test", "train", "validation"]),
        (("adult_train.csv", "adult_test.csv"), ["test", None]),
        (("a.csv", "b.csv"), [None]),
        (("train.csv", "other.csv"), [None]),
    ],
)
def test_names_of_files_say_which_split_they_are(
    tmp_path: Path, names: tuple[str, ...], splits: list[str | None]
) -> None:
    for name in names:
        (tmp_path / "data").mkdir(exist_ok=True)
        table().to_csv(tmp_path / "data" / name, index=False)
    (tmp_path / "m.toml").write_text(propose([str(tmp_path / "data")], "y", "m", tmp_path).text)
    assert [source.split for source in read_model_file(tmp_path / "m.toml").sources] == splits


def test_a_log_is_split_by_time_and_shared_identities_by_group(tmp_path: Path) -> None:
    stamps = pd.date_range("2024-01-01", periods=ROWS, freq="h").strftime("%Y-%m-%d %H:%M:%S")
    assert proposed(tmp_path, table(timestamp=stamps))[0].split.time == "timestamp"
    assert proposed(tmp_path, table(birth=stamps))[0].split.time is None
    model_file, proposal = proposed(tmp_path, table(machine_id=[f"m{i % 40}" for i in range(ROWS)]))
    assert model_file.split.group == "machine_id"
    assert comment_on(proposal, "machine_id") == "looks like an identity that rows share"


def test_a_source_beneath_the_model_file_is_relative_and_others_absolute(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "d.csv", index=False)
    (tmp_path / "specs").mkdir()
    assert 'uri = "d.csv"' in propose([str(tmp_path / "d.csv")], "y", "m", tmp_path).text
    assert f'uri = "{tmp_path}/d.csv"' in propose([str(tmp_path / "d.csv")], "y", "m", tmp_path / "specs").text
    uri = (tmp_path / "d.csv").as_uri()
    assert f'uri = "{uri}"' in propose([uri], "y", "m", tmp_path).text


@pytest.mark.parametrize(
    ("target", "message"),
    [("Y", "no column 'Y'; did you mean 'y'"), ("same", "the same in every row"), ("nothing", "missing in every row")],
)
def test_a_target_that_can_not_be_learnt_is_named(tmp_path: Path, target: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        proposed(tmp_path, table(same=1, nothing=None), target)


def test_data_without_a_usable_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column is left to learn from: 'id' looks like a key"):
        proposed(tmp_path, table(id=range(ROWS)).drop(columns="signal"))


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(
            lambda name: not name.startswith("perennial.")
        ),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
def test_any_column_name_is_written_so_that_it_is_read_back(names: list[str]) -> None:
    import tempfile

    names = [f"{name}~" for name in names]
    with tempfile.TemporaryDirectory() as folder:
        frame = pd.DataFrame({name: np.arange(60) % 7 for name in names} | {"y": ["a", "b"] * 30})
        pq.write_table(pa.Table.from_pandas(frame), f"{folder}/d.parquet")
        proposal = propose([f"{folder}/d.parquet"], "y", "m", Path(folder))
        (Path(folder) / "m.toml").write_text(proposal.text, encoding="utf-8")
        assert list(read_model_file(Path(folder) / "m.toml").columns) == names


def test_a_reserved_name_is_left_out_with_the_reason(tmp_path: Path) -> None:
    frame = pd.DataFrame({"perennial.x": np.arange(60), "n": np.arange(60) % 7, "y": ["a", "b"] * 30})
    frame.to_parquet(tmp_path / "d.parquet")
    proposal = propose([str(tmp_path / "d.parquet")], "y", "m", tmp_path)
    (tmp_path / "m.toml").write_text(proposal.text, encoding="utf-8")
    assert list(read_model_file(tmp_path / "m.toml").columns) == ["n"]
    assert "reserved" in proposal.left_out["perennial.x"]


@pytest.mark.parametrize(
    ("name", "identity"),
    [("customer_id", True), ("PassengerId", True), ("customerID", True), ("UDI", True), ("order_no", True),
     ("index", True), ("row_index", True), ("Unnamed: 0", True), ("key", True),
     ("amount_paid", False), ("citric acid", False), ("humid", False), ("grid", False), ("bid", False),
     ("uv_index", False), ("heat_index", False), ("price_index", False), ("no_of_rooms", False), ("year", False)],
)  # fmt: skip
def test_whole_words_of_a_name_say_identity(name: str, identity: bool) -> None:
    numbers = pa.chunked_array([np.random.default_rng(0).choice(10**6, ROWS, replace=False)])
    assert bool(observe(name, numbers, np.zeros(ROWS, dtype=np.int64)).left_out) == identity


def test_an_identity_with_a_missing_cell_is_left_out_but_names_no_row(tmp_path: Path) -> None:
    numbers: list[object] = np.random.default_rng(0).choice(10**6, ROWS, replace=False).tolist()
    model_file, proposal = proposed(tmp_path, table(order_no=[None, *numbers[1:]]))
    assert (set(model_file.columns), model_file.split.key) == ({"signal"}, ())
    assert "looks like a key" in comment_on(proposal, "order_no")


def test_an_unreadable_cell_of_a_number_to_predict_makes_no_classes(tmp_path: Path) -> None:
    value = [str(round(number, 3)) for number in np.random.default_rng(0).normal(size=ROWS)]
    value[3:5] = ["n.a.", "-"]
    assert proposed(tmp_path, table(value=value), "value")[0].target.kind == "regression"


def test_names_are_no_classes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"target 'who': 400 classes in 400 rows.*choose another column"):
        proposed(tmp_path, table(who=[f"N{i}" for i in range(ROWS)]), "who")


def test_of_equally_rare_classes_the_later_is_positive_as_in_training(tmp_path: Path) -> None:
    model_file, _ = proposed(tmp_path, table(half=["no", "yes"] * (ROWS // 2)), "half")
    assert model_file.target.positive == "yes"


def test_a_table_of_the_target_alone_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column besides the target 'y'; there is nothing to learn from"):
        proposed(tmp_path, table()[["y"]])


def test_sentences_are_a_text_beside_other_features(tmp_path: Path) -> None:
    words = np.random.default_rng(0).choice(["it", "was", "a", "fine", "day", "for", "us"], (ROWS, 9))
    people = [f"Anna {chr(65 + i % 26)}erg {chr(65 + i // 26)}mith" for i in range(ROWS)]
    model_file, proposal = proposed(tmp_path, table(message=[" ".join(row) for row in words], who=people))
    assert {name: settings.kind for name, settings in model_file.columns.items()} == {
        "signal": "number",
        "message": "text",
    }
    assert '"message" = "text"    # 400 texts' in proposal.text
    assert "looks like a key" in comment_on(proposal, "who")
    assert examine(tmp_path / "m.toml").warnings == ()

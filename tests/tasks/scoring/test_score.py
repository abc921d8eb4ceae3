"""Scoring files into files, without a flow around it."""

import json
from datetime import UTC, date, datetime
from pathlib import Path

import hypothesis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from models.contract import Contract, read_contract
from models.errors import InputError, PerennialError
from tasks.scoring import predictor as predictor_module
from tasks.scoring.jsontext import json_lines
from tasks.scoring.predictor import Predictor
from tasks.scoring.pyfunc import _load_pyfunc
from tasks.scoring.score import score_files
from tests.conftest import Small
from tests.tasks.scoring.scored_files import STAMP, Run, left, new_rows, only


def test_every_row_ends_once(run: Run, rows_csv: Path) -> None:
    done = run(rows_csv)
    scored, rejects = pd.read_parquet(done.predictions), pd.read_parquet(done.rejects)
    assert (done.rows, done.scored, done.rejected) == (200, 198, 2)
    assert sorted([*scored["row"], *rejects["row"]]) == list(range(1, 201))
    assert rejects["row"].tolist() == [3, 7]
    assert rejects["column"].tolist() == ["load", "load"]
    assert json.loads(rejects["values"][0])["load"] == "much"
    assert done.reasons == {"out of range": 1, "wrong type": 1}
    assert sum(done.labels.values()) == 198
    assert (scored["model_version"] == "1").all() and (scored["run_id"] == "run-1").all()
    assert scored["source"].unique().tolist() == [str(rows_csv)]


def test_input_columns_go_along_in_their_place(run: Run, rows_csv: Path) -> None:
    given = pd.read_csv(rows_csv).drop(index=[2, 6]).reset_index(drop=True)
    scored = pd.read_parquet(run(rows_csv).predictions)
    assert scored["id"].astype(int).tolist() == given["id"].tolist()
    assert scored["shop"].eq("").tolist() == given["shop"].isna().tolist()


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_formats_in_agree(run: Run, tmp_path: Path, suffix: str) -> None:
    frame = new_rows()
    frame.to_csv(tmp_path / "base.csv", index=False)
    given = tmp_path / f"given.{suffix}"
    if suffix == "csv":
        frame.to_csv(given, index=False, sep=";")
    elif suffix == "jsonl":
        frame.to_json(given, orient="records", lines=True)
    else:
        frame.astype({"id": "int32"}).to_parquet(given)
    expected = pd.read_parquet(run(tmp_path / "base.csv", output="base").predictions)
    found = pd.read_parquet(run(given).predictions)
    np.testing.assert_array_equal(found["probability_yes"], expected["probability_yes"])
    assert found["row"].tolist() == list(range(1, 51))


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "ndjson", "parquet", "PARQUET"])
def test_formats_out_agree(run: Run, rows_csv: Path, tmp_path: Path, suffix: str) -> None:
    done = run(rows_csv, output=f"out.{suffix}")
    assert done.predictions == tmp_path / f"out.{suffix}"
    assert done.rejects == tmp_path / f"out.rejects.{suffix}"
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}.get(
        suffix.lower(), lambda path: pd.read_json(path, orient="records", lines=True)
    )
    expected = pd.read_parquet(run(rows_csv, output="expected").predictions)
    found = read(done.predictions)
    assert list(found.columns) == list(expected.columns)
    np.testing.assert_allclose(found["probability_yes"], expected["probability_yes"], rtol=1e-6)
    assert found["label"].tolist() == expected["label"].tolist()
    assert read(done.rejects)["row"].tolist() == [3, 7]
    assert left(tmp_path) == {f"out.{suffix}", f"out.rejects.{suffix}", f"out.{suffix}.manifest.json", "expected"}


def test_texts_are_plain_texts_to_every_reader(run: Run, rows_csv: Path) -> None:
    schema = pq.ParquetFile(only(run(rows_csv).predictions)).schema_arrow
    assert {schema.field(name).type for name in ("label", "shop", "model", "run_id", "source")} == {pa.string()}


def test_other_suffixes_are_refused(run: Run, rows_csv: Path) -> None:
    with pytest.raises(InputError, match=r"can't write \.xlsx; use \.parquet, \.csv"):
        run(rows_csv, output="out.xlsx")


def test_input_columns_with_the_names_of_outputs_keep_them(run: Run, tmp_path: Path) -> None:
    frame = new_rows(5).assign(label="mine", row=-1, model="m", label_="also mine")
    frame.to_csv(tmp_path / "in.csv", index=False)
    scored = pd.read_parquet(run(tmp_path / "in.csv").predictions)
    assert (scored["label"] == "mine").all() and (scored["label_"] == "also mine").all()
    assert set(scored["label__"]) <= {"yes", "no"}
    assert (scored["row"].astype(int) == -1).all() and scored["row_"].tolist() == [1, 2, 3, 4, 5]
    assert (scored["model"] == "m").all() and (scored["model_"] == "small").all()


def test_only_the_columns_asked_for_go_along(run: Run, rows_csv: Path) -> None:
    scored = pd.read_parquet(run(rows_csv, keep=["id"]).predictions)
    assert list(scored.columns) == [
        "id", "label", "probability", "probability_no", "probability_yes",
        "model", "model_version", "run_id", "source", "row",
    ]  # fmt: skip
    assert pd.read_parquet(run(rows_csv, output="none", keep=[]).predictions).columns[0] == "label"


def test_a_column_to_keep_that_does_not_exist_is_named(run: Run, rows_csv: Path) -> None:
    with pytest.raises(InputError, match=r"new\.csv: no column 'shopp'; did you mean 'shop'"):
        run(rows_csv, keep=["shopp"])


def test_several_files_of_different_types(run: Run, tmp_path: Path) -> None:
    new_rows(5).assign(extra=1).to_parquet(tmp_path / "a.parquet")
    new_rows(5).assign(extra=1.5, load=[1, 2, 3, 4, 5]).to_parquet(tmp_path / "b.parquet")
    new_rows(5).to_parquet(tmp_path / "c.parquet")
    scored = pd.read_parquet(run(tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path / "c.parquet").predictions)
    assert len(scored) == 15
    assert scored["extra"].tolist()[:10] == [1] * 5 + [1.5] * 5
    assert scored["extra"][10:].isna().all()
    assert scored["row"].tolist() == [1, 2, 3, 4, 5] * 3
    assert scored["source"].nunique() == 3


def test_text_and_numbers_in_two_files_meet_as_text_or_are_refused_plainly(run: Run, tmp_path: Path) -> None:
    new_rows(5).to_csv(tmp_path / "a.csv", index=False)
    new_rows(5).to_parquet(tmp_path / "b.parquet")
    try:
        done = run(tmp_path / "a.csv", tmp_path / "b.parquet")
    except InputError as error:
        assert "its files disagree on a column's type" in str(error)
        assert left(tmp_path) == {"a.csv", "b.parquet"}
    else:
        assert done.scored == 10


def test_a_folder_and_a_glob(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for part in range(3):
        new_rows(4, seed=part).to_csv(tmp_path / "in" / f"part-{part}.csv", index=False)
    assert run(tmp_path / "in", output="a").rows == 12
    assert run(tmp_path / "in" / "part-[01].csv", output="b").rows == 8


def test_a_missing_column_is_named_before_anything_is_written(run: Run, rows_csv: Path, tmp_path: Path) -> None:
    pd.read_csv(rows_csv).drop(columns="load").to_csv(tmp_path / "narrow.csv", index=False)
    with pytest.raises(InputError, match=r"narrow\.csv: no column 'load'"):
        run(tmp_path / "narrow.csv")
    assert left(tmp_path) == {"narrow.csv"}


@pytest.mark.parametrize("content", [b"PAR1" + bytes(range(200)), b""])
def test_a_damaged_parquet_file_is_named(run: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cut.parquet").write_bytes(content)
    with pytest.raises(PerennialError, match=r"cut\.parquet"):
        run(tmp_path / "cut.parquet")
    assert left(tmp_path) == {"cut.parquet"}


def test_a_csv_whose_rows_differ_in_length_loses_no_row(run: Run, tmp_path: Path) -> None:
    new_rows(6).to_csv(tmp_path / "ragged.csv", index=False)
    lines = (tmp_path / "ragged.csv").read_text().splitlines()
    lines[2] += ",too,much"
    lines[4] = "7,1"
    (tmp_path / "ragged.csv").write_text("\n".join(lines) + "\n")
    done = run(tmp_path / "ragged.csv")
    assert (done.rows, done.scored, done.rejected) == (6, 4, 2)
    assert pd.read_parquet(done.rejects)["row"].tolist() == [2, 4]


def test_a_file_without_rows_gives_files_without_rows(run: Run, tmp_path: Path) -> None:
    new_rows(0).to_parquet(tmp_path / "none.parquet")
    try:
        done = run(tmp_path / "none.parquet")
    except InputError as error:
        assert "none.parquet" in str(error)
    else:
        assert done.rows == 0
        assert len(pd.read_parquet(done.predictions)) == 0


def test_all_rows_rejected_is_a_result_too(run: Run, tmp_path: Path) -> None:
    new_rows(8).assign(load="x").to_csv(tmp_path / "bad.csv", index=False)
    done = run(tmp_path / "bad.csv")
    assert (done.scored, done.rejected, done.labels) == (0, 8, {})
    assert len(pd.read_parquet(done.predictions)) == 0


def test_nan_and_infinity(run: Run, tmp_path: Path) -> None:
    new_rows(4).assign(load=[1.0, np.nan, np.inf, -np.inf]).to_parquet(tmp_path / "odd.parquet")
    done = run(tmp_path / "odd.parquet")
    assert pd.read_parquet(done.predictions)["row"].tolist() == [1, 2]
    assert pd.read_parquet(done.rejects)["row"].tolist() == [3, 4]


def test_a_column_that_is_entirely_missing_is_imputed(run: Run, tmp_path: Path) -> None:
    new_rows(4).assign(heat=None, shop=None, made=None, night=None).to_parquet(tmp_path / "gaps.parquet")
    assert run(tmp_path / "gaps.parquet").scored == 4


def test_ten_megabytes_in_one_cell(run: Run, tmp_path: Path) -> None:
    frame = new_rows(3)
    frame.loc[1, "shop"] = "x" * 10_000_000
    frame.to_csv(tmp_path / "long.csv", index=False)
    done = run(tmp_path / "long.csv")
    assert done.rows == 3
    assert done.scored + done.rejected == 3
    assert {1, 3} <= set(pd.read_parquet(done.predictions, columns=["row"])["row"])


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_batch_size_does_not_matter(run: Run, rows_csv: Path, monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    expected = pd.read_parquet(run(rows_csv, output="whole").predictions)
    monkeypatch.setattr(predictor_module, "BATCH", batch)
    found = pd.read_parquet(run(rows_csv, output="pieces").predictions)
    np.testing.assert_allclose(found["probability_yes"], expected["probability_yes"], rtol=0, atol=1e-6)
    assert found["label"].tolist() == expected["label"].tolist()


def test_files_and_pyfunc_agree(run: Run, small: Small, tmp_path: Path) -> None:
    frame = new_rows()
    frame.to_parquet(tmp_path / "in.parquet")
    scored = pd.read_parquet(run(tmp_path / "in.parquet").predictions)
    predicted = _load_pyfunc(str(small.downloaded)).predict(frame)
    np.testing.assert_array_equal(predicted["probability_yes"], scored["probability_yes"])
    assert predicted["label"].tolist() == scored["label"].tolist()


EXACT = {
    "whole": pa.array([2**60 + 1, None, -(2**63)]),
    "huge": pa.array([2**64 - 1, None, 0], pa.uint64()),
    "float": pa.array([0.1 + 0.2, 1e-12, None]),
    "single": pa.array([0.1, 16777216.0, None], pa.float32()),
    "round": pa.array([1.0, -0.0, 1e300]),
    "odd": pa.array([float("nan"), float("inf"), float("-inf")]),
    "text": pa.array(['a/b "q" \\ \n\t\x01 é 😀', "", None]),
    "truth": pa.array([True, None, False]),
    "day": pa.array([date(2024, 2, 29), None, date(1969, 1, 1)]),
    "moment": pa.array([datetime(2024, 2, 29, 1, 2, 3, 4), None, datetime(1969, 1, 1)]),
    "zoned": pa.array([datetime(2024, 7, 1, tzinfo=UTC), None, None], pa.timestamp("ms", tz="Europe/Berlin")),
    "list": pa.array([[1.5, None], None, []]),
    'na"me': pa.array([{"a": 1}, None, {"a": None}]),
    "none": pa.nulls(3),
}


def test_json_lines_hold_the_exact_values() -> None:
    given = pa.table(EXACT)
    lines = b"".join(json_lines(batch) for batch in given.to_batches(max_chunksize=2)).decode().splitlines()
    found = pd.DataFrame([json.loads(line) for line in lines], dtype=object)
    assert list(found.columns) == list(EXACT)
    assert "\\/" not in "".join(lines)
    for name in ("whole", "huge", "float", "round", "text", "truth", "list", 'na"me', "none"):
        assert found[name].tolist() == given[name].to_pylist()
    assert np.float32(found["single"][:2].to_list()).tolist() == given["single"].to_pylist()[:2]
    assert found["odd"].tolist() == [None, "Infinity", "-Infinity"]
    assert [type(cell) for cell in found["round"]] == [float, float, float] and np.signbit(found["round"][1])
    for name, parse in (("day", date.fromisoformat), ("moment", datetime.fromisoformat)):
        assert [cell and parse(cell) for cell in found[name]] == given[name].to_pylist()
    assert datetime.fromisoformat(found["zoned"][0]) == datetime(2024, 7, 1, tzinfo=UTC)


@hypothesis.given(st.lists(st.floats() | st.none()), st.lists(st.text()), st.sampled_from(["f8", "f4"]))
@hypothesis.settings(max_examples=60, deadline=None)
def test_any_float_and_any_text_come_back(numbers: list[float | None], texts: list[str], kind: str) -> None:
    with np.errstate(over="ignore"):
        cells = [None if n is None else np.dtype(kind).type(n).item() for n in numbers]
    single = pa.array(cells, pa.float32() if kind == "f4" else pa.float64())
    found = [json.loads(line)["n"] for line in json_lines(pa.record_batch({"n": single})).splitlines()]
    back = [None if n is None else np.dtype(kind).type(n).item() for n in found]
    assert back == [None if n is None or np.isnan(n) else n for n in cells]
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    lines = json_lines(pa.record_batch({"t": pa.array(texts, pa.string())})).decode().split("\n")[:-1]
    assert [json.loads(line)["t"] for line in lines] == texts


def test_values_of_kept_columns_are_exact_in_json_lines(run: Run, tmp_path: Path) -> None:
    given = pa.Table.from_pandas(new_rows(3)).append_column("key", EXACT["whole"]).append_column("x", EXACT["float"])
    pq.write_table(given, tmp_path / "in.parquet")
    done = run(tmp_path / "in.parquet", output="out.jsonl")
    expected = pd.read_parquet(run(tmp_path / "in.parquet", output="same").predictions)["probability_yes"]
    found = [json.loads(line) for line in done.predictions.read_text().splitlines()]
    assert [(row["key"], row["x"]) for row in found] == [(2**60 + 1, 0.1 + 0.2), (None, 1e-12), (-(2**63), None)]
    assert np.float32([row["probability_yes"] for row in found]).tolist() == expected.tolist()


CANARY = "078-05-1120"


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("keep", [None, ["ssn"]])
def test_no_value_of_a_sensitive_key_is_shown(
    small: Small, tmp_path: Path, suffix: str, keep: list[str] | None
) -> None:
    frame = new_rows(4).assign(ssn=CANARY).astype({"load": object})
    frame.loc[1, "load"] = "much"
    given = tmp_path / f"in.{suffix}"
    frame.to_csv(given, index=False) if suffix == "csv" else frame.to_json(given, orient="records", lines=True)
    given.write_text(given.read_text() + f"{CANARY},{CANARY}\n")
    contract = read_contract(small.downloaded).model_copy(update={"sensitive_columns": ("ssn",)})
    hidden = Predictor((small.downloaded / "model.onnx").read_bytes(), contract)
    done = score_files(hidden, [str(given)], tmp_path / "out.csv", STAMP, keep)
    assert (done.scored, done.rejected) == (3, 2)
    assert CANARY not in done.rejects.read_text()
    assert (CANARY in done.predictions.read_text()) == (keep == ["ssn"])


def test_sensitive_columns_are_not_written_along_unless_asked(small: Small, rows_csv: Path, tmp_path: Path) -> None:
    contract: Contract = read_contract(small.downloaded)
    columns = tuple(
        c.model_copy(update={"settings": c.settings.model_copy(update={"sensitive": c.name == "shop"})})
        for c in contract.columns
    )
    hidden = Predictor((small.downloaded / "model.onnx").read_bytes(), contract.model_copy(update={"columns": columns}))
    done = score_files(hidden, [str(rows_csv)], tmp_path / "out", STAMP)
    assert "shop" not in pd.read_parquet(done.predictions).columns
    shown = [json.loads(text)["shop"] for text in pd.read_parquet(done.rejects)["values"]]
    assert all(value is None or value.startswith("sha256:") for value in shown)
    asked = score_files(hidden, [str(rows_csv)], tmp_path / "asked", STAMP, keep=["shop"])
    assert "shop" in pd.read_parquet(asked.predictions).columns

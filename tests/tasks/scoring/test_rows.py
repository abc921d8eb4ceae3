"""Rows in memory are read as rows in files are, whichever way their cells take."""

import base64
import io
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image

from models.columns import KINDS, ColumnSettings
from tasks.scoring.rows import RowReader, RowsError
from tests.contracts import contract_of

COLUMNS: dict[str, ColumnSettings] = {
    "load": KINDS["number"].settings(min=-50, max=50),
    "heat": KINDS["number"].settings(),
    "shop": KINDS["category"].settings(max_characters=20),
    "night": KINDS["boolean"].settings(),
    "made": KINDS["datetime"].settings(),
    "said": KINDS["text"].settings(),
}
MISSING = ("?", "NA")
GOOD: dict[str, Any] = {"load": 1.5, "heat": 3, "shop": "north", "night": True, "made": "2024-05-01", "said": "well"}
CELLS = {
    "load": some.sampled_from(
        [1.5, -50, 50, 0, None, float("nan"), "2.5", "NA", " 7 ", 51, -51.0, "much", True, 1e300]
    ),
    "heat": some.one_of(some.floats(), some.integers(), some.sampled_from(["1e5", "inf", "", None, False])),
    "shop": some.sampled_from(["north", " north ", "", "NA", None, 1, 1.0, 2.5, True, "x" * 21, "é", "1.0"]),
    "night": some.sampled_from([True, False, None, "yes", "no", "maybe", 0, 1, 2, "NA"]),
    "made": some.sampled_from(["2024-05-01", "2024-05-01T10:00:00", None, "yesterday", "NA", ""]),
    "said": some.one_of(
        some.text("aZ é\u0301\n?NA0.", max_size=8), some.sampled_from([None, "NA", " two  words ", 5, True])
    ),
}


REASONS = ("wrong type", "out of range", "not finite", "too long")


def reader(columns: dict[str, ColumnSettings] | None = None) -> RowReader:
    return RowReader(contract_of(columns or COLUMNS, missing=MISSING))


def as_in_files(name: str, cell: Any) -> tuple[Any, tuple[str, ...]]:
    """Graph input and reasons of one cell, by Arrow and the kind alone."""
    settings = COLUMNS[name]
    kind = KINDS[settings.kind]
    try:
        array = pa.array([cell], from_pandas=True)
    except OverflowError:
        array = pa.array([str(cell)])
    parsed = kind.parse(array, settings, MISSING)
    return kind.to_input(parsed.values, settings), tuple(refusal.reason for refusal in parsed.refusals)


@settings(deadline=None)
@given(some.data())
def test_a_row_means_what_it_means_in_a_file(data: Any) -> None:
    reading = reader()
    for _ in range(2):
        # The second time cells may be remembered.
        name = data.draw(some.sampled_from(list(COLUMNS)))
        cell = data.draw(CELLS[name])
        wanted, reasons = as_in_files(name, cell)
        for _ in range(2):
            try:
                found = reading.read_rows([GOOD | {name: cell}])
            except RowsError as error:
                assert tuple((f.column, f.reason, f.row) for f in error.findings) == tuple(
                    (name, r, 1) for r in reasons
                )
                assert reasons
            else:
                assert not reasons
                np.testing.assert_array_equal(found[name], wanted)
                assert found[name].dtype == wanted.dtype and set(found) == set(COLUMNS)


MIXED = [True, "1.5", 1, 2.5, None, "yes", float("nan"), 10**20, 2**60 + 1, "2024-05-01", 2024, "NA", False, "", 0.5]
ODD = [Decimal("1.5"), Decimal("1.25"), date(2024, 5, 1), datetime(2024, 5, 1, 10), datetime(2024, 5, 1, tzinfo=UTC),
       [1], {"a": 1}, b"x", np.float64(1.5), np.int64(7), "\ud800"]  # fmt: skip


def alone(reading: RowReader, name: str, cell: Any) -> tuple[Any, ...]:
    """Graph input of one cell, or why there is none."""
    try:
        return tuple(reading.read_rows([GOOD | {name: cell}])[name].tolist())
    except RowsError as error:
        return tuple(finding.reason for finding in error.findings)


@settings(deadline=None, max_examples=40)
@given(some.data())
def test_a_cell_means_the_same_whatever_stands_beside_it(data: Any) -> None:
    name = data.draw(some.sampled_from(list(COLUMNS)))
    cells = data.draw(some.lists(some.one_of(CELLS[name], some.sampled_from(MIXED + ODD)), min_size=2, max_size=6))
    by_itself = [alone(reader(), name, cell) for cell in cells]
    reading, rows = reader(), [GOOD | {name: cell} for cell in cells]
    for _ in range(2):
        # The second time cells may be remembered.
        try:
            found = [(value,) for value in reading.read_rows(rows)[name].tolist()]
        except RowsError as error:
            told = {finding.row: finding.reason for finding in error.findings if finding.row}
            reasons = {
                row: why for row, why in enumerate(by_itself, 1) if isinstance(why[0], str) and why[0] in REASONS
            }
            assert {row: (reason,) for row, reason in told.items()} == reasons
        else:
            np.testing.assert_equal(found, by_itself)
        with suppress(RowsError):
            reading.read_rows([rows[0]])
    by_column = {column: [row[column] for row in rows] for column in COLUMNS}
    with suppress(RowsError):
        np.testing.assert_equal([(v,) for v in reader().read_columns(by_column)[name].tolist()], by_itself)


def test_equal_cells_of_other_types_are_not_mixed_up() -> None:
    reading = reader()
    for cell, text in ((True, "true"), (1, "1"), (1.0, "1"), (False, "false"), (0, "0"), ("1", "1"), (True, "true")):
        assert reading.read_rows([GOOD | {"shop": cell}])["shop"].tolist() == [text]


def test_many_rows_keep_their_order_and_their_own_cells() -> None:
    rows = [GOOD | {"load": number % 50, "shop": f"shop {number % 7}"} for number in range(300)]
    found = reader().read_rows(rows)
    assert found["load"].tolist() == [number % 50 for number in range(300)]
    assert found["shop"].tolist() == [f"shop {number % 7}" for number in range(300)]


def test_what_is_wrong_is_told_by_column_and_row() -> None:
    rows = [GOOD, GOOD | {"load": 99}, GOOD | {"load": "much", "night": "maybe"}]
    with pytest.raises(RowsError) as refused:
        reader().read_rows(rows)
    assert refused.value.problems == (
        "'load', row 3: wrong type", "'load', row 2: out of range", "'night', row 3: wrong type"
    )  # fmt: skip


def test_a_column_that_a_row_lacks_is_told_with_what_was_probably_meant() -> None:
    row = {("Load" if name == "load" else name): cell for name, cell in GOOD.items()}
    with pytest.raises(RowsError) as refused:
        reader().read_rows([GOOD, row])
    assert refused.value.problems == (
        "'load', row 2: is missing (did you mean it by 'Load'?); give null where it is not known",
    )


@pytest.mark.parametrize("cell", [{"a": 1}, [1, 2], [], {1, 2}, (1,)], ids=str)
@pytest.mark.parametrize("name", ["load", "shop", "night", "said"])
def test_nested_cells_are_refused(name: str, cell: Any) -> None:
    with pytest.raises(RowsError) as refused:
        reader().read_rows([GOOD, GOOD | {name: cell}])
    assert {(f.column, f.row) for f in refused.value.findings} == {(name, 2)}


def test_a_number_of_thousands_of_digits_is_told_by_column_and_row() -> None:
    with pytest.raises(RowsError) as refused:
        reader().read_rows([GOOD, GOOD | {"load": 10**5000}])
    assert [(f.column, f.reason, f.row) for f in refused.value.findings] == [("load", "wrong type", 2)]


def test_a_column_of_one_model_alone() -> None:
    assert reader({"load": COLUMNS["load"]}).read_rows([{"load": 2}, {"load": None}])["load"][0] == 2


def test_what_is_remembered_keeps_nothing_else_alive() -> None:
    reading = reader()
    reading.read_rows([GOOD | {"shop": f"shop {number}"} for number in range(20)])
    kept = [value for known in reading.remembered.values() for value in known.values()]
    assert len(kept) > 20 and all(value.base is None and len(value) == 1 for value in kept)


def test_few_findings_are_told_of_many() -> None:
    with pytest.raises(RowsError) as refused:
        reader().read_rows([GOOD | {"load": "much"}] * 1000)
    assert len(refused.value.findings) == 20


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (shade,) * 3).save(file, "PNG")
    return file.getvalue()


def test_pictures_come_as_bytes_base64_or_data_urls() -> None:
    reading = reader({"sign": KINDS["image"].settings(size=8)})
    coded = base64.b64encode(picture(40)).decode()
    cells = [picture(20), coded, f"data:image/png;base64,{coded}", None]
    found = reading.read_rows([{"sign": cell} for cell in cells])["sign"]
    assert found.shape == (4, 8, 8, 3) and [int(image[0, 0, 0]) for image in found] == [20, 40, 40, 0]


@pytest.mark.parametrize("cell, reason", [("%%%", "not base64"), (5, "wrong type"), (b"xx", None), ("eHg=", None)])
def test_what_is_no_picture_is_refused(cell: Any, reason: str | None) -> None:
    with pytest.raises(RowsError) as refused:
        reader({"sign": KINDS["image"].settings(size=8)}).read_rows([{"sign": cell}])
    [finding] = refused.value.findings
    assert finding.column == "sign" and (finding.reason == reason if reason else "picture" in finding.reason)


def test_a_path_is_never_read_from_this_machine(tmp_path: Any) -> None:
    (tmp_path / "here").write_bytes(picture(20))
    with pytest.raises(RowsError, match="not base64"):
        reader({"sign": KINDS["image"].settings(size=8)}).read_rows([{"sign": str(tmp_path / "here")}])


def test_windows_are_lists_of_their_length() -> None:
    reading = reader({"wave": KINDS["series"].settings(window=3)})
    found = reading.read_rows([{"wave": [1, 2.5, None]}, {"wave": None}])["wave"]
    np.testing.assert_array_equal(found, [[1, 2.5, np.nan], [np.nan] * 3])
    for cell, reason in (
        ([1, 2], "a window is a list of 3 numbers"),
        ([1, 2, 1e300], "not finite"),
        ("abc", "wrong type"),
    ):
        with pytest.raises(RowsError, match=reason):
            reading.read_rows([{"wave": cell}])

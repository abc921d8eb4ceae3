"""Files that a table names are fetched and scored in pieces; nobody can tell from what comes back."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from models.columns import KINDS
from models.errors import InputError
from tasks.data import contents
from tasks.scoring.predictor import Predictions, Predictor
from tasks.scoring.pyfunc import PyFunc
from tests.contracts import contract_of

SHADES = [10, 20, 30, 40, 50]


class Shade:
    """The value is the shade of a picture of one shade."""

    def __init__(self) -> None:
        self.contract = contract_of({"p": KINDS["image"].settings(size=8)})
        self.rows: list[int] = []

    def predict(self, columns: Mapping[str, pa.Array]) -> Predictions:
        self.rows.append(len(columns["p"]))
        return Predictions(None, None, np.array([value.as_py()[0] for value in columns["p"]], dtype=np.float32))


@pytest.fixture
def shade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shade:
    """Pictures lie in the folder of the process."""
    for number in SHADES:
        Image.new("RGB", (8, 8), (number,) * 3).save(tmp_path / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(contents, "ROWS_AT_ONCE", 2)
    return Shade()


def predicted(shade: Shade, frame: pd.DataFrame) -> pd.DataFrame:
    return PyFunc(cast(Predictor, shade)).predict(frame)


def test_pictures_are_scored_few_at_once_and_come_back_together(shade: Shade) -> None:
    frame = pd.DataFrame({"p": [f"{number}.png" for number in SHADES]}, index=list("abcde"))
    found = predicted(shade, frame)
    assert found["value"].to_dict() == dict(zip("abcde", SHADES, strict=True))
    assert shade.rows == [2, 2, 1]


def test_contents_in_the_table_are_cut_too(shade: Shade, tmp_path: Path) -> None:
    frame = pd.DataFrame({"p": [(tmp_path / f"{number}.png").read_bytes() for number in SHADES]})
    assert predicted(shade, frame)["value"].tolist() == SHADES and shade.rows == [2, 2, 1]


def test_rows_of_errors_are_counted_in_the_whole_table(shade: Shade) -> None:
    names = ["10.png", "20.png", "30.png", "none.png", "none.png", "../10.png"]
    with pytest.raises(InputError) as refused:
        predicted(shade, pd.DataFrame({"p": names}))
    assert refused.value.problems == ("'p', row 4: no such file", "'p', row 6: outside the folder")


def test_a_table_without_rows_has_no_predictions(shade: Shade) -> None:
    found = predicted(shade, pd.DataFrame({"p": pd.Series([], dtype="str")}))
    assert found.columns.tolist() == ["value"] and len(found) == 0

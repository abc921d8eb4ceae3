import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tasks.examples.digits import dark_on_white, listing, make
from tests.small import ROOT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    make(folder)
    return folder


@pytest.fixture(scope="module")
def table(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "digits.csv")


def test_made_again_every_file_has_the_same_bytes(folder: Path, table: pd.DataFrame, tmp_path: Path) -> None:
    make(tmp_path)
    for path in ["digits.csv", *table["picture"]]:
        assert (tmp_path / path).read_bytes() == (folder / path).read_bytes()


def test_the_seed_changes_nothing_but_the_order_of_the_rows(table: pd.DataFrame) -> None:
    other = listing(load_digits().target, seed=1)
    assert not other.equals(table)
    pd.testing.assert_frame_equal(
        other.sort_values("scan", ignore_index=True), table.sort_values("scan", ignore_index=True)
    )


def test_each_of_1797_scans_has_one_row_and_one_picture_of_8_by_8_pixels(folder: Path, table: pd.DataFrame) -> None:
    assert len(table) == 1797
    assert table["scan"].is_unique and table["picture"].is_unique
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*.png")} == set(table["picture"])
    assert all(Image.open(folder / path).size == (8, 8) for path in table["picture"].head(50))


def test_every_digit_is_there_about_equally_often(table: pd.DataFrame) -> None:
    counts = table["digit"].value_counts()
    assert sorted(counts.index) == list(range(10))
    assert counts.between(170, 190).all()


def test_the_inked_points_can_be_had_back_from_every_picture(folder: Path, table: pd.DataFrame) -> None:
    scans = load_digits()
    for row in table.itertuples():
        shades = np.asarray(Image.open(folder / str(row.picture)), dtype=np.float64)
        np.testing.assert_array_equal(np.round((255 - shades) * 16 / 255), scans.images[row.scan])
        assert row.digit == scans.target[row.scan]


def test_ink_is_dark_and_paper_is_white() -> None:
    np.testing.assert_array_equal(dark_on_white(np.array([[0.0, 16.0, 8.0]])), [[255, 0, 128]])


def test_the_model_file_looks_at_the_picture_alone(table: pd.DataFrame) -> None:
    spec = tomllib.loads((ROOT / "models" / "specs" / "digits.toml").read_text())
    assert spec["name"] == "digits"
    assert list(spec["columns"]) == ["picture"]
    assert {spec["target"]["column"], spec["split"]["key"], *spec["columns"]} == set(table.columns)

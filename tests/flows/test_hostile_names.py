"""Names of models, columns, classes and files can't leave their folder, nor become SQL, HTML or a path."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.small import QUICK, cli, plain, table, write_model

CLIMBING = [
    "../escaped",
    "/tmp/escaped",
    "..",
    "a/../../escaped",
    "a' OR '1'='1",
    'a"; DROP TABLE runs; --',
    "a%2F..%2Fb",
]
COLUMNS = {
    "load": "../../../escaped/load",
    "heat": "/escaped",
    "shop": 'shop"; DROP TABLE runs; --',
    "night": "..",
    "made": "<script>alert('escaped')</script>",
}
CLASSES = {"yes": "../../escaped", "no": "'); DROP TABLE runs; --"}


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", CLIMBING)
def test_a_model_file_can_have_no_such_name(name: str, tmp_path: Path) -> None:
    file = write_model(tmp_path, "plain")
    file.write_text(file.read_text().replace('name = "plain"', f"name = '''{name}'''"))
    for command in ("check", "train", "deploy"):
        said = cli(command, file)
        assert said.code == 2 and "name" in said.both and "Traceback" not in said.both


@pytest.mark.parametrize("name", CLIMBING)
def test_no_command_takes_such_a_name_for_a_model(name: str, server: str, home: Path, tmp_path: Path) -> None:
    victim = tmp_path / "escaped"
    victim.mkdir()
    (victim / "kept").write_text("kept")
    given = tmp_path / "in.csv"
    table(5).to_csv(given, index=False)
    for words in (
        ("promote", name),
        ("rollback", name),
        ("history", name),
        ("gc", name),
        ("gc", name, "--apply"),
        ("score", name, "--input", given, "--output", tmp_path / "out"),
        ("monitor", name, "--input", given),
    ):
        plain(cli(*words), 2)
    assert (victim / "kept").read_text() == "kept"
    assert not (tmp_path / "out").exists()


@pytest.mark.soak
def test_columns_and_classes_of_such_names_stay_where_they_belong(server: str, home: Path, tmp_path: Path) -> None:
    frame = table().replace({"broken": CLASSES}).rename(columns=COLUMNS)
    kinds = {"load": "number", "heat": "number", "shop": "category", "night": "boolean", "made": "datetime"}
    listed = "\n".join(f'{json.dumps(COLUMNS[name])} = "{kind}"' for name, kind in kinds.items())
    slices = json.dumps([COLUMNS["heat"], COLUMNS["shop"]])
    quick = QUICK.replace("[evaluation]", f"[evaluation]\nslices = {slices}")
    around = tmp_path / "deep" / "er"
    file = write_model(
        around,
        "hostile",
        frame,
        columns=f"[columns]\n{listed}\n",
        quick=quick,
        rest="[promotion]\nmin_rows = 50\nresamples = 100\n",
    )
    new = around / "new.csv"
    frame.drop(columns="broken").head(50).to_csv(new, index=False)
    known = files_in(tmp_path)
    for words in (
        ("train", file),
        ("promote", "hostile"),
        ("score", "hostile", "--input", new, "--output", around / "out" / "scored.parquet"),
        ("monitor", "hostile", "--input", new),
        ("deploy", file),
    ):
        said = cli(*words)
        assert said.code in (0, 1) and "Traceback" not in said.both, said.both
    scored = pq.read_table(around / "out" / "scored.parquet").to_pandas()
    assert set(scored["label"]) <= set(CLASSES.values()) and set(COLUMNS.values()) <= set(scored.columns)
    assert {path.parent for path in files_in(tmp_path) - known} == {around / "out"}
    assert not Path("/escaped").exists() and not list(home.parent.glob("escaped*"))
    assert [path for path in files_in(home) if "escaped" in str(path) and "hostile" not in path.parts] == []
    reports = [path for path in files_in(home / "artifacts" / "hostile") if path.name == "report.html"]
    assert len(reports) == 2
    assert not any("<script>alert(" in report.read_text() for report in reports)
    assert cli("history", "hostile").code == 0

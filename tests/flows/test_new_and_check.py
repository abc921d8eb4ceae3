"""The commands that write and check model files."""

from pathlib import Path

import pytest

from flows.propose import model_name
from tests.small import cli, plain, table, write_model


def test_new_and_check_make_a_model_file_that_works(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "machines.csv", index=False)
    made = cli(
        "new", tmp_path / "my machines!.toml", "--data", tmp_path / "machines.csv", "--target", "broken", "--json"
    )
    assert made.code == 0, made.both
    assert made.json["file"] == str(tmp_path / "my machines!.toml")
    assert made.json["task"] == "binary"
    assert made.json["columns"]["load"] == "number" and made.json["columns"]["night"] == "boolean"
    assert made.json["split"]["key"] == "id"
    assert made.json["left_out"]["id"] == "looks like a key: each row has its own value"
    assert 'name = "my-machines"' in (tmp_path / "my machines!.toml").read_text()
    checked = cli("check", tmp_path / "my machines!.toml", "--json")
    assert checked.code == 0, checked.both
    (found,) = checked.json["models"].values()
    assert found["problems"] == []
    plain(cli("new", tmp_path / "my machines!.toml", "--data", "x.csv", "--target", "broken"), 2, "exists already")


def test_new_takes_several_files_behind_one_word(tmp_path: Path) -> None:
    data = [tmp_path / "train.csv", tmp_path / "test.csv"]
    for file in data:
        table().to_csv(file, index=False)
    made = cli("new", tmp_path / "m.toml", "--data", *data, "--target", "broken")
    assert made.code == 0, made.both
    assert 'uri = "test.csv"\nsplit = "test"' in (tmp_path / "m.toml").read_text()


@pytest.mark.parametrize(
    ("file", "name"),
    [("a.b/c:d%e'f.toml", "c-d-e-f"), ("v1.2.toml", "v1-2"), ("größe_2.toml", "gr-e_2"), ("....toml", "model")],
)
def test_a_proposed_name_has_only_what_every_store_accepts(file: str, name: str) -> None:
    assert model_name(Path(file)) == name


def test_new_quotes_the_file_in_the_commands_that_it_suggests(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "machines.csv", index=False)
    file = tmp_path / "my machines.toml"
    made = cli("new", file, "--data", tmp_path / "machines.csv", "--target", "broken")
    assert f"next: perennial check '{file}'   then: perennial train '{file}'" in made.out


def test_new_where_nothing_can_be_written_is_a_plain_error(tmp_path: Path) -> None:
    table().to_csv(tmp_path / "machines.csv", index=False)
    (tmp_path / "file").write_text("")
    words = ("--data", tmp_path / "machines.csv", "--target", "broken")
    plain(cli("new", tmp_path / "file" / "x.toml", *words), 3, "x.toml: can't be written")


def test_check_shows_what_would_be_rejected_and_every_problem(tmp_path: Path) -> None:
    frame = table(100).astype({"load": object})
    frame.loc[4, "load"] = "heavy"
    good = write_model(tmp_path, "good", frame)
    bad = write_model(tmp_path, "bad", rest="[trainning]\nepochs = 3\n[promotion]\nmin_rows = 0\n")
    said = cli("check", good, bad)
    assert said.code == 2
    assert "good.toml: ok" in said.out and "99 usable, 1 would be rejected" in said.out
    assert "bad.toml: NOT OK" in said.out
    assert "trainning" in said.out and "promotion.min_rows" in said.out


def test_check_reports_two_models_of_one_name_as_a_problem(tmp_path: Path) -> None:
    first, second = write_model(tmp_path, "twin"), tmp_path / "other.toml"
    second.write_text(first.read_text())
    said = cli("check", first, second)
    assert said.code == 2
    assert f"{first}: ok" in said.out and f"{second}: NOT OK" in said.out
    assert f"problem: the name 'twin' is taken by {first}; rename one of the two" in said.out

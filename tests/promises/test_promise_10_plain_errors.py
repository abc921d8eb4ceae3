"""Promise 10: bad input gives one line that names what, where and what to do; tracebacks only with --debug."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.errors import InputError, OutsideError, PerennialError, RefusedError
from models.sections import Gate, Promotion
from tests.conftest import Copy, Small
from tests.small import cli, command, finished, plain, table, write_model


def test_the_exit_codes() -> None:
    assert (RefusedError.exit_code, InputError.exit_code, OutsideError.exit_code) == (1, 2, 3)
    assert PerennialError.exit_code == 3


def test_exit_code_0_and_1_are_the_answer(copy: Copy) -> None:
    copy("plain-yes", promotion=Promotion(min_rows=20, resamples=100))
    copy("plain-no", gates={"accuracy": Gate(min=1.1)}, promotion=Promotion(min_rows=20, resamples=100))
    assert cli("promote", "plain-yes").code == 0
    said = cli("promote", "plain-no")
    assert said.code == 1
    assert said.err == ""


def test_exit_code_2_is_wrong_input(small: Small, tmp_path: Path) -> None:
    plain(cli("train", tmp_path / "nowhere.toml"), 2, "nowhere.toml", "perennial new")


def test_exit_code_3_is_a_failure_outside(small: Small, rows_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    plain(
        cli("score", "small", "--input", rows_csv, "--output", tmp_path / "file" / "out"),
        3,
        "file/out",
        "can't be written",
    )


def test_all_problems_of_a_model_file_at_once(server: str, tmp_path: Path) -> None:
    file = write_model(
        tmp_path, "many", rest="[promotion]\nmin_rows = 'few'\nmaximum = 3\n[gates]\nacuracy = { min = 0.5 }\n"
    )
    said = cli("train", file)
    assert said.code == 2
    lines = said.err.strip().splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{file}: ") for line in lines)
    assert all(any(key in line for line in lines) for key in ("promotion.min_rows", "promotion.maximum", "accuracy"))


def test_a_target_among_the_columns_is_named(server: str, tmp_path: Path) -> None:
    file = write_model(tmp_path, "target", columns='[columns]\nload = "number"\nbroken = "category"\n')
    plain(cli("train", file), 2, "target.toml", "broken")


def test_missing_targets_are_rejects_and_too_many_stop_the_run(server: str, tmp_path: Path) -> None:
    frame = table(200)
    frame.loc[:99, "broken"] = None
    file = write_model(tmp_path, "no-target", frame)
    said = cli("train", file)
    assert said.code == 2
    assert "Traceback" not in said.both
    assert "100" in said.err


def test_a_column_of_another_type_than_at_training_time(small: Small, tmp_path: Path) -> None:
    frame = table(20).drop(columns="broken").assign(load=pd.Timestamp("2024-01-01"))
    frame.to_parquet(tmp_path / "types.parquet")
    said = cli("score", "small", "--input", tmp_path / "types.parquet", "--output", tmp_path / "out")
    plain(said, 2, "types.parquet", "'load'", "number")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_traceback_only_with_debug(tmp_path: Path, where: str) -> None:
    words = ("train", tmp_path / "nowhere.toml", "--dry-run")
    said = cli(*(("--debug", *words) if where == "before" else (*words, "--debug")))
    assert said.code == 2
    assert "Traceback" in said.err and "InputError" in said.err
    assert "Traceback" not in cli(*words).both


@pytest.mark.slow
def test_a_process_prints_one_line_and_with_debug_a_traceback(server: str, tmp_path: Path) -> None:
    said = finished(command("train", tmp_path / "nowhere.toml", "--debug", PREFECT_API_URL=server))
    assert said.code == 2
    assert "Traceback" in said.err and "InputError" in said.err
    unreachable = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "PREFECT_API_URL": server}
    plain(finished(command("history", "small", **unreachable)), 3, "127.0.0.1:9")


CANARY = "Zaphod-Beeblebrox-42"


def test_a_sensitive_value_is_found_nowhere(server: str, home: Path, tmp_path: Path) -> None:
    """In no reject, log line, report, contract, profile or artefact; only in the snapshot that it was ingested into."""
    frame = table(400).astype({"shop": object})
    frame.loc[10:40, "shop"] = CANARY
    frame["load"] = frame["load"].astype(object)
    frame.loc[12, "load"] = "much"
    frame["note"] = np.where(frame.index % 3 == 0, f"please call {CANARY} back", "all is well")
    columns = '[columns]\n"load" = "number"\n"shop" = { kind = "category", sensitive = true }\n'
    columns += '"note" = { kind = "text", sensitive = true }\n'
    name = "secretive"
    rest = """
[evaluation]
slices = ["shop"]
resamples = 50
[gates]
accuracy = { min = 0.1, slices = ["shop"] }
[promotion]
min_rows = 20
resamples = 100
"""
    quick = "[network]\nwidth = 8\ndepth = 1\nmembers = 2\n[training]\nepochs = 2\n"
    file = write_model(tmp_path, name, frame, columns=columns, quick=quick, rest=rest)
    new = frame.drop(columns="broken").head(60)
    new.to_csv(tmp_path / "new.csv", index=False)
    words = ("score", name, "--input", tmp_path / "new.csv", "--output", tmp_path / "out.csv")
    said = [cli("check", file), cli("train", file), cli("promote", name), cli("retrain", file), cli(*words)]
    assert [outcome.code for outcome in said] == [0] * 5, [outcome.both for outcome in said]
    assert "1 rejected" in said[-1].out
    assert not any(CANARY in outcome.both for outcome in said)
    written = [tmp_path / "out.csv", tmp_path / "out.rejects.csv", *home.rglob("*")]
    kept = [path for path in written if path.is_file() and "parts" not in path.parts]
    inside_graph = [path for path in kept if CANARY.encode() in path.read_bytes() and path.suffix != ".onnx"]
    assert inside_graph == []

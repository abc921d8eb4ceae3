"""Every command as a user or a script meets it: what it prints, what it leaves, how it exits."""

import json
import os
import re
import warnings
from importlib.metadata import version
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest

from models.sections import Gate, Promotion
from tasks.export import export
from tasks.registry.connection import connect
from tests.conftest import Copy, Small
from tests.small import cli, plain, table, write_model

RULES = {"promotion": Promotion(min_rows=20, resamples=100)}


def snapshot_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if "prefect" not in path.parts}


COMMANDS = (
    "new", "check", "train", "import", "tune", "promote", "rollback", "history", "retrain", "score", "monitor", "up",
    "deploy", "ui", "gc", "env", "demo",
)  # fmt: skip


def test_help_lists_the_commands() -> None:
    said = cli("--help")
    assert said.code == 0
    for command in COMMANDS:
        assert f" {command} " in said.out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command_shows_an_example(command: str) -> None:
    said = cli(command, "--help")
    assert said.code == 0
    assert re.search(rf"Example: .*perennial {command}", said.out)
    assert "--json" in said.out
    assert not re.search(r"--[a-z-]+ <", said.out)


def test_help_tells_of_debug_and_version() -> None:
    assert "--debug" in cli("--help").out
    assert cli("--version").out == f"perennial {version('perennial')}\n"


def test_a_command_that_does_not_exist_exits_with_2() -> None:
    said = cli("trian")
    assert said.code == 2
    assert "trian" in said.err


def test_a_dry_run_says_what_would_happen_and_leaves_nothing(small: Small, home: Path) -> None:
    before = snapshot_of(home)
    said = cli("train", small.file, "--dry-run", "--json")
    assert said.code == 0, said.both
    assert sum(said.json["rows"].values()) == 600
    assert said.json["columns"] == 5
    assert said.json["parameters"] > 0 and said.json["seconds_per_epoch"] > 0
    assert "parameters" in cli("train", small.file, "--dry-run").out
    assert snapshot_of(home) == before


def test_train_promote_retrain_and_score_as_a_script_uses_them(
    request: pytest.FixtureRequest, server: str, tmp_path: Path, rows_csv: Path
) -> None:
    frame = table().astype({"load": object})
    frame.loc[[4, 5], "load"] = "heavy"
    frame.loc[6, "load"] = 1000
    file = write_model(tmp_path, "script", frame, rest="[promotion]\nmin_rows = 50\nresamples = 100\n")
    trained = cli("train", file, "--json")
    assert trained.code == 0, trained.both
    assert {"model", "version", "run_id", "metrics"} <= set(trained.json)
    assert (trained.json["read"], trained.json["rows"], trained.json["rejected"]) == (600, 597, 3)
    assert len(pd.read_parquet(trained.json["rejects"])) == 3
    assert (trained.json["model"], trained.json["version"]) == ("script", "1")
    assert 0.5 < trained.json["metrics"]["accuracy"] <= 1
    promoted = cli("promote", "script", "--json", "--why", "first of all")
    assert promoted.code == 0, promoted.both
    assert {"model", "version", "promoted", "reasons"} <= set(promoted.json)
    assert promoted.json["promoted"] is True and promoted.json["version"] == "1"
    same = cli("retrain", file, "--json")
    assert same.code == 0 and "unchanged" in same.both
    assert same.json["unchanged"] is True and same.json["version"] == "1"
    assert (same.json["rows"], same.json["rejected"]) == (597, 3)
    told = cli("retrain", file).out.splitlines()
    assert told[0] == f"597 of 600 rows used, 3 rejected (2 wrong type, 1 out of range): {same.json['rejects']}"
    scored = cli("score", "script", "--input", rows_csv, "--output", tmp_path / "out", "--json")
    assert scored.code == 0, scored.both
    assert {"model", "version", "run_id", "rows", "scored", "rejected", "predictions", "rejects"} <= set(scored.json)
    assert (scored.json["rows"], scored.json["scored"], scored.json["rejected"]) == (200, 198, 2)
    assert len(pd.read_parquet(scored.json["predictions"])) == 198
    assert len(pd.read_parquet(scored.json["rejects"])) == 2
    told = cli("history", "script", "--json").json
    assert (told["champion"], told["previous"], told["challenger"]) == ("1", None, None)
    assert [(e["event"], e["version"]) for e in told["events"]] == [("registered", "1"), ("promoted", "1")]
    assert told["events"][1]["why"] == "first of all"
    (tmp_path / "script.csv").write_text(table(700, seed=1).to_csv(index=False))
    for left_out in ("no_evaluation", "no_export"):
        request.getfixturevalue(left_out)
    with file.open("a") as text:
        text.write("[gates]\naccuracy = { min = 1 }\n")
    again = cli("retrain", file)
    assert again.code == 1, again.both
    assert "script version 2 is refused:" in again.out
    assert "challenger is version 2, champion is version 1" in cli("history", "script").out


def test_people_read_lines(small: Small, rows_csv: Path, tmp_path: Path) -> None:
    scored = cli("score", "small@champion", "--input", rows_csv, "--output", tmp_path / "o.csv", "--keep", "id")
    assert scored.code == 0, scored.both
    assert "200 rows: 198 scored with small version 1, 2 rejected" in scored.out
    assert f"predictions: {tmp_path / 'o.csv'}" in scored.out
    again = cli("score", "small", "--input", rows_csv, "--output", tmp_path / "o.csv")
    plain(again, 2, "o.csv", "--overwrite")
    assert cli("score", "small", "--input", rows_csv, "--output", tmp_path / "o.csv", "--overwrite").code == 0
    told = cli("history", "small")
    assert "promoted" in told.out and "champion is version 1" in told.out
    assert "now:" in cli("history", "small", "1").out


def test_relative_paths_are_meant_from_where_one_stands(
    small: Small, rows_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new.csv").write_bytes(rows_csv.read_bytes())
    monkeypatch.chdir(tmp_path)
    assert cli("score", "small", "--input", "new.csv", "--output", "scored").code == 0
    assert (tmp_path / "scored" / "predictions").exists()


def test_the_answer_no_exits_with_1_and_is_explained_later(copy: Copy) -> None:
    copy("commands-no", gates={"accuracy": Gate(min=1.1)}, **RULES)
    said = cli("promote", "commands-no")
    assert said.code == 1
    assert "commands-no version 1 is refused:" in said.out
    assert "but must be at least 1.1" in said.out
    assert "but must be at least 1.1" in cli("history", "commands-no", "1").out
    assert cli("promote", "commands-no", "--json").json["outcome"] == "no"


def test_too_few_rows_are_undecided_and_exit_with_1(copy: Copy) -> None:
    copy("commands-few", promotion=Promotion(min_rows=10_000))
    said = cli("promote", "commands-few")
    assert said.code == 1
    assert "stays challenger, the judgement is undecided" in said.out


def test_rollback_goes_back_and_is_in_the_history(copy: Copy) -> None:
    name = "commands-rollback"
    for _ in range(2):
        copy(name, **RULES)
        assert cli("promote", name).code == 0
    back = cli("rollback", name, "--why", "complaints", "--json")
    assert back.code == 0, back.both
    assert back.json == {"model": name, "version": "1", "replaced": "2"}
    assert "champion is version 1, previous is version 2" in cli("history", name).out
    said = cli("promote", name)
    plain(said, 1, "no challenger waits")
    assert cli("promote", name, "--version", "2").code == 0


def test_score_can_judge_a_waiting_challenger_first(copy: Copy, rows_csv: Path, tmp_path: Path) -> None:
    name = "commands-fresh"
    copy(name, **RULES)
    done = cli("score", name, "--input", rows_csv, "--output", tmp_path / "a", "--promote", "--json")
    assert done.code == 0, done.both
    assert done.json["version"] == "1"
    copy(name, gates={"accuracy": Gate(min=1.1)}, **RULES)
    done = cli("score", name, "--input", rows_csv, "--output", tmp_path / "b", "--promote", "--json")
    assert done.json["version"] == "1"
    copy(name, **RULES)
    done = cli(
        "score", f"models:/{name}@champion", "--input", rows_csv, "--output", tmp_path / "c", "--promote", "--json"
    )
    assert done.code == 0, done.both
    assert done.json["version"] == "3"


def test_warnings_of_libraries_are_for_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(*_: object) -> dict[Path, object]:
        warnings.simplefilter("always")
        warnings.warn("a library grumbles", UserWarning, stacklevel=1)
        return {}

    monkeypatch.setattr("flows.check.check_files", careless)
    assert cli("check", "x.toml").both.strip() == ""
    with pytest.warns(UserWarning, match="grumbles"):
        cli("check", "x.toml", "--debug")


def test_log_lines_stay_off_the_screen_unless_debugging(tmp_path: Path) -> None:
    with mock.patch.dict(os.environ, {"PERENNIAL_HOME": str(tmp_path)}, clear=True):
        cli("check", tmp_path / "x.toml", "--debug")
        assert "MLFLOW_LOGGING_LEVEL" not in os.environ
        cli("check", tmp_path / "x.toml")
        assert os.environ["MLFLOW_LOGGING_LEVEL"] == "CRITICAL"


def test_with_json_an_error_is_the_last_line_of_standard_output(tmp_path: Path) -> None:
    said = cli("train", tmp_path / "nowhere.toml", "--dry-run", "--json")
    plain(said, 2, "nowhere.toml")
    assert said.json == {"error": [said.err.strip()], "exit_code": 2}
    many = write_model(tmp_path, "many", rest="[trainning]\nepochs = 3\n[promotion]\nmin_rows = 0\n")
    said = cli("train", many, "--dry-run", "--json")
    assert said.json["error"] == said.err.splitlines() and len(said.json["error"]) == 2
    said = cli("train", "--jsn", "--json")
    assert said.json["exit_code"] == said.code == 2 and "--jsn" in said.json["error"][0]


def interrupted(file: Path, *words: str) -> str:
    """The run of a training that the user interrupts after its last epoch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "export_model", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        said = cli("train", file, *words)
    assert said.code == 130, said.both
    assert said.err.splitlines()[-1].startswith("interrupted; the same command goes on: training after its last epoch")
    experiment = connect().get_experiment_by_name(file.stem)
    newest = connect().search_runs([experiment.experiment_id])[0]
    assert newest.info.status in ("KILLED", "FAILED")
    return str(newest.info.run_id)


@pytest.mark.usefixtures("no_evaluation", "no_export")
def test_an_interrupted_training_goes_on_in_its_run_unless_it_is_to_start_anew(server: str, tmp_path: Path) -> None:
    file = write_model(tmp_path, "goes-on")
    forgotten = interrupted(file)
    first = interrupted(file, "--fresh")
    assert first != forgotten
    trained = cli("train", file, "--json")
    assert trained.code == 0, trained.both
    assert trained.json["run_id"] == first
    assert connect().get_run(first).info.status == "FINISHED"
    assert sorted(metric.step for metric in connect().get_metric_history(first, "train_loss")) == [1, 2]


def test_errors_of_model_files_are_plain_lines(server: str, tmp_path: Path) -> None:
    broken = write_model(tmp_path, "broken", rest="[trainning]\nepochs = 3\n")
    plain(cli("train", broken), 2, "broken.toml", "trainning", "'training'")
    plain(cli("train", tmp_path / "nowhere.toml"), 2, "nowhere.toml")
    one = write_model(tmp_path, "one-class", table().assign(broken="no"))
    plain(cli("train", one), 2, "broken")
    none = write_model(tmp_path, "no-rows", table(0))
    plain(cli("train", none), 2, "no-rows.csv")
    lost = write_model(tmp_path, "lost", columns='[columns]\nabsent = "number"\n')
    plain(cli("train", lost), 2, "absent", "lost.csv")


def test_errors_of_the_registry_are_plain_lines(small: Small, rows_csv: Path, tmp_path: Path, copy: Copy) -> None:
    out = tmp_path / "out"
    plain(cli("score", "smal", "--input", rows_csv, "--output", out), 2, "smal", "'small'")
    plain(cli("promote", "no-such"), 2, "no-such")
    plain(cli("rollback", "no-such"), 2, "no-such")
    plain(cli("history", "no-such"), 2, "no-such")
    plain(cli("history", "small", "77"), 2, "small", "77")
    plain(cli("rollback", "small"), 1, "small", "no previous champion")
    plain(cli("promote", "small", "--version", "77"), 2, "small", "77")
    plain(cli("score", "small", "--input", "", "--output", out), 2, "--input")
    plain(cli("score", "small", "--input", tmp_path / "absent.csv", "--output", out), 2, "absent.csv")
    assert not out.exists()


def test_verdict_and_counts_are_shown_in_prefect(copy: Copy, rows_csv: Path, tmp_path: Path) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    copy("commands-shown", **RULES)
    cli("promote", "commands-shown")
    cli("score", "commands-shown", "--input", rows_csv, "--output", tmp_path / "out")
    with get_client(sync_client=True) as client:
        for key, words in (("verdict", "# commands-shown v1: yes"), ("scores", "# Scored with commands-shown v1")):
            found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
            assert any(str(artifact.data).startswith(words) for artifact in found)


def test_the_runs_table_tells_the_story(small: Small) -> None:
    experiment = connect().get_experiment_by_name("small")
    found = {r.info.run_name: r for r in connect().search_runs([experiment.experiment_id])}
    trained = next(
        run for name, run in found.items() if name.startswith("v1: ") and name.endswith(" average precision")
    )
    judged = found["yes: v1, no champion yet"]
    assert judged.data.tags["mlflow.parentRunId"] == trained.info.run_id
    assert trained.data.params["training.epochs"] == "2"
    assert {"train_loss", "validation_loss", "parity", "graph_bytes", "test_average_precision"} <= set(
        trained.data.metrics
    )
    assert trained.inputs.dataset_inputs[0].dataset.name == "small"
    names = {artifact.path for artifact in connect().list_artifacts(trained.info.run_id)}
    assert {"report.html", "plots", "evaluation.json"} <= names
    verdict = connect().download_artifacts(judged.info.run_id, "verdict.json")
    assert json.loads(Path(verdict).read_text())["outcome"] == "yes"

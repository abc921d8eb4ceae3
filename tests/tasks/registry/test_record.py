import json
from pathlib import Path

import pytest

from models.errors import OutsideError
from tasks.registry import runs
from tasks.registry.connection import connect, plain_errors
from tasks.registry.history import whoami
from tasks.registry.record import Origin, find_unchanged, slug
from tasks.registry.runs import RunTitle
from tasks.registry.versions import find_version
from tests.conftest import Small
from tests.small import cli, plain


def origin(small: Small, **changed: str) -> Origin:
    tags = find_version("small", "1").tags
    made_from = {"snapshot": "data.digest", "model_file": "model_file.digest", "code": "code.digest"}
    return Origin(**{key: changed.get(key, tags[tag]) for key, tag in made_from.items()}, commit="another commit")


def test_the_same_data_model_file_and_code_are_unchanged_whatever_the_commit(small: Small) -> None:
    found = find_unchanged("small", origin(small))
    assert found is not None and found.number == "1"


@pytest.mark.parametrize("part", ["snapshot", "model_file", "code"])
def test_a_change_of_any_part_is_a_change(small: Small, part: str) -> None:
    assert find_unchanged("small", origin(small, **{part: "0" * 64})) is None


def test_a_model_without_versions_is_not_unchanged(small: Small) -> None:
    assert find_unchanged("nobody", origin(small)) is None


def test_a_run_ends_as_what_happened_in_it(server: str, home: Path) -> None:
    def status(error: BaseException | None) -> str:
        run_id = runs.start_run(RunTitle("record-runs", "a run", "test"), home)
        try:
            with runs.finishing(run_id):
                if error:
                    raise error
        except BaseException as raised:
            assert raised is error
        return str(connect().get_run(run_id).info.status)

    assert status(None) == "FINISHED"
    assert status(ValueError("first line\nsecond")) == "FAILED"
    assert status(ValueError()) == "FAILED"
    assert status(KeyboardInterrupt()) == "KILLED"


def test_a_run_that_is_gone_is_not_resumed(server: str) -> None:
    assert not runs.resume_run("0" * 32)


def test_a_run_that_was_deleted_is_not_resumed(server: str, home: Path) -> None:
    run_id = runs.start_run(RunTitle("record-runs", "deleted", "test"), home)
    connect().delete_run(run_id)
    assert not runs.resume_run(run_id)


def test_runs_that_a_killed_process_left_beneath_another_are_marked(server: str, home: Path) -> None:
    parent = runs.start_run(RunTitle("record-runs", "parent", "test"), home)
    left, ended = (runs.start_run(RunTitle("record-runs", n, "test", parent), home) for n in ("left", "ended"))
    elsewhere = runs.start_run(RunTitle("record-runs", "elsewhere", "test"), home)
    runs.end_run(ended, "FINISHED")
    runs.mark_left(parent, "killed")
    states = [connect().get_run(run_id).info.status for run_id in (parent, left, ended, elsewhere)]
    assert states == ["RUNNING", "KILLED", "FINISHED", "RUNNING"]
    assert connect().get_run(left).data.tags["crashed"] == "true"


def test_a_run_of_which_the_server_cannot_tell_is_neither_resumed_nor_gone(
    server: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = runs.start_run(RunTitle("record-runs", "an outage", "test"), home)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(OutsideError, match="can't be reached while resuming a run"):
        runs.resume_run(run_id)


def test_long_parameters_are_cut_and_many_are_logged(server: str, home: Path) -> None:
    run_id = runs.start_run(RunTitle("record-runs", "parameters", "test"), home)
    runs.log_params(run_id, {"a": {f"p{i}": i for i in range(150)}, "long": "x" * 9000, "none": None, "empty": ()})
    params = connect().get_run(run_id).data.params
    assert len(params) == 151
    assert params["a.p149"] == "149"
    assert params["long"] == "x" * runs.LONGEST_PARAM


def test_names_of_metrics_have_only_what_mlflow_allows() -> None:
    assert slug("größe where shop = «a»") == "gr__e where shop _ _a_"
    assert slug("../a//b/") == ".._a__b_"
    assert len(slug("x" * 1000)) == 200


@pytest.mark.parametrize("words", [("history", "small"), ("promote", "small"), ("rollback", "small")])
def test_a_tracking_server_that_does_not_answer_is_one_plain_line(
    server: str, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    if words[0] == "promote":
        from tasks.registry import steps

        monkeypatch.setattr(steps.find_contest, "retries", 0)
    plain(cli(*words), 3, "MLflow at http://127.0.0.1:9 can't be reached while")


def test_credentials_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.exceptions import MlflowException

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9")
    with pytest.raises(OutsideError) as error, plain_errors("looking"):
        raise MlflowException("no answer from http://me:secret@127.0.0.1:9/api")
    assert "secret" not in str(error.value)
    assert str(error.value).startswith("MLflow at http://***@127.0.0.1:9 failed while looking: no answer")


def test_the_dataset_of_a_run_says_its_columns_rows_and_files(small: Small) -> None:
    run = connect().get_run(small.run_id)
    (dataset,) = [found.dataset for found in run.inputs.dataset_inputs]
    columns = {column["name"]: column["type"] for column in json.loads(dataset.schema)["mlflow_colspec"]}
    assert columns == {
        "load": "double",
        "heat": "double",
        "shop": "string",
        "night": "boolean",
        "made": "datetime",
        "broken": "string",
    }
    assert json.loads(dataset.profile) == {"rows": run.data.metrics["rows"]}
    assert [Path(path).name for path in json.loads(dataset.source)] == ["small.csv"]
    assert run.data.metrics["rejected_rows"] == 0
    assert run.data.tags["mlflow.user"] == whoami()


def test_what_failed_is_told_although_the_server_can_not_be_told_of_it(
    server: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = runs.start_run(RunTitle("record-masked", "a run", "test"), home)

    def gone(*_: object) -> None:
        raise OutsideError("MLflow is gone")

    monkeypatch.setattr(runs, "note_run", gone)
    monkeypatch.setattr(runs, "end_run", gone)
    for error in (ValueError("the first error"), KeyboardInterrupt("the first error")):
        with pytest.raises(type(error), match="the first error"), runs.finishing(run_id):
            raise error

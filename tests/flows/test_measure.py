"""`perennial measure`: what it asks for, what it keeps on the version, and the variant that is a version of its own."""

import json
from dataclasses import replace
from pathlib import Path

import onnxruntime
import pandas as pd
import pytest
from mlflow.entities import Run

from flows.measure_command import _lines
from flows.results import measured
from models.sections import Hardware, Promotion
from tasks.evaluation import form
from tasks.evaluation.bootstrap import Interval, Resampling
from tasks.evaluation.scored import Scored
from tasks.hardware.asked import Options, ask
from tasks.hardware.choose import cheapest
from tasks.hardware.results import Drawn
from tasks.hardware.steps import Written, keep_settings, measuring_alone, version_to_measure
from tasks.hardware.variant import Kept
from tasks.registry.connection import connect
from tasks.registry.history import read_history, whoami
from tasks.registry.versions import Version, find_version, list_versions, resolve
from tasks.scoring.execution import EXECUTION, Execution, execution_of
from tasks.scoring.outputs import manifest_of
from tests.conftest import Copy, Small
from tests.small import cli, plain
from tests.tasks.hardware.made import point, result

QUICK = ("--rounds", 1, "--seconds", 0.02, "--batch-rows", 32, "--threads", 1, "--optimization", "all")
RULES = {"promotion": Promotion(min_rows=50, resamples=100), "hardware": Hardware(max_accuracy_loss=0.2)}


@pytest.mark.usefixtures("server")
def test_what_can_not_be_measured_is_told_before_anything_starts(small: Small, tmp_path: Path) -> None:
    plain(cli("measure", "nobody"), 2, "nobody: no such model")
    plain(cli("measure", "small", "--prices", tmp_path / "none.toml"), 2, "no such prices file")
    plain(cli("measure", "small", "--machine", "moon"), 2, "no machine 'moon'")
    plain(cli("measure", "small", "a.json"), 2, "a.json", "--compare")
    plain(cli("measure", tmp_path / "none.toml"), 2, "no such model file")
    plain(cli("measure", "small", "--compare", tmp_path / "none.json"), 2, "none.json: can't be read")


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is in this build")
@pytest.mark.usefixtures("server")
def test_a_provider_that_is_not_there_is_a_plain_error(small: Small) -> None:
    said = cli("measure", "small", "--provider", "CUDAExecutionProvider")
    plain(said, 2, "CUDAExecutionProvider: this build of onnxruntime has no such execution provider")


@pytest.mark.usefixtures("server")
def test_a_model_without_a_champion_says_so(copy: Copy) -> None:
    copy("measure-none", **RULES)
    plain(cli("measure", "measure-none", *QUICK), 2, "measure-none: has no champion yet")


@pytest.mark.usefixtures("server")
def test_without_its_snapshot_nothing_is_measured(copy: Copy, home: Path) -> None:
    copy("measure-gone", **RULES)
    for path in (home / "snapshots" / "measure-gone").glob("*.json"):
        path.unlink()
    plain(cli("measure", "measure-gone/1", *QUICK), 2, "measure-gone: the snapshot", "is not on this machine")


@pytest.mark.usefixtures("server")
def test_two_measurements_at_once_would_measure_each_other(small: Small, home: Path) -> None:
    with measuring_alone("other", home, "ada@lab"):
        said = cli("measure", "small", *QUICK)
        plain(said, 1, "small: another measurement is under way, held by ada@lab, who measures other", "start again")
    with measuring_alone("small", home, "ada@lab"):
        assert (home / "hardware" / ".lock").exists()
    assert not (home / "hardware" / ".lock").exists()


@pytest.mark.usefixtures("server")
def test_settings_that_were_chosen_elsewhere_are_no_silent_fall_back(
    copy: Copy, rows_csv: Path, tmp_path: Path
) -> None:
    copy("measure-else", **RULES)
    tag = Execution("CUDAExecutionProvider").to_json()
    connect().set_model_version_tag("measure-else", "1", EXECUTION, tag)
    said = cli("score", "measure-else/1", "--input", rows_csv, "--output", tmp_path / "out")
    plain(said, 2, "version 1 was set to run on CUDAExecutionProvider", "--forget")
    assert cli("measure", "measure-else/1", "--forget").out.startswith("measure-else version 1 is scored as before")
    assert cli("score", "measure-else/1", "--input", rows_csv, "--output", tmp_path / "out").code == 0
    assert "had no settings of its own" in cli("measure", "measure-else/1", "--forget").out


@pytest.mark.usefixtures("server")
def test_settings_are_kept_only_where_they_were_measured_and_history_tells_of_it(copy: Copy) -> None:
    name, fast = "measure-kept", Execution(batch_rows=64, threads=2)
    copy(name, **RULES)
    found = result(point(1000), point(3000, execution=vars(fast)), chosen=1)
    both, other = ask(name), ask(name, Options(precision=("int8-channel",)))
    assert keep_settings.fn(resolve(f"{name}/1"), found, both, "run") == Kept(fast)
    assert execution_of(resolve(f"{name}/1")) == fast
    kept = read_history(name)[-1]
    assert (kept.event, kept.version, kept.who, kept.run_id) == ("settings kept", "1", whoami(), "run")
    assert kept.why == "float32 on CPU: batches of 64, 2 at once"
    # The reference alone was measured beside int8: that says nothing of the version's own settings.
    unasked = keep_settings.fn(resolve(f"{name}/1"), result(point(1000)), other, "later")
    assert unasked == Kept(None, "float32 was not asked for")
    assert execution_of(resolve(f"{name}/1")) == fast
    keep_settings.fn(resolve(f"{name}/1"), found, both, "again")
    assert [event.run_id for event in read_history(name) if event.event == "settings kept"] == ["run"]
    # Alike with the usual settings, were it not for a point of another precision that is faster than these.
    noisy, small = (
        point(3000, execution=vars(fast), rates=[900.0, 3000.0]),
        point(3100, "int8-tensor", rates=[2900.0, 3100.0]),
    )
    place, _ = cheapest([point(1000), noisy, small], found.rules)
    chosen = result(point(1000), noisy, small, chosen=place)
    assert chosen.best == noisy and keep_settings.fn(resolve(f"{name}/1"), chosen, both, "run") == Kept(fast)
    cli("measure", f"{name}/1", "--forget")
    assert (read_history(name)[-1].event, read_history(name)[-1].who) == ("settings gone", whoami())


@pytest.mark.usefixtures("server")
def test_settings_that_the_test_rows_refuse_are_not_kept(copy: Copy) -> None:
    """Such as those of a provider that computes in fewer bits; the next best are not taken instead."""
    name, worse = "measure-refused", {"value": 0.8, "difference": -0.1, "low": -0.13, "high": -0.07}
    copy(name, **RULES)
    fast, faster = Execution(batch_rows=64), Execution(batch_rows=64, optimization="basic")
    points = point(1000), point(3000, execution=vars(fast)), point(9000, execution=vars(faster), test=worse)
    kept = keep_settings.fn(resolve(f"{name}/1"), result(*points, chosen=2, limits=Hardware()), ask(name), "run")
    assert kept.execution is None
    assert kept.why.endswith("accuracy may be 0.1300 worse than in float32 before")
    assert EXECUTION not in resolve(f"{name}/1").tags
    allowed = result(*points, chosen=2, limits=Hardware(max_accuracy_loss=0.2))
    assert keep_settings.fn(resolve(f"{name}/1"), allowed, ask(name), "run").execution == faster


@pytest.mark.usefixtures("server")
def test_by_its_model_file_a_model_is_measured_whatever_form_its_champion_has(copy: Copy, small: Small) -> None:
    """Nothing else could allow another loss: a version carries the limits that it was made with."""
    name = "measure-form"
    for _ in range(2):
        copy(name, **RULES)
    connect().set_model_version_tag(name, "2", "parent", "1")
    connect().set_registered_model_alias(name, "champion", "2")
    by_name = ask(name)
    assert version_to_measure.fn(by_name).number == "2"
    assert version_to_measure.fn(replace(by_name, limits=Hardware())).number == "1"
    assert version_to_measure.fn(replace(by_name, model=f"{name}/1", limits=Hardware())).number == "1"


def told(kept: Kept, **more: object) -> list[str]:
    found = result(point(1000), point(2000, "int8-tensor"), chosen=1, **more)
    version = Version("m", "4", "r", "models:/m-1", {}, ())
    return _lines(measured(version, "run", found, Written(Path("h.html"), Path("b.json")), kept, None))


def test_the_screen_says_what_was_kept_and_which_rows_chose() -> None:
    lines = told(Kept(Execution(batch_rows=64, threads=2)))
    assert (
        "  chosen on 80 validation rows: accuracy 0.9000, +0.0000 to float32 (95 % interval +0.0000 to +0.0000)"
        in lines
    )
    assert "  then on 100 test rows: accuracy 0.9000, +0.0000 to float32 (95 % interval +0.0000 to +0.0000)" in lines
    assert "kept on version 4: float32 on CPU: batches of 64, 2 at once" in lines
    assert "version 4 keeps the settings that it had: so it is" in told(Kept(None, "so it is"))
    assert "next: perennial measure m/4 --register makes it a version of its own" in lines


def test_the_screen_says_what_the_test_rows_refuse_and_what_to_do() -> None:
    lines = told(Kept(None, "so it is"), refused="accuracy may be 0.1300 worse than in float32")
    assert "refused, and not registered: on the test rows accuracy may be 0.1300 worse than in float32" in lines
    assert not any(line.startswith("note: no rows validate") for line in lines)
    learnt = told(Kept(None, "so it is"), choice=Drawn(split="train", rows=80, of=80))
    assert any(line.startswith("note: no rows validate") for line in learnt)
    assert lines[-1].startswith("next: to allow that loss, raise [hardware] max_accuracy_loss in the model file")


def children(run_id: str) -> list[Run]:
    experiment = connect().get_run(run_id).info.experiment_id
    return list(connect().search_runs([experiment], f"tags.`mlflow.parentRunId` = '{run_id}'"))


@pytest.mark.slow
def test_from_a_version_to_a_cheaper_one_that_is_promoted_and_scores(
    server: str, copy: Copy, home: Path, rows_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "measure-all"
    copy(name, **RULES)
    assert cli("promote", name).code == 0
    # The network is too small for 8 bits to pay; which point wins is tested elsewhere.
    monkeypatch.setattr("tasks.hardware.choose._time", lambda point: 0.1 if point.precision == "int8-tensor" else 1.0)
    words = ("measure", name, *QUICK, "--precision", "float32", "--precision", "int8-tensor", "--register", "--json")
    done = cli(*words, "--output", tmp_path / "out", "--machine", "two-cores")
    assert done.code == 0, done.both
    told = done.json
    assert (told["model"], told["version"], told["registered"], told["currency"]) == (name, "1", "2", "USD")
    assert told["chosen"]["precision"] == "int8-tensor" and told["chosen"]["cost"] > 0
    _check_record(told, name)
    _check_files(tmp_path / "out", told, name)
    assert execution_of(resolve(name)) == Execution(**told["settings"])
    judged = cli("promote", name)
    assert judged.code == 0, judged.both
    assert "average_precision is 0." in judged.out and "than that of its parent, version 1" in judged.out
    scored = cli("score", name, "--input", rows_csv, "--output", tmp_path / "scored", "--json")
    assert scored.json["version"] == "2"
    pinned = manifest_of(str(tmp_path / "scored"))["executions"]
    assert pinned == [json.loads(find_version(name, "2").tags[EXECUTION])]
    assert len(pd.read_parquet(tmp_path / "scored" / "predictions")) == 198
    plain(cli("measure", name, *QUICK), 1, "version 2 is version 1 in another precision; measure measure-all/1")


def _check_record(told: dict[str, object], name: str) -> None:
    """A run with the report, a run beneath it for each point, and a version that tells of its parent."""
    run_id = str(told["run_id"])
    runs = children(run_id)
    assert len(runs) == told["points"]
    assert all(
        {"rows_per_second", "latency_p99_ms", "peak_mb", "test_average_precision", "validation_average_precision"}
        <= set(run.data.metrics)
        for run in runs
    )
    assert [run.data.params["precision"] for run in runs if run.data.tags.get("chosen")] == ["int8-tensor"]
    kept = {file.path for file in connect().list_artifacts(run_id)}
    assert {"hardware.html", "two-cores.json", "cost.png", "latency.png"} <= kept
    variant = list_versions(name)[0]
    parent = find_version(name, "1")
    assert (variant.number, variant.tags["parent"], variant.tags["precision"]) == ("2", "1", "int8-tensor")
    assert "parity" not in variant.tags
    assert variant.sha256 != parent.sha256
    assert "challenger" in variant.aliases


def _check_files(folder: Path, told: dict[str, object], name: str) -> None:
    """The report names what was chosen; results of two machines go into one report."""
    page = (folder / "hardware.html").read_text(encoding="utf-8")
    assert str(told["chosen"]["name"]) in page and "<script" not in page  # type: ignore[index]
    raw = json.loads((folder / "two-cores.json").read_text())
    raw["machine"]["name"] = "the other"
    other = folder / "other.json"
    other.write_text(json.dumps(raw))
    said = cli("measure", name, "--compare", folder / "two-cores.json", other, "--output", folder / "both")
    assert said.code == 0, said.both
    assert "the other" in (folder / "both" / "hardware.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_what_the_test_rows_refuse_is_not_registered_and_no_success(
    server: str, copy: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(name: str, other: Scored, origin: Scored, resampling: Resampling) -> Interval:
        return Interval(0.0, 0.0, 0.0) if form.same_answers(other, origin) else Interval(-0.3, -0.1, -0.2)

    copy("measure-lost", **RULES)
    monkeypatch.setattr(form, "difference_to_origin", lost)
    monkeypatch.setattr("tasks.hardware.choose._time", lambda point: 0.1 if point.precision == "int8-tensor" else 1.0)
    words = ("measure", "measure-lost/1", *QUICK, "--precision", "float32", "--precision", "int8-tensor", "--register")
    done = cli(*words, "--output", tmp_path, "--json")
    assert done.code == 1, done.both
    told = done.json
    assert told["chosen"]["precision"] == "int8-tensor" and told["registered"] is None
    assert told["refused"] == "average precision may be 0.3000 worse than in float32"
    assert [version.number for version in list_versions("measure-lost")] == ["1"]
    assert execution_of(resolve("measure-lost/1")) == Execution(**told["settings"]), "the best of float32 are kept"
    assert "Nothing new to deploy" in (tmp_path / "hardware.html").read_text(encoding="utf-8")
    chosen = [run.data.tags["chosen"] for run in children(told["run_id"]) if "chosen" in run.data.tags]
    assert chosen == [told["refused"]]


@pytest.mark.slow
def test_limits_that_nothing_keeps_refuse(server: str, copy: Copy, tmp_path: Path) -> None:
    copy("measure-hard", **{**RULES, "hardware": Hardware(max_memory_mb=1)})
    done = cli("measure", "measure-hard/1", *QUICK, "--precision", "float32", "--output", tmp_path, "--json")
    assert done.code == 1, done.both
    assert done.json["chosen"] is None and done.json["settings"] is None
    assert "no point keeps within the limits" in done.json["why"]
    assert EXECUTION not in find_version("measure-hard", "1").tags
    assert (tmp_path / "hardware.html").exists()

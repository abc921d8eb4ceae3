"""A retraining waits for enough new rows."""

import re
from pathlib import Path

import pytest
from prefect.client.schemas.objects import State

from flows.results import Retrained
from flows.retrain import retrain
from tasks.registry.connection import connect
from tasks.registry.runs import place_of
from tasks.registry.versions import find_version
from tests.small import QUICK, cli, plain, table, write_model

FEW = "[promotion]\nmin_rows = 50\nresamples = 100\n[schedule]\nmin_new_rows = 30\n"


@pytest.mark.usefixtures("server", "no_evaluation", "no_export")
def test_a_retraining_waits_until_enough_rows_have_come_or_the_model_file_changes(tmp_path: Path) -> None:
    file = write_model(tmp_path, "patient", table(400), rest=FEW)
    assert cli("retrain", file, "--json").json["version"] == "1"
    few = "20 new rows since version 1, fewer than schedule.min_new_rows = 30"
    arrive(file, 420)
    told = cli("retrain", file, "--json")
    assert told.code == 0, told.both
    assert (told.json["outcome"], told.json["reasons"], told.json["unchanged"]) == ("skipped", [few], False)
    assert (told.json["version"], told.json["promoted"], told.json["rows"]) == ("1", False, 420)
    assert cli("retrain", file).out.splitlines() == ["skipped, patient version 1 stays the newest:", f"  {few}"]
    state: State[Retrained] = retrain(file, return_state=True)
    assert (state.name, state.message) == ("Skipped", f"skipped: {few}")
    arrive(file, 429)
    assert cli("retrain", file, "--json").json["outcome"] == "skipped"
    arrive(file, 430)
    assert cli("retrain", file, "--json").json["version"] == "2"
    # Another model file is a reason of its own; when to retrain is not what the model is.
    file.write_text(file.read_text().replace("width = 8", "width = 9"))
    assert cli("retrain", file, "--json").json["version"] == "3"
    file.write_text(file.read_text().replace("min_new_rows = 30", "min_new_rows = 31"))
    assert cli("retrain", file, "--json").json["outcome"] == "unchanged"


@pytest.mark.slow
@pytest.mark.usefixtures("server", "no_evaluation", "no_export")
def test_a_warm_start_begins_with_the_champion_and_is_told_and_changed_weights_are_refused(tmp_path: Path) -> None:
    rest = "[promotion]\nmin_rows = 50\nresamples = 100\n[gates]\naccuracy = { min = 0.1, margin = 1 }\n"
    warm = QUICK.replace("[evaluation]", "warm_start = true\n[evaluation]")
    file = write_model(tmp_path, "warmed", table(400), quick=warm, rest=rest)
    first = cli("retrain", file, "--json")
    assert first.json["promoted"], first.both
    assert told_of("warmed", "1") == (None, "began with random weights: there is no champion yet")
    # Another champion is no reason to train again, or there would be no end to it.
    assert cli("retrain", file, "--json").json["outcome"] == "unchanged"
    arrive(file, 430)
    second = cli("retrain", file, "--json")
    assert (second.json["version"], second.json["promoted"]) == ("2", True), second.both
    version, said = told_of("warmed", "2")
    assert version == "1"
    assert re.fullmatch(r"began with the weights of version 1: (\d+) of \1 parameters taken over", said)
    assert cli("retrain", file, "--json").json["outcome"] == "unchanged"
    kept = Path(place_of(find_version("warmed", "2").run_id, "weights/heritage.pt"))
    kept.write_bytes(kept.read_bytes()[:-1] + b"!")
    arrive(file, 420)
    plain(cli("train", file), 2, "warmed", "the weights of version 2 were changed", "warm_start = false")


def told_of(model: str, number: str) -> tuple[str | None, str]:
    """The start by the tags of the version and of its run."""
    version = find_version(model, number)
    return version.tags.get("warm_start"), connect().get_run(version.run_id).data.tags["warm_start"]


def arrive(file: Path, rows: int) -> None:
    """The table has so many rows now; the first ones are as they were."""
    frame = table(430)
    assert rows <= len(frame)
    first = table(400)
    frame.iloc[:400] = first
    frame.iloc[:rows].to_csv(file.with_suffix(".csv"), index=False)

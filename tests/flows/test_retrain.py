"""A retraining waits for enough new rows."""

from pathlib import Path

import pytest
from prefect.client.schemas.objects import State

from flows.results import Retrained
from flows.retrain import retrain
from tests.small import cli, table, write_model

FEW = "[promotion]\nmin_rows = 50\nresamples = 100\n[schedule]\nmin_new_rows = 30\n"


@pytest.mark.usefixtures("server", "no_evaluation")
def test_a_retraining_waits_until_enough_rows_have_come(tmp_path: Path) -> None:
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


@pytest.mark.usefixtures("server", "no_evaluation")
def test_a_changed_model_file_is_trained_with_few_new_rows(tmp_path: Path) -> None:
    file = write_model(tmp_path, "changed", table(400), rest=FEW)
    assert cli("retrain", file, "--json").json["version"] == "1"
    arrive(file, 410)
    file.write_text(file.read_text().replace("width = 8", "width = 9"))
    assert cli("retrain", file, "--json").json["version"] == "2"
    file.write_text(file.read_text().replace("min_new_rows = 30", "min_new_rows = 31"))
    assert cli("retrain", file, "--json").json["outcome"] == "unchanged"


def arrive(file: Path, rows: int) -> None:
    """The table has so many rows now; the first ones are as they were."""
    frame = table(430)
    assert rows <= len(frame)
    first = table(400)
    frame.iloc[:400] = first
    frame.iloc[:rows].to_csv(file.with_suffix(".csv"), index=False)

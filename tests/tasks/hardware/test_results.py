"""Results are files that other machines' results are laid beside."""

import json
from pathlib import Path

import pytest

from models.errors import InputError
from tasks.hardware.report import headline, render_hardware
from tasks.hardware.results import Drawn, read_results, write_result
from tests.tasks.hardware.made import MACHINE, point, result

HOSTILE = '<script>alert("1")</script>'


def test_a_result_comes_back_from_its_file(tmp_path: Path) -> None:
    made = result(point(), point(2000, "int8-tensor"), chosen=1)
    path = write_result(made, tmp_path)
    assert path.name == "bench.json"
    assert read_results([path], "m") == [made]


def test_a_machine_with_an_odd_name_has_a_file_all_the_same(tmp_path: Path) -> None:
    odd = result(machine=MACHINE.model_copy(update={"name": "../a b/c"}))
    assert write_result(odd, tmp_path).parent == tmp_path


def test_what_can_not_be_compared_is_told_at_once(tmp_path: Path) -> None:
    other = write_result(result(model="other"), tmp_path / "other")
    (tmp_path / "bad.json").write_text("{}")
    newer = tmp_path / "newer.json"
    newer.write_text(result().model_dump_json().replace('"format_version":2', '"format_version":9'))
    with pytest.raises(InputError) as caught:
        read_results([other, tmp_path / "bad.json", tmp_path / "none.json", newer, tmp_path], "m")
    told = caught.value.problems
    assert len(told) == 5 and all("\n" not in line for line in told)
    assert "is of model 'other', not of 'm'" in told[0]
    assert "damaged result of a measurement" in told[1]
    assert "No such file" in told[2]
    assert "newer than 2" in told[3]


def test_different_graphs_are_not_laid_side_by_side(tmp_path: Path) -> None:
    paths = [write_result(result(), tmp_path / "a"), write_result(result(graph_sha256="b" * 64), tmp_path / "b")]
    with pytest.raises(InputError, match="results of different versions can't be compared"):
        read_results(paths, "m")


@pytest.mark.parametrize("change", [{"chosen": 7}, {"points": []}, {"points": [{"precision": "int4"}]}])
def test_a_result_that_makes_no_sense_is_damaged(tmp_path: Path, change: dict[str, object]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps({**result().model_dump(mode="json"), **change}))
    with pytest.raises(InputError, match="damaged result of a measurement"):
        read_results([path], "m")


def test_the_report_says_what_to_deploy_and_what_was_not_measured() -> None:
    best = point(4000, "int8-tensor", cost=0.025)
    page = render_hardware([result(point(), best, chosen=1)])
    assert "Deploy int8, per tensor on CPU: usual batches" in page
    assert "4,000 rows a second, 0.0250 USD a million" in page
    assert "CUDAExecutionProvider" in page and "not in this build of onnxruntime" in page
    assert "4.00 ×" in page


def test_the_cheapest_of_several_machines_is_named() -> None:
    dear = result(point(9000, cost=0.5), machine=MACHINE.model_copy(update={"name": "large"}))
    cheap = result(point(1000, cost=0.1))
    assert headline([dear, cheap]).startswith("Deploy float32 on CPU: usual batches")
    assert " on bench: 1,000 rows a second" in headline([dear, cheap])
    assert render_hardware([dear, cheap]).count("<td>large</td>") >= 2


def test_without_prices_the_fastest_is_named_and_no_cost_is_made_up() -> None:
    page = render_hardware([result(point(cost=None), price=None)])
    assert "a million." not in headline([result(point(cost=None), price=None)])
    assert "What accuracy costs" not in page and "What speed costs in waiting" in page


def test_the_page_escapes_names_and_loads_nothing() -> None:
    machine = MACHINE.model_copy(update={"name": HOSTILE, "processor": HOSTILE})
    page = render_hardware([result(model=HOSTILE, why=HOSTILE, machine=machine), result(machine=machine)])
    assert "<script" not in page
    # Figures refer to parts of themselves.
    for outside in ("http://", "https://", "src=", "@import", "url(h"):
        assert outside not in page.replace("http://www.w3.org", ""), outside


def test_a_busy_machine_is_told_of() -> None:
    busy = result(machine=MACHINE.model_copy(update={"busy": 3.5}))
    assert "3.5 processes for each core: measure again when it is quiet" in render_hardware([busy])
    assert "measure again when" not in render_hardware([result()])


def test_nothing_in_the_limits_is_said_in_the_headline() -> None:
    assert headline([result(chosen=None)]) == "Nothing that was measured keeps within the limits of the model file."
    assert "Nothing that was measured" in render_hardware([result(chosen=None)])


def test_costs_in_different_currencies_are_not_compared(tmp_path: Path) -> None:
    other = result(price=result().price.model_copy(update={"currency": "EUR"}))  # type: ignore[union-attr]
    paths = [write_result(each, tmp_path / name) for each, name in ((result(), "a"), (other, "b"))]
    with pytest.raises(InputError, match="prices in EUR and USD can't be compared"):
        read_results(paths, "m")


def test_a_machine_without_a_price_does_not_lose_for_it() -> None:
    unpriced = result(point(9000, cost=None), price=None, machine=MACHINE.model_copy(update={"name": "large"}))
    told = headline([result(point(1000, cost=0.1)), unpriced])
    assert told.startswith("Deploy") and " on large: 9,000 rows a second" in told
    assert told.endswith("No price is known for large: the fastest is named, not the cheapest.")


def test_a_machine_is_told_of_with_its_own_cores() -> None:
    page = render_hardware([result(machine=MACHINE.model_copy(update={"cores": 96}))])
    assert "usual batches, 96 at once" in page
    assert "usual batches, 96 at once" in headline([result(machine=MACHINE.model_copy(update={"cores": 96}))])


def test_the_page_says_which_rows_chose_and_of_how_many_some_were_drawn() -> None:
    page = render_hardware([result(test=Drawn(split="test", rows=100, of=5000))])
    assert "Chosen on 80 validation rows; 100 of 5,000 test rows, drawn at random chose nothing" in page
    assert "No rows validate here" not in page
    page = render_hardware([result(choice=Drawn(split="train", rows=80, of=80))])
    assert "Chosen on 80 training rows; 100 test rows chose nothing" in page and "No rows validate here" in page


def test_a_result_of_the_first_format_is_read_and_says_that_test_rows_chose(tmp_path: Path) -> None:
    raw = json.loads(result(point(), point(3000, "int8-tensor"), chosen=1).model_dump_json())
    for name in ("choice", "test", "provable", "refused"):
        del raw[name]
    raw |= {"format_version": 1, "test_rows": 100, "sampled_from": 5000}
    for place, each in enumerate(raw["points"]):
        del each["choice"], each["test"]
        each |= {"value": 0.9, "difference": -0.001 * place, "low": -0.004 * place, "high": 0.002 * place}
    path = tmp_path / "older.json"
    path.write_text(json.dumps(raw))
    (found,) = read_results([path], "m")
    assert found.test == found.choice == Drawn(split="test", rows=100, of=5000)
    assert found.points[1].test == found.points[1].choice
    assert (found.points[1].test.low, found.to_deploy) == (-0.004, found.points[1])
    page = render_hardware([found])
    assert "Chosen on the test rows themselves by an earlier release" in page
    assert "All of this on 100 of 5,000 test rows, drawn at random" in page


def test_what_the_test_rows_refuse_is_not_to_be_deployed() -> None:
    refused = result(point(), point(4000, "int8-tensor"), chosen=1, refused="accuracy may be 0.1300 worse")
    told = headline([refused])
    assert told.startswith("Nothing new to deploy") and "on the test rows" in told
    assert "<b>Refused:</b> on the test rows accuracy may be 0.1300 worse." in render_hardware([refused])
    other = result(point(500), machine=MACHINE.model_copy(update={"name": "large"}))
    assert headline([refused, other]).startswith("Deploy float32 on CPU: usual batches, 2 at once on large")


def test_the_shipped_prices_are_called_examples() -> None:
    shipped = result(price=result().price.model_copy(update={"example": True}))  # type: ignore[union-attr]
    assert "an example, not a quotation" in render_hardware([shipped])
    assert "an example, not a quotation" not in render_hardware([result()])

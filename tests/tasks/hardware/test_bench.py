"""Points are measured in processes of their own; what runs where is told by ONNX Runtime's profile."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from sklearn.metrics import average_precision_score

from models.contract import read_contract
from models.errors import InputError, OutsideError
from tasks.data.rows import rows_of
from tasks.data.snapshot import open_snapshot
from tasks.data.splits import TEST, TRAIN, VALIDATION
from tasks.hardware import measure as measuring
from tasks.hardware.accuracy import Known, Yardstick, summed_up
from tasks.hardware.bench import Bench, ProbeError, Round, Sampled, in_turns
from tasks.hardware.machine import absent_providers, this_machine
from tasks.hardware.measure import Subject
from tasks.hardware.points import REFERENCE, Point, ask_grid
from tasks.hardware.prepare import Prepared, _places, prepare
from tasks.hardware.prices import Price
from tasks.hardware.probe import Placed, placed, read_columns
from tasks.hardware.results import Drawn
from tasks.scoring.execution import CPU, Execution
from tasks.scoring.predictor import Predictions, Predictor
from tests.conftest import Small

PRICE = Price(machine="two", currency="USD", hourly=0.36, watts=0.0, kwh=0.0)


@pytest.fixture(scope="module")
def ready(small: Small, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(small.downloaded, tmp_path_factory.mktemp("bench"), home)


def ids_of(small: Small, home: Path, split: int) -> set[tuple[object, ...]]:
    """Rows of the split by the rule of the version."""
    snapshot = open_snapshot(home / "snapshots" / "small" / f"{read_contract(small.downloaded).snapshot}.json")
    rows = rows_of(snapshot, read_contract(small.downloaded).split, split, ["load", "heat", "made"])
    return set(zip(*(rows.column(of).to_pylist() for of in ("load", "heat", "made")), strict=True))


def test_validation_rows_choose_test_rows_tell_and_training_rows_calibrate(
    ready: Prepared, small: Small, home: Path
) -> None:
    rows = {}
    for name in ("choice", "test", "calibration"):
        columns = read_columns(ready.bench.folder, name)
        rows[name] = set(zip(*(columns[of].to_pylist() for of in ("load", "heat", "made")), strict=True))
    assert rows["choice"] == ids_of(small, home, VALIDATION) and len(rows["choice"]) > 50
    assert rows["test"] == ids_of(small, home, TEST) and len(rows["test"]) > 50
    assert rows["calibration"] <= ids_of(small, home, TRAIN)
    assert ready.yardstick.choice.drawn == Drawn(split="validation", rows=len(rows["choice"]), of=len(rows["choice"]))
    assert ready.yardstick.test.drawn == Drawn(split="test", rows=len(rows["test"]), of=len(rows["test"]))


def test_where_no_rows_validate_training_rows_choose_that_calibrate_nothing() -> None:
    assigned = np.repeat(np.array([TRAIN, TEST], dtype=np.int8), [700, 40])
    places = _places(assigned, "m")
    assert (places.split, places.test.tolist()) == ("train", list(range(700, 740)))
    assert (len(places.choice), len(places.calibration)) == (350, 350)
    assert sorted([*places.choice.tolist(), *places.calibration.tolist()]) == list(range(700))
    assert len(_places(np.repeat(assigned, 10), "m").calibration) == 512
    assert _places(np.append(assigned, np.int8(VALIDATION)), "m").split == "validation"
    with pytest.raises(InputError, match="one training row and no validation rows to choose by"):
        _places(np.array([TRAIN, TEST], dtype=np.int8), "m")


def test_every_node_is_placed_once(ready: Prepared) -> None:
    """Without optimisation the profile must name each node of the file; constants are none of them."""
    graph = onnx.load(ready.bench.graph("float32")).graph
    expected = Counter(node.op_type for node in graph.node if node.op_type != "Constant")
    found = ready.bench.place("float32", Execution(optimization="none"))
    assert {each.provider for each in found} == {CPU}
    assert {each.operator: each.nodes for each in found} == dict(expected)


def test_a_profile_counts_distinct_nodes_by_provider() -> None:
    def event(name: str, provider: str, operator: str, kind: str = "Node") -> dict[str, object]:
        return {"cat": kind, "name": name, "args": {"provider": provider, "op_name": operator}}

    events = [
        event("a_kernel_time", "X", "Conv"), event("a_kernel_time", "X", "Conv"), event("b_kernel_time", "X", "Conv"),
        event("c_kernel_time", CPU, "Tokenizer"), event("run", "X", "Conv", "Session"), {"cat": "Node", "args": {}},
    ]  # fmt: skip
    assert placed(events) == [Placed(CPU, "Tokenizer", 1), Placed("X", "Conv", 2)]


def test_a_process_that_fails_says_why_in_one_line(ready: Prepared) -> None:
    with pytest.raises(ProbeError, match=r"^CUDAExecutionProvider: this build of onnxruntime"):
        ready.bench.place("float32", Execution("CUDAExecutionProvider"))
    with pytest.raises(ProbeError, match="No such file"):
        ready.bench.measure(Point("float16", Execution()), 0.01)


def test_a_killed_process_is_a_failure_of_its_point(ready: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.hardware.bench.START", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(ProbeError, match="killed by SIGKILL; memory may have run out"):
        ready.bench.place("float32", Execution())


def test_a_round_measures_and_answers_as_scoring_does(ready: Prepared, small: Small) -> None:
    answers = ready.bench.folder / "answers"
    found = ready.bench.measure(Point("float32", Execution(batch_rows=16, threads=1)), 0.01, answers)
    assert found.rows_per_second > 100
    assert len(found.latencies_ms) >= 30 and min(found.latencies_ms) > 0
    assert 0 < found.load_seconds < 30 and 20 < found.peak_mb < 2000
    assert found.beside is not None and found.beside < 1e-5
    for name in ("choice", "test"):
        with np.load(answers / f"{name}.npz") as held:
            expected = Predictor.load(small.downloaded).predict(read_columns(ready.bench.folder, name)).index
            assert expected is not None
            assert held["index"].tolist() == expected.tolist()


class Counted:
    """Stands for a bench; a point with batches of 13 can't be run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[int | None]()

    def measure(self, point: Point, seconds: float, answers: Path | None) -> Round:
        self.asked.append(point.execution.batch_rows)
        if point.execution.batch_rows == 13:
            raise ProbeError("out of luck")
        if answers:
            answers.mkdir()
            for name in ("choice", "test"):
                np.savez(answers / name, values=np.zeros(3, dtype=np.float32))
        return Round(0.1, (1.0,), 10 / seconds, 50.0, 0.0)


def test_points_take_turns_and_one_that_fails_is_left_out(tmp_path: Path) -> None:
    bench, told = Counted(tmp_path), list[tuple[int | None, str]]()
    points = [Point("float32", Execution(batch_rows=size)) for size in (1, 13, 2)]
    found = list(in_turns(bench, points, 3, 0.5, lambda p, why: told.append((p.execution.batch_rows, why))))  # type: ignore[arg-type]
    assert bench.asked == [1, 13, 2, 1, 2, 1, 2]
    assert told == [(13, "out of luck")]
    assert [each.point.execution.batch_rows for each in found] == [1, 2]
    assert all(len(each.rounds) == 3 for each in found)


def answered(labels: list[int]) -> Predictions:
    sure = np.where(np.array(labels) == 1, 0.9, 0.1).astype(np.float32)
    return Predictions(np.array(labels), np.stack([1 - sure, sure], axis=1), None)


def truth_of(yardstick: Yardstick, known: Known) -> list[int]:
    classes = list(map(str, yardstick.contract.classes))
    return [classes.index(str(value)) for value in known.table["broken"].to_pylist()]


def sampled(choice: list[int], test: list[int], *rounds: Round) -> Sampled:
    return Sampled(REFERENCE, rounds or (Round(0.1, (1.0, 2.0), 1000.0, 50.0, 0.0),), answered(choice), answered(test))


def test_the_difference_to_float32_is_that_of_scikit_learn_on_both_kinds_of_rows(ready: Prepared) -> None:
    yardstick = ready.yardstick
    choosing, testing = truth_of(yardstick, yardstick.choice), truth_of(yardstick, yardstick.test)
    worse = [1 - value if place < 5 else value for place, value in enumerate(testing)]
    found = summed_up(sampled(choosing, worse), sampled(choosing, testing), yardstick, 1.5, PRICE)
    scores = [0.9 if label == 1 else 0.1 for label in worse]
    assert found.test.value == pytest.approx(average_precision_score(testing, scores))
    assert found.test.difference == pytest.approx(average_precision_score(testing, scores) - 1.0)
    assert found.test.low is not None and found.test.high is not None
    assert found.test.low <= found.test.difference <= found.test.high <= 0 and not found.test.same
    assert (found.choice.value, found.choice.difference, found.choice.same) == (1.0, 0.0, True)
    turned = summed_up(sampled(worse[: len(choosing)], testing), sampled(choosing, testing), yardstick, 1.5, PRICE)
    assert turned.choice.value == pytest.approx(
        average_precision_score(choosing, [0.9 if label == 1 else 0.1 for label in worse[: len(choosing)]])
    )
    assert turned.test.same and turned.choice.difference is not None and turned.choice.difference < 0


def test_the_test_rows_have_to_prove_what_the_others_only_suggest(ready: Prepared) -> None:
    """Of accuracy, where no row is decided otherwise: the rule of three, in the test rows' interval alone."""
    several = ready.yardstick.contract.model_copy(update={"task": "multiclass"})
    yardstick = replace(ready.yardstick, contract=several)
    sure = sampled(truth_of(yardstick, yardstick.choice), truth_of(yardstick, yardstick.test))
    unsure = replace(sure, choice=_less_sure(sure.choice), test=_less_sure(sure.test))
    found, rows = summed_up(unsure, sure, yardstick, 1.5, PRICE), len(yardstick.test.table)
    assert yardstick.metric == "accuracy" and yardstick.provable == 3 / rows
    assert (found.choice.low, found.choice.high, found.choice.same) == (0.0, 0.0, False)
    assert (found.test.low, found.test.high) == (-3 / rows, 3 / rows)
    assert ready.yardstick.provable == 0.0, "average precision is no share of rows"


def _less_sure(answers: Predictions) -> Predictions:
    assert answers.probabilities is not None
    return replace(answers, probabilities=np.float32(0.5) + (answers.probabilities - np.float32(0.5)) / 2)


def test_of_all_rounds_the_best_speed_counts_and_the_largest_memory(ready: Prepared) -> None:
    rounds = (
        Round(0.1, (1.0, 2.0), 100.0, 50.0, 0.25),
        Round(0.3, (3.0,), 300.0, 70.0),
        Round(0.2, (4.0,), 200.0, 60.0),
    )
    choice, test = ([0] * len(known.table) for known in (ready.yardstick.choice, ready.yardstick.test))
    found = summed_up(sampled(choice, test, *rounds), sampled(choice, test), ready.yardstick, 1.5, PRICE)
    assert (found.rows_per_second, found.load_seconds, found.peak_mb, found.beside) == (300.0, 0.2, 70.0, 0.25)
    assert found.latency_p50_ms == pytest.approx(2.5)
    assert found.latency_p99_ms == pytest.approx(np.quantile([1, 2, 3, 4], 0.99))
    # 0.36 an hour, 1.08 million rows an hour.
    assert found.cost == pytest.approx(1 / 3)
    assert (found.test.low, found.test.high) == (0.0, 0.0)


def test_a_snapshot_that_is_gone_is_told_with_what_to_do(small: Small, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"^small: the snapshot .* is not on this machine; measure where it was trained"
    ):
        prepare(small.downloaded, tmp_path, tmp_path)


def subject(small: Small, ready: Prepared) -> Subject:
    contract = read_contract(small.downloaded)
    return Subject("small", "1", contract.graph_sha256, ready.model_file.hardware, PRICE, this_machine("here"))


@pytest.mark.slow
def test_a_whole_measurement_and_what_it_leaves_out(small: Small, ready: Prepared) -> None:
    grid = ask_grid(
        providers=["cpu"], precisions=["float32", "int8-tensor"], batch_rows=[32], threads=[1], levels=["basic"],
        rounds=1, seconds=0.01,
    )  # fmt: skip
    seen: list[tuple[int, int]] = []
    found = measuring.measure(ready, subject(small, ready), grid, lambda *done: seen.append(done))
    assert found.points[0].point == REFERENCE
    assert {p.precision for p in found.points} == {"float32", "int8-tensor"}
    assert len({p.name for p in found.points}) == len(found.points) >= 5
    assert seen[-1][0] == seen[-1][1]
    assert found.chosen is not None and found.best is not None and found.best.cost is not None
    assert {each.asked for each in found.placements} == {CPU} and all(each.taken for each in found.placements)
    missing = {each.what: each.why for each in found.not_measured}
    assert missing.items() >= absent_providers().items()
    assert "CUDAExecutionProvider" in missing or "CUDAExecutionProvider" in {each.asked for each in found.placements}
    assert (found.points[0].test.difference, found.points[0].choice.same, found.refused) == (0.0, True, None)
    assert (found.choice.split, found.test.split) == ("validation", "test")


def test_settings_are_tried_around_the_best_point_of_float32_too(
    small: Small, ready: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version's own settings are kept, and what another precision gains is told of like settings."""

    def fast(self: Bench, point: Point, seconds: float, answers: Path | None = None) -> Round:
        if answers:
            answers.mkdir(exist_ok=True)
            for name, known in (("choice", ready.yardstick.choice), ("test", ready.yardstick.test)):
                given = answered([0] * len(known.table))
                np.savez(answers / name, index=given.index, probabilities=given.probabilities)
        speed = (400.0 if point.precision == "int8-tensor" else 100.0) * (2 if point.execution.threads == 1 else 1)
        return Round(0.1, (1.0,), speed, 50.0, 0.0)

    monkeypatch.setattr(Bench, "measure", fast)
    monkeypatch.setattr(Bench, "convert", lambda *_: None)
    monkeypatch.setattr(Bench, "size_mb", lambda *_: 1.0)
    monkeypatch.setattr(Bench, "place", lambda *_: [Placed(CPU, "Conv", 3)])
    grid = ask_grid(providers=["cpu"], precisions=["float32", "int8-tensor"], threads=[1], levels=["all"], rounds=1)
    found = measuring.measure(ready, subject(small, ready), grid)
    tried = {point.precision for point in found.points if point.execution["threads"] == 1}
    assert tried == {"float32", "int8-tensor"}
    assert found.best is not None and found.best.rows_per_second == 800
    assert found.why.startswith("8.00 times as many rows a second as before, 4.00 times as many as the best of float32")


def test_a_provider_that_takes_no_node_is_not_measured(
    small: Small, ready: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bench, "place", lambda *_: [Placed(CPU, "Conv", 3)])
    grid = ask_grid(precisions=["float32"], rounds=1, seconds=0.01)
    alone = type(grid)(**{**vars(grid), "providers": ("AzureExecutionProvider",)})
    with pytest.raises(InputError, match="it took no node of this graph; all of them fell back to the CPU"):
        measuring.measure(ready, subject(small, ready), alone)


def test_a_version_that_can_not_be_run_is_an_error(
    small: Small, ready: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Round:
        raise ProbeError("its process was killed by SIGKILL; memory may have run out")

    monkeypatch.setattr(Bench, "measure", fail)
    with pytest.raises(OutsideError, match=r"^small: version 1 can't be run: its process was killed by SIGKILL"):
        measuring.measure(ready, subject(small, ready), ask_grid(precisions=["float32"], rounds=1, seconds=0.01))


def test_yardsticks_take_the_first_metric_of_the_task(ready: Prepared) -> None:
    assert isinstance(ready.yardstick, Yardstick)
    assert ready.yardstick.metric == "average_precision"

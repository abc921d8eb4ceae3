"""Points are measured in processes of their own; what runs where is told by ONNX Runtime's profile."""

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from sklearn.metrics import accuracy_score, average_precision_score

from models.contract import Contract, read_contract
from models.errors import InputError, OutsideError
from tasks.hardware import measure as measuring
from tasks.hardware.accuracy import Yardstick, summed_up
from tasks.hardware.bench import Bench, ProbeError, Round, Sampled, in_turns
from tasks.hardware.machine import absent_providers, this_machine
from tasks.hardware.measure import Subject
from tasks.hardware.points import REFERENCE, Point, ask_grid
from tasks.hardware.prepare import Prepared, prepare
from tasks.hardware.prices import Price
from tasks.hardware.probe import Placed, placed, read_columns
from tasks.scoring.execution import CPU, Execution
from tasks.scoring.predictor import Predictions, Predictor
from tests.conftest import Small

PRICE = Price("two", "USD", 0.36, 0.0, 0.0)


@pytest.fixture(scope="module")
def ready(small: Small, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(small.downloaded, tmp_path_factory.mktemp("bench"), home)


def test_the_rows_are_the_test_rows_and_those_to_calibrate_with_are_not(ready: Prepared) -> None:
    rows = {}
    for name in ("test", "train"):
        columns = read_columns(ready.bench.folder, name)
        rows[name] = set(zip(*(columns[of].to_pylist() for of in ("load", "heat", "made")), strict=True))
    assert ready.sampled_from == len(ready.yardstick.rows) > 50
    assert len(rows["test"]) > 50 and not rows["test"] & rows["train"]


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
    answers = ready.bench.folder / "answers.npz"
    found = ready.bench.measure(Point("float32", Execution(batch_rows=16, threads=1)), 0.01, answers)
    assert found.rows_per_second > 100
    assert len(found.latencies_ms) >= 30 and min(found.latencies_ms) > 0
    assert 0 < found.load_seconds < 30 and 20 < found.peak_mb < 2000
    assert found.beside is not None and found.beside < 1e-5
    with np.load(answers) as held:
        expected = Predictor.load(small.downloaded).predict(read_columns(ready.bench.folder, "test")).index
        assert expected is not None
        assert held["index"].tolist() == expected.tolist()


class Counted:
    """Stands for a bench; a point with batches of 13 can't be run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.asked = folder, list[int | None]()

    def measure(self, point: Point, seconds: float, predictions: Path | None) -> Round:
        self.asked.append(point.execution.batch_rows)
        if point.execution.batch_rows == 13:
            raise ProbeError("out of luck")
        if predictions:
            np.savez(predictions, values=np.zeros(3, dtype=np.float32))
        return Round(0.1, (1.0,), 10 / seconds, 50.0, 0.0)


def test_points_take_turns_and_one_that_fails_is_left_out(tmp_path: Path) -> None:
    bench, told = Counted(tmp_path), list[tuple[int | None, str]]()
    points = [Point("float32", Execution(batch_rows=size)) for size in (1, 13, 2)]
    found = list(in_turns(bench, points, 3, 0.5, lambda p, why: told.append((p.execution.batch_rows, why))))  # type: ignore[arg-type]
    assert bench.asked == [1, 13, 2, 1, 2, 1, 2]
    assert told == [(13, "out of luck")]
    assert [each.point.execution.batch_rows for each in found] == [1, 2]
    assert all(len(each.rounds) == 3 for each in found)


def sampled(index: list[int], contract: Contract, *rounds: Round) -> Sampled:
    labels = np.array(index)
    sure = np.where(labels == 1, 0.9, 0.1).astype(np.float32)
    predictions = Predictions(labels, np.stack([1 - sure, sure], axis=1), None)
    return Sampled(REFERENCE, rounds or (Round(0.1, (1.0, 2.0), 1000.0, 50.0, 0.0),), predictions)


def test_the_difference_to_float32_is_that_of_scikit_learn(ready: Prepared) -> None:
    yardstick = ready.yardstick
    truth = [str(value) for value in yardstick.rows["broken"].to_pylist()]
    known = [list(map(str, yardstick.contract.classes)).index(value) for value in truth]
    worse = [1 - value if place < 5 else value for place, value in enumerate(known)]
    reference = yardstick.scored(sampled(known, yardstick.contract))
    found = summed_up(sampled(worse, yardstick.contract), reference, yardstick, 1.5, PRICE)
    scores = [0.9 if label == 1 else 0.1 for label in worse]
    assert found.value == pytest.approx(average_precision_score(known, scores))
    assert found.difference == pytest.approx(average_precision_score(known, scores) - 1.0)
    assert found.low is not None and found.high is not None
    assert found.low <= found.difference <= found.high <= 0
    assert accuracy_score(known, worse) == pytest.approx(1 - 5 / len(known))
    assert reference.labels.tolist() == known


def test_of_all_rounds_the_best_speed_counts_and_the_largest_memory(ready: Prepared) -> None:
    rounds = (
        Round(0.1, (1.0, 2.0), 100.0, 50.0, 0.25),
        Round(0.3, (3.0,), 300.0, 70.0),
        Round(0.2, (4.0,), 200.0, 60.0),
    )
    zeros = [0] * len(ready.yardstick.rows)
    reference = ready.yardstick.scored(sampled(zeros, ready.yardstick.contract))
    found = summed_up(sampled(zeros, ready.yardstick.contract, *rounds), reference, ready.yardstick, 1.5, PRICE)
    assert (found.rows_per_second, found.load_seconds, found.peak_mb, found.beside) == (300.0, 0.2, 70.0, 0.25)
    assert found.latency_p50_ms == pytest.approx(2.5)
    assert found.latency_p99_ms == pytest.approx(np.quantile([1, 2, 3, 4], 0.99))
    # 0.36 an hour, 1.08 million rows an hour.
    assert found.cost == pytest.approx(1 / 3)
    assert (found.low, found.high) == (0.0, 0.0)


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
    assert found.points[0].difference == 0.0


def test_settings_are_tried_around_the_best_point_of_float32_too(
    small: Small, ready: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version's own settings are kept, and what another precision gains is told of like settings."""

    def fast(self: Bench, point: Point, seconds: float, predictions: Path | None = None) -> Round:
        if predictions:
            labels = np.zeros(len(ready.yardstick.rows), dtype=np.int64)
            np.savez(predictions, index=labels, probabilities=np.tile([0.9, 0.1], (len(labels), 1)).astype(np.float32))
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

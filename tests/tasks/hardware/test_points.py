"""What is measured, and options that ask for what is not there."""

import pytest

from models.cores import usable_cores
from models.errors import InputError
from tasks.hardware.points import REFERENCE, Point, ask_grid
from tasks.scoring.execution import CPU, Execution


def test_all_precisions_and_sizes_come_first_and_the_reference_before_them() -> None:
    points = ask_grid(precisions=["int8-tensor", "float32"], batch_rows=[64], providers=["cpu"]).first()
    assert points[0] == REFERENCE
    assert [(p.precision, p.execution.batch_rows) for p in points] == [
        ("float32", None), ("float32", 64), ("int8-tensor", None), ("int8-tensor", 64),
    ]  # fmt: skip


def test_the_reference_is_measured_whatever_is_asked_for() -> None:
    assert ask_grid(precisions=["int8-tensor"]).first()[0] == REFERENCE


def test_threads_and_levels_are_tried_around_the_best_and_nothing_twice() -> None:
    best = Point("int8-tensor", Execution(batch_rows=64))
    grid = ask_grid(threads=[1, usable_cores()], levels=["basic", "all"])
    found = grid.around(best)
    assert found[0] == best
    assert all(found.count(point) == 1 for point in found)
    assert all((p.precision, p.execution.batch_rows) == ("int8-tensor", 64) for p in found)
    assert Execution(batch_rows=64, threads=1) in [p.execution for p in found]
    assert Execution(batch_rows=64, optimization="basic") in [p.execution for p in found]


def test_all_problems_come_at_once() -> None:
    with pytest.raises(InputError) as caught:
        ask_grid(
            providers=["CUDAExecutionProvider"], provider_options=["device_id"], precisions=["int4"], batch_rows=[0],
            threads=[-1], levels=["much"], rounds=0, seconds=0,
        )  # fmt: skip
    told = "\n".join(caught.value.problems)
    for words in (
        "CUDAExecutionProvider: this build of onnxruntime has no such execution provider",
        "--provider-option device_id: give KEY=VALUE",
        "--precision int4: unknown",
        "--batch-rows 0: give 1 or more",
        "--threads -1: give 1 or more",
        "--optimization much: unknown",
        "--rounds 0: give 1 or more",
        "--seconds 0: give seconds above 0",
    ):
        assert words in told


def test_options_belong_to_one_provider_and_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="belongs to one provider"):
        ask_grid(provider_options=["a=1"])
    with pytest.raises(InputError, match="--provider-option a: CPU takes none"):
        ask_grid(providers=["cpu"], provider_options=["a=1"])
    known = ["QNNExecutionProvider", CPU]
    monkeypatch.setattr("tasks.scoring.execution.available_providers", lambda: known)
    grid = ask_grid(providers=["qnn"], provider_options=["soc = x=y"])
    assert (grid.providers, grid.options) == ((known[0],), {"soc": "x=y"})
    assert all(point.name.endswith(", soc=x=y") for point in grid.first() if point != REFERENCE)

"""The cheapest point within the limits, and the points that no other beats."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import RefusedError
from models.sections import Hardware
from tasks.hardware.choose import allowed_loss, cheapest, pareto, problems_of, refusal_of
from tasks.hardware.results import Rules
from tasks.hardware.variant import keep_best, register_variant
from tasks.registry.versions import Version
from tasks.scoring.execution import Execution
from tests.tasks.hardware.made import point, result

RULES = Rules(Hardware(), "accuracy")
NUMBERS = st.integers(0, 6).map(float)


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12))
def test_the_front_is_what_no_other_point_beats(pairs: list[tuple[float, float]]) -> None:
    def beaten(mine: tuple[float, float]) -> bool:
        return any(o[0] <= mine[0] and o[1] <= mine[1] and o != mine for o in pairs)

    assert pareto(pairs) == [not beaten(pair) for pair in pairs]


def chosen(limits: Hardware, *points: Any) -> int | None:
    return cheapest(points, Rules(limits, "accuracy"))[0]


def test_the_fastest_within_the_limits_is_the_cheapest() -> None:
    slow, fast = point(1000), point(3000, "int8-tensor", difference=-0.002, low=-0.008, high=0.004)
    assert chosen(Hardware(), slow, fast) == 1
    assert chosen(Hardware(max_accuracy_loss=0.007), slow, fast) == 0, "the interval decides, not the difference"


WORSE = {"value": 0.8, "difference": -0.1, "low": -0.13, "high": -0.07}


def test_test_rows_choose_nothing_and_may_refuse_what_was_chosen() -> None:
    """Whatever they say of a point, the same one is chosen; the next best is not taken instead."""
    usual, fast, faster = point(1000), point(2000, "int8-channel"), point(4000, "int8-tensor", test=WORSE)
    assert chosen(Hardware(), usual, fast, faster) == 2
    assert refusal_of(faster, usual, RULES) == "accuracy may be 0.1300 worse than in float32"
    assert refusal_of(fast, usual, RULES) is None and refusal_of(usual, usual, RULES) is None
    assert refusal_of(faster, usual, Rules(Hardware(max_accuracy_loss=0.13), "accuracy")) is None
    unknown = point(4000, "int8-tensor", test=dict.fromkeys(WORSE))
    assert "can't be compared" in str(refusal_of(unknown, usual, RULES))


def test_the_rows_that_choose_count_whatever_the_test_rows_say() -> None:
    assert chosen(Hardware(), point(1000, test=WORSE), point(4000, "int8-tensor", **WORSE)) == 0


def test_what_too_few_test_rows_can_never_show_is_not_chosen() -> None:
    """Of 146 rows none of which is decided otherwise, 3 / 146 may be: known before they are asked."""
    few = Rules(Hardware(), "accuracy", provable=3 / 146)
    usual, other, alike = point(1000), point(4000, "int8-tensor"), point(3000, "float16", same=True)
    assert list(problems_of(other, usual, few)) == [
        "there are too few test rows to show that it loses less than 0.0205"
    ]
    assert cheapest([usual, other, alike], few)[0] == 2
    assert cheapest([usual, other, alike], RULES)[0] == 1


def test_latency_and_memory_are_limits_too() -> None:
    small, large = point(1000), point(2000, latency_p99_ms=9.0, peak_mb=900.0)
    assert chosen(Hardware(), small, large) == 1
    assert chosen(Hardware(max_latency_p99_ms=8), small, large) == 0
    assert chosen(Hardware(max_memory_mb=500), small, large) == 0
    assert chosen(Hardware(max_latency_p99_ms=2), small, large) is None


def test_none_within_the_limits_says_why() -> None:
    place, why = cheapest(
        [point(1000), point(2000, latency_p99_ms=9.0)], Rules(Hardware(max_latency_p99_ms=2), "accuracy")
    )
    assert place is None
    assert why.startswith("no point keeps within the limits; of the fastest, float32 on CPU")
    assert why.endswith("99 of 100 single rows take up to 9 ms")


def test_a_gain_that_could_be_chance_is_not_worth_another_precision() -> None:
    usual = point(1000)
    assert chosen(Hardware(), usual, point(1040, "int8-tensor")) == 0
    assert chosen(Hardware(), usual, point(1060, "int8-tensor")) == 1


def test_answers_that_depend_on_other_rows_are_not_chosen() -> None:
    assert chosen(Hardware(), point(1000), point(9000, "int8-dynamic", beside=0.2)) == 0


def test_what_could_not_be_compared_is_not_chosen() -> None:
    lost = point(9000, "int8-tensor", value=None, difference=None, low=None, high=None)
    assert chosen(Hardware(), point(1000), lost) == 0
    assert list(problems_of(lost, point(), RULES)) == ["accuracy can't be compared with float32 on these rows"]


def test_an_error_in_the_unit_of_the_target_may_grow_by_a_share() -> None:
    assert allowed_loss(Hardware(max_accuracy_loss=0.02), "rmse", 50.0) == pytest.approx(1.0)
    assert allowed_loss(Hardware(max_accuracy_loss=0.02), "accuracy", 0.9) == pytest.approx(0.02)
    reference, worse = point(value=50.0), point(2000, "int8-tensor", value=50.4, difference=-0.4, low=-0.9, high=0.1)
    assert not list(problems_of(worse, reference, Rules(Hardware(max_accuracy_loss=0.02), "rmse")))
    assert list(problems_of(worse, reference, Rules(Hardware(max_accuracy_loss=0.01), "rmse")))


def test_float32_with_other_settings_is_held_to_the_limit_too() -> None:
    """Options and levels may compute in fewer bits than the graph says: FP16 of TensorRT, TF32 of CUDA."""
    lossy = point(9000, execution=vars(Execution(options={"trt_fp16_enable": "1"})), difference=-0.4, low=-0.5)
    reference = point(1000)
    assert chosen(Hardware(), reference, lossy) == 0
    assert list(problems_of(lossy, reference, RULES)) == ["accuracy may be 0.5000 worse than in float32 before"]
    unknown = point(low=None, high=None, value=None, difference=None)
    assert not list(problems_of(unknown, unknown, RULES)), "the reference is what others are held to"


def test_rounds_that_overlap_decide_nothing() -> None:
    """A lucky round is no reason to change what a version is scored with in production."""
    usual, lucky = point(1000, rates=[700.0, 1000.0, 900.0]), point(1400, execution=vars(Execution(batch_rows=64)))
    assert chosen(Hardware(), usual, lucky.model_copy(update={"rates": (1400.0, 980.0, 1100.0)})) == 0
    assert chosen(Hardware(), usual, lucky.model_copy(update={"rates": (1400.0, 1060.0, 1100.0)})) == 1


def test_within_rounds_that_overlap_the_more_exact_point_is_chosen() -> None:
    slow = point(500, rates=[500.0, 480.0])
    exact = point(2000, execution=vars(Execution(batch_rows=64)), rates=[2000.0, 1500.0])
    rough = point(2400, "int8-tensor", rates=[2400.0, 1900.0])
    assert chosen(Hardware(), slow, exact, rough) == 1
    assert chosen(Hardware(), slow, exact, rough.model_copy(update={"rates": (2400.0, 2200.0)})) == 2


def test_settings_that_name_a_library_are_not_kept() -> None:
    best = point(9000, execution=vars(Execution(options={"backend_path": "/tmp/a.so"})))
    version = Version("m", "1", "r", "models:/m-1", {}, ())
    kept = keep_best(version, result(point(), best, chosen=1), "run")
    assert kept.execution is None and "has backend_path, which names a library or path" in kept.why
    with pytest.raises(RefusedError, match="was measured with backend_path, which names a library or path"):
        register_variant(version, Path(), Path(), best, "accuracy", None, "run")  # type: ignore[arg-type]

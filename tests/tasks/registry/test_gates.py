"""The judgement on hand-made rows whose metrics can be worked out in the head."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from models.sections import Gate, Promotion
from tasks.evaluation.scored import Scored, scored_classes, scored_values
from tasks.registry.gates import Evidence, Verdict, judge, judge_floors

FEW = Promotion(min_rows=100, resamples=200)
ROWS = 400
TRUTH = np.arange(ROWS) % 2


def right(share: float, rows: int = ROWS) -> Scored:
    """Labels that are right on the first `share` of the rows."""
    truth = np.arange(rows) % 2
    labels = np.where(np.arange(rows) < share * rows, truth, 1 - truth)
    sure = np.where(labels == 1, 0.9, 0.1)
    return scored_classes(truth, labels, np.stack([1 - sure, sure], axis=1))


def values(error: float, sign: int = 1) -> Scored:
    """A regression that is off by `error` everywhere, so that its RMSE and MAE are `error`."""
    truth = np.linspace(0, 100, ROWS)
    return scored_values(truth, truth + sign * error)


def verdict(
    challenger: Scored, champion: Scored | None, gates: Mapping[str, Gate] | None = None, **more: Any
) -> Verdict:
    return judge(Evidence(challenger, champion, **more), gates or {}, FEW)


def test_a_floor_that_is_reached_passes() -> None:
    found = verdict(right(0.9), None, {"accuracy": Gate(min=0.9)})
    assert found.outcome == "yes"
    assert "accuracy is 0.9, as required at least 0.9" in found.reasons


def test_a_floor_that_is_missed_refuses_and_says_by_how_much() -> None:
    found = verdict(right(0.89), None, {"accuracy": Gate(min=0.9)})
    assert found.outcome == "no"
    assert found.reasons == ["accuracy is 0.89, but must be at least 0.9"]


def test_a_ceiling_works_for_metrics_where_less_is_better() -> None:
    assert verdict(values(2.0), None, {"rmse": Gate(max=2.5)}).outcome == "yes"
    assert verdict(values(2.0), None, {"rmse": Gate(max=1.5)}).outcome == "no"


def test_one_no_decides_over_yes_and_undecided() -> None:
    gates = {"accuracy": Gate(min=0.5), "f1": Gate(min=0.99), "latency_p99_ms": Gate(max=5)}
    found = verdict(right(0.9), None, gates)
    assert [check.outcome for check in found.checks] == ["yes", "yes", "no", "undecided"]
    assert found.outcome == "no"


def test_too_few_rows_are_undecided_whatever_the_metrics_say() -> None:
    for share in (1.0, 0.0):
        found = verdict(right(share, rows=99), right(0.5, rows=99), {"accuracy": Gate(min=0.5)})
        assert found.outcome == "undecided"
        assert [check.gate for check in found.checks] == ["unseen rows"]
        assert found.reasons[0].startswith("99 rows that no side was trained on; a judgement needs 100")


def test_as_many_rows_as_asked_for_are_enough() -> None:
    assert verdict(right(1.0, rows=100), None, {"accuracy": Gate(min=0.5)}).outcome == "yes"


def test_with_too_few_rows_the_artefact_itself_is_still_judged() -> None:
    gates = {"latency_p99_ms": Gate(max=5)}
    found = verdict(right(1.0, rows=99), None, gates, measured={"latency_p99_ms": 9.0})
    assert found.outcome == "no"


def test_a_better_mean_alone_does_not_beat_the_champion() -> None:
    found = verdict(right(0.905), right(0.9), {"accuracy": Gate(beats_champion=True)})
    check = found.checks[-1]
    assert check.value is not None and check.low is not None
    assert check.value > 0 >= check.low
    assert found.outcome == "no"


def test_a_slice_whose_interval_reaches_the_limit_is_not_refused() -> None:
    challenger, champion = right(0.9), right(0.9)
    labels = challenger.labels.copy()
    labels[:2] = 1 - labels[:2]
    challenger = scored_classes(challenger.truth, labels, challenger.probabilities)
    first = np.arange(ROWS) < 40
    gates = {"accuracy": Gate(margin=0.02, slices=("shop",))}
    found = verdict(challenger, champion, gates, slices={"shop": {"north": first}})
    check = found.checks[-1]
    assert check.low is not None and check.high is not None and check.limit is not None
    assert check.low < check.limit < check.high
    assert check.outcome == "yes"


def test_rows_of_one_group_are_resampled_together() -> None:
    groups = np.repeat(np.arange(20), ROWS // 20)
    truth, champion = TRUTH, right(0.9)
    labels = np.where(groups < 10, champion.labels, truth)
    challenger = scored_classes(truth, labels, champion.probabilities)
    alone = verdict(challenger, champion, {"accuracy": Gate()}).checks[-1]
    grouped = verdict(challenger, champion, {"accuracy": Gate()}, groups=groups).checks[-1]
    assert grouped.value == alone.value == pytest.approx(0.1)
    # Two of twenty groups hold all the gain: its spread is that of their number, sqrt(20 * .1 * .9) / 20.
    assert grouped.high is not None and alone.high is not None
    assert grouped.high - 0.1 == pytest.approx(1.96 * np.sqrt(20 * 0.1 * 0.9) / 20, abs=0.03)
    assert alone.high - 0.1 < 0.04


def test_an_obstacle_is_undecided_and_compares_nothing() -> None:
    found = verdict(right(1.0), right(0.5), {"accuracy": Gate()}, obstacle="the column went away")
    assert found.outcome == "undecided"
    assert found.reasons == ["the column went away"]


def test_an_equal_challenger_is_within_the_default_margin() -> None:
    assert verdict(right(0.9), right(0.9), {"accuracy": Gate()}).outcome == "yes"


def test_an_equal_challenger_does_not_beat_the_champion() -> None:
    found = verdict(right(0.9), right(0.9), {"accuracy": Gate(beats_champion=True)})
    assert found.outcome == "no"
    assert "must lie above 0" in found.reasons[0]


def test_a_clearly_better_challenger_beats_the_champion() -> None:
    found = verdict(right(0.95), right(0.7), {"accuracy": Gate(beats_champion=True)})
    check = found.checks[-1]
    assert found.outcome == "yes"
    assert check.value == pytest.approx(0.25)
    assert check.low is not None and check.high is not None
    # The normal approximation of a paired difference whose variance is p(1 - p) with p = 0.25.
    assert check.low == pytest.approx(0.25 - 1.96 * np.sqrt(0.25 * 0.75 / ROWS), abs=0.015)
    assert check.high == pytest.approx(0.25 + 1.96 * np.sqrt(0.25 * 0.75 / ROWS), abs=0.015)


def test_a_clearly_worse_challenger_is_refused() -> None:
    found = verdict(right(0.7), right(0.95), {"accuracy": Gate()})
    assert found.outcome == "no"
    assert "accuracy is 0.2500 worse than the champion's" in found.reasons[0]


def test_a_wide_margin_lets_a_slightly_worse_challenger_through() -> None:
    assert verdict(right(0.9), right(0.92), {"accuracy": Gate(margin=0.01)}).outcome == "no"
    assert verdict(right(0.9), right(0.92), {"accuracy": Gate(margin=0.1)}).outcome == "yes"


def test_without_a_margin_only_the_floor_counts() -> None:
    assert verdict(right(0.7), right(0.95), {"accuracy": Gate(min=0.6, margin=None)}).outcome == "yes"


def test_the_margin_of_an_error_is_a_share_of_the_champions_error() -> None:
    # 4 % worse: outside 1 % of the champion's error, inside 5 % of it, whatever the unit.
    assert verdict(values(10.4), values(10.0), {"rmse": Gate(margin=0.01)}).outcome == "no"
    assert verdict(values(10.4), values(10.0), {"rmse": Gate(margin=0.05)}).outcome == "yes"


def test_an_equal_challenger_is_no_worse_by_any_margin() -> None:
    assert verdict(right(0.9), right(0.9), {"accuracy": Gate(margin=0.0)}).outcome == "yes"
    assert verdict(values(0.0), values(0.0), {"rmse": Gate(margin=0.01)}).outcome == "yes"


def test_the_margin_of_a_slice_is_a_share_of_the_champions_error_there() -> None:
    small = np.arange(ROWS) < 200
    truth = np.linspace(0, 100, ROWS)
    champion = scored_values(truth, truth + np.where(small, 1.0, 100.0))
    challenger = scored_values(truth, truth + np.where(small, 2.0, 99.0))
    gates = {"mae": Gate(margin=0.05, slices=("shop",))}
    found = verdict(challenger, champion, gates, slices={"shop": {"small": small}})
    assert [check.outcome for check in found.checks[-2:]] == ["yes", "no"]
    assert found.checks[-1].limit == pytest.approx(-0.05)


def test_a_smaller_error_is_better() -> None:
    assert verdict(values(1.0), values(2.0), {"mae": Gate(beats_champion=True)}).outcome == "yes"
    assert verdict(values(2.0), values(1.0), {"mae": Gate(beats_champion=True)}).outcome == "no"


def test_without_gates_the_tasks_first_metric_may_not_get_worse() -> None:
    found = verdict(values(2.0), values(1.0))
    assert found.outcome == "no"
    assert found.checks[-1].gate == "rmse against champion"


def test_a_slice_that_got_worse_refuses_and_is_named() -> None:
    challenger, champion = right(0.9), right(0.9)
    labels = champion.labels.copy()
    labels[360:] = 1 - labels[360:]
    champion = scored_classes(champion.truth, labels, champion.probabilities)
    last = np.arange(ROWS) >= 360
    found = verdict(
        challenger, champion, {"accuracy": Gate(margin=0.5, slices=("shop",))},
        slices={"shop": {"north": ~last, "south": last}},
    )  # fmt: skip
    assert found.outcome == "no"
    assert "accuracy where shop = south is 1.0000 worse" in found.reasons[0]


def test_a_slice_of_few_rows_is_not_judged() -> None:
    few = np.arange(ROWS) < 29
    found = verdict(right(0.9), right(0.9), {"accuracy": Gate(slices=("shop",))}, slices={"shop": {"tiny": few}})
    assert [check.gate for check in found.checks] == ["unseen rows", "accuracy against champion"]


def test_a_slice_of_one_class_does_not_stop_a_ranking_metric() -> None:
    one = TRUTH == 1
    found = verdict(right(0.9), right(0.9), {"roc_auc": Gate(slices=("shop",))}, slices={"shop": {"a": one}})
    assert found.checks[-1].text == "roc_auc where shop = a: too few kinds of rows to compare"
    assert found.outcome == "yes"


def test_the_latency_budget_is_compared_with_what_was_measured() -> None:
    gates = {"latency_p99_ms": Gate(max=5)}
    assert verdict(right(0.9), right(0.9), gates, measured={"latency_p99_ms": 4.9}).outcome == "yes"
    found = verdict(right(0.9), right(0.9), gates, measured={"latency_p99_ms": 5.1})
    assert found.reasons == ["latency_p99_ms is 5.1, but must be at most 5"]


def test_the_size_is_a_budget_too_and_in_the_report() -> None:
    gates = {"size_mb": Gate(max=2)}
    found = verdict(right(1.0, rows=99), None, gates, measured={"size_mb": 2.5})
    assert (found.outcome, found.reasons[-1]) == ("no", "size_mb is 2.5, but must be at most 2")
    (floor,) = judge_floors(right(0.9), gates | {"latency_p99_ms": Gate(max=1)}, {"size_mb": 1.5})
    assert (floor.gate, floor.outcome) == ("size_mb", "yes")


def test_a_metric_that_cannot_be_computed_is_undecided() -> None:
    ones = scored_classes(np.ones(200, dtype=np.int64), np.ones(200, dtype=np.int64), np.full((200, 2), 0.5))
    found = verdict(ones, None, {"roc_auc": Gate(min=0.6)})
    assert found.outcome == "undecided"
    found = verdict(ones, ones, {"roc_auc": Gate()})
    assert found.outcome == "undecided"


def test_the_parity_on_record_is_part_of_the_verdict() -> None:
    found = verdict(right(0.9), None, {"accuracy": Gate(min=0.5)}, parity=1e-7)
    assert "torch and ONNX Runtime agree within 1e-07" in found.reasons


def test_a_verdict_as_plain_values_has_every_number() -> None:
    body = verdict(right(0.9), right(0.8), {"accuracy": Gate(min=0.5)}).as_dict()
    assert body["outcome"] == "yes"
    assert body["rows"] == ROWS
    against = body["checks"][-1]
    assert against["value"] == pytest.approx(0.1)
    assert against["limit"] == -0.01
    assert against["low"] < against["value"] < against["high"]


def test_a_budget_alone_does_not_spare_the_comparison() -> None:
    gates = {"latency_p99_ms": Gate(max=5)}
    found = verdict(right(0.5), right(0.99), gates, measured={"latency_p99_ms": 1.0})
    assert found.outcome == "no"


def test_a_parity_beyond_the_tolerance_refuses() -> None:
    assert verdict(right(0.9), None, parity=1e-6).outcome == "yes"
    assert verdict(right(0.9), None, parity=0.5).outcome == "no"


def test_a_gate_under_a_shift_is_judged_by_what_was_measured() -> None:
    """The rows as they are don't matter to it, nor does the champion."""
    gates = {"accuracy_under_blur": Gate(min=0.8)}
    passed = verdict(right(0.6), right(0.6), gates, measured={"accuracy_under_blur": 0.81})
    failed = verdict(right(0.9), right(0.6), gates, measured={"accuracy_under_blur": 0.79})
    assert (passed.outcome, failed.outcome) == ("yes", "no")
    assert failed.reasons == ["accuracy_under_blur is 0.79, but must be at least 0.8"]


def test_a_gate_under_a_shift_that_was_not_measured_is_undecided() -> None:
    found = verdict(right(0.9), None, {"accuracy_under_blur": Gate(min=0.8)})
    assert (found.outcome, found.reasons) == ("undecided", ["accuracy_under_blur can't be computed on these rows"])


def test_gates_under_shifts_alone_leave_the_comparison_with_the_champion() -> None:
    """As budgets do: the task's first metric must not get worse."""
    gates = {"accuracy_under_blur": Gate(min=0.8)}
    found = verdict(right(0.5), right(0.9), gates, measured={"accuracy_under_blur": 0.9})
    assert found.outcome == "no"
    assert any("average_precision" in reason and "worse" in reason for reason in found.reasons)
    (floor,) = judge_floors(right(0.5), gates, {"accuracy_under_blur": 0.9})
    assert floor.outcome == "yes"


def test_too_few_rows_leave_a_gate_under_a_shift_undecided() -> None:
    few = right(0.9).take(np.arange(3))
    found = verdict(few, None, {"accuracy_under_blur": Gate(min=0.8)}, measured={"accuracy_under_blur": 0.3})
    assert found.outcome == "undecided"

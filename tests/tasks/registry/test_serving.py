"""The infrastructure check of a promotion."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.errors import RefusedError
from models.sections import Promotion
from tasks.evaluation.scored import Scored, scored_classes, scored_values
from tasks.registry import serving
from tasks.registry.evidence import gather
from tasks.registry.promotion import find_contest
from tasks.registry.serving import judge_case
from tasks.registry.versions import find_alias
from tasks.scoring.predictor import Predictions
from tests.conftest import Copy
from tests.small import cli

RULES = {"promotion": Promotion(min_rows=20, resamples=100)}
JUDGED = scored_classes(np.array([0, 1, 1]), np.array([0, 1, 1]), np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8]]))


def differ(
    index: list[int], positive: list[float], judged: Scored = JUDGED, threshold: float | None = 0.5
) -> list[bool]:
    p = np.array(positive, dtype=np.float32)
    found = Predictions(np.array(index), np.stack([1 - p, p], axis=1), None)
    return serving._differ(found, judged, threshold).tolist()


def test_what_rounding_explains_is_no_difference() -> None:
    assert differ([0, 1, 1], [0.1, 0.5, 0.8]) == [False] * 3
    assert differ([0, 0, 1], [0.1, 0.5, 0.8]) == [False] * 3, "the threshold itself"
    assert differ([1, 1, 1], [0.1, 0.5, 0.8]) == [True, False, False], "another label without a reason"
    assert differ([0, 1, 1], [0.1, 0.5, 0.8001]) == [False, False, True]


def test_values_are_compared_beside_the_largest() -> None:
    judged = scored_values(np.zeros(3), np.array([0.0, 1000.0, -5.0]))
    found = Predictions(None, None, np.array([0.001, 1000.0, np.nan], dtype=np.float32))
    assert serving._differ(found, judged, None).tolist() == [False, False, True]


def test_a_version_that_is_served_alike_passes(copy: Copy, home: Path) -> None:
    copy("serving-yes", **RULES)
    verdict = judge_case(gather(find_contest("serving-yes"), home))
    assert verdict.outcome == "yes"
    assert verdict.checks[-1].text.startswith("in a clean process with only what serving needs ")
    assert verdict.checks[-1].text.endswith(" rows are scored as they were judged")


def test_other_predictions_than_were_judged_refuse(copy: Copy, home: Path) -> None:
    copy("serving-other", **RULES)
    case = gather(find_contest("serving-other"), home)
    scored = case.rows.scored
    other = replace(scored, probabilities=scored.probabilities[:, ::-1].copy())
    check = serving.check_serving(replace(case, rows=replace(case.rows, scored=other)))
    assert check.outcome == "no"
    assert "predictions are others than were judged" in check.text


def test_a_version_that_can_not_be_served_is_refused_before_the_champion_moves(
    copy: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "serving-no"
    copy(name, **RULES)

    def broken(*_: object) -> Predictions:
        raise RefusedError("ImportError: torch is not there when serving")

    monkeypatch.setattr(serving, "predict_alone", broken)
    said = cli("promote", name)
    assert said.code == 1
    line = "  in a clean process with only what serving needs the version can't score: ImportError: torch is not there"
    assert said.out.splitlines()[1].startswith(line)
    assert find_alias(name, "champion") is None

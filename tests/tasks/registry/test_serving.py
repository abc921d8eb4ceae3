"""The infrastructure check of a promotion."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest

from models.contract import Contract
from models.errors import RefusedError
from models.sections import Promotion
from tasks.evaluation.of_graph import score_rows
from tasks.evaluation.scored import Scored, scored_classes, scored_values
from tasks.registry import evidence, serving
from tasks.registry.connection import connect
from tasks.registry.evidence import gather
from tasks.registry.promotion import find_contest
from tasks.registry.serving import judge_case
from tasks.registry.versions import find_alias
from tasks.scoring import execution as execution_module
from tasks.scoring.alone import predict_alone
from tasks.scoring.execution import EXECUTION, Execution
from tasks.scoring.predictor import Predictions, Predictor
from tests.conftest import Copy
from tests.small import cli, plain

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


def kept(name: str, execution: Execution, number: str = "1") -> None:
    connect().set_model_version_tag(name, number, EXECUTION, execution.to_json())


def test_a_version_is_judged_and_served_with_the_settings_that_are_kept_on_it(
    copy: Copy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sessions are started with these settings alone, in this process and in the clean one."""
    name, settings = "serving-kept", Execution(intra_threads=2, batch_rows=32)
    copy(name, **RULES)
    kept(name, settings)
    started, alone = list[Execution](), list[Execution | None]()

    def start(graph: bytes, execution: Execution) -> object:
        started.append(execution)
        return execution_module.start_session(graph, execution)

    def answer(package: Path, sha256: str, rows: pa.Table, execution: Execution | None) -> Predictions:
        alone.append(execution)
        return predict_alone(package, sha256, rows, execution)

    monkeypatch.setattr("tasks.scoring.predictor.start_session", start)
    monkeypatch.setattr(serving, "predict_alone", answer)
    verdict = judge_case(gather(find_contest(name), home))
    assert verdict.outcome == "yes", verdict.reasons
    assert set(map(Execution.to_json, started)) == {settings.to_json()} and alone == [settings]
    assert not any("as it was exported" in check.text for check in verdict.checks), "threads change no answer"


def test_settings_that_compute_otherwise_must_not_lose_more_than_allowed(
    copy: Copy, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a provider in fewer bits; a level of optimisation that answers at random stands for it."""
    name = "serving-lossy"
    copy(name, **RULES)
    kept(name, Execution(optimization="basic"))
    verdict = judge_case(gather(find_contest(name), home))
    check = next(check for check in verdict.checks if check.gate == "average_precision against export")
    assert verdict.outcome == "yes" and (check.low, check.high, check.limit) == (0.0, 0.0, -0.01)

    def spoilt(predictor: Predictor, rows: pa.Table, judged_by: Contract | None = None) -> Scored:
        found = score_rows(predictor, rows, judged_by)
        if predictor.execution.optimization == "all":
            return found
        random = np.random.default_rng(0).permutation(found.probabilities)
        return replace(found, probabilities=random)

    monkeypatch.setattr(evidence, "score_rows", spoilt)
    verdict = judge_case(gather(find_contest(name), home))
    assert verdict.outcome == "no"
    assert "worse than that of the version as it was exported (95 % interval" in verdict.reasons[0]


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="CUDA is in this build")
def test_a_version_whose_provider_is_elsewhere_is_not_judged_on_another(copy: Copy) -> None:
    name = "serving-cuda"
    copy(name, **RULES)
    assert cli("promote", name).code == 0
    copy(name, **RULES)
    for number in ("1", "2"):
        kept(name, Execution("CUDAExecutionProvider"), number)
        said = cli("promote", name)
        plain(said, 2, f"version {number} was set to run on CUDAExecutionProvider", "--forget")
        kept(name, Execution(), number)
    assert cli("promote", name).code == 0


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

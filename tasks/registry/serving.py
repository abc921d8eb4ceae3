"""Whether a version can be served: it scores alike in a process that has only what serving needs."""

import numpy as np
from numpy.typing import NDArray

from models.errors import RefusedError
from tasks.evaluation.scored import Scored
from tasks.registry.approval import Word
from tasks.registry.evidence import Case
from tasks.registry.gates import Check, Verdict, judge
from tasks.registry.versions import downloaded
from tasks.scoring.alone import predict_alone
from tasks.scoring.execution import execution_of
from tasks.scoring.predictor import Predictions

MOST_ROWS, MOST_BYTES = 256, 1 << 25
SAME = 1e-5
"""Difference of probabilities, or of values relative to the largest, that rounding in other batches explains."""
STEP = 1e-2
"""The same where a graph or provider computes in fewer bits: a last bit before may be a whole step behind."""


def judge_case(case: Case, word: Word | None = None) -> Verdict:
    """The verdict of the gates; where it is yes, the version has to be served as well, and approved where asked."""
    rules = case.model_file.promotion
    verdict = judge(case.evidence, case.model_file.gates, rules)
    if verdict.outcome == "yes":
        verdict = verdict.and_also(check_serving(case))
    return verdict.with_word(rules.approval, word)


def check_serving(case: Case) -> Check:
    """Loads the version in a clean process, with the settings that are kept on it.

    A sample of the judged rows must get the judged predictions there.
    """
    version, rows = case.contest.challenger, case.rows
    chosen = np.arange(min(len(rows), MOST_ROWS, rows.affordable(MOST_BYTES)))
    where = "in a clean process with only what serving needs"
    try:
        with downloaded(version) as package:
            columns = rows.take(chosen).select([column.name for column in case.contract.columns])
            found = predict_alone(package, version.sha256, columns, execution_of(version))
    except RefusedError as error:
        return Check("serving", "no", f"{where} the version can't score: {error}")
    same = SAME if case.evidence.parent is None else STEP
    differ = int(_differ(found, rows.scored.take(chosen), case.contract.threshold, same).sum())
    if differ:
        text = f"{where} {differ:,} of {len(chosen):,} predictions are others than were judged"
        return Check("serving", "no", text, differ, 0.0)
    return Check("serving", "yes", f"{where} {len(chosen):,} rows are scored as they were judged", 0.0, 0.0)


def _differ(found: Predictions, judged: Scored, threshold: float | None, same: float = SAME) -> NDArray[np.bool_]:
    """[N] where they are not the same; labels may differ only where rounding decides them."""
    if found.values is not None:
        unlike = np.abs(found.values - judged.values) > same * np.abs(judged.values).max(initial=0.0)
        return np.asarray(unlike | np.isnan(found.values))
    if found.probabilities is None or found.index is None:
        return np.ones(len(judged), dtype=bool)
    ordered = np.sort(judged.probabilities, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    if threshold is not None:
        margin = np.abs(judged.probabilities[:, 1] - threshold)
    near = np.abs(found.probabilities - judged.probabilities).max(axis=1) <= same
    return np.asarray(~near | ((found.index != judged.labels) & (margin > same)))

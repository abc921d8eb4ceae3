"""Trials that have ended; torch-free, for those who only report them."""

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.tuning.space import Value


@dataclass(frozen=True)
class Ended:
    """What came of one trial."""

    number: int
    """Counted from 1, of those that have ended."""
    values: dict[str, Value]
    loss: float | None
    """Least validation loss; None of a trial that could not be trained."""
    epochs: int
    pruned: bool
    reason: str = ""
    """Why it could not be trained."""
    run_id: str = ""


def best_of(ended: Sequence[Ended]) -> Ended | None:
    """The trial of the least validation loss, of equal ones the first; None where none came to its end."""
    whole = [trial for trial in ended if trial.loss is not None and not trial.pruned]
    return min(whole, key=lambda trial: (trial.loss, trial.number)) if whole else None

"""The search itself: Optuna proposes settings, each is trained on the training rows and judged by the validation rows.

A trial is proposed from the trials that have ended and a seed that follows from their number alone, so that a search
which was killed and started again tries what an undisturbed one tries.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, cast

from models.errors import InputError
from models.modelfile import ModelFile, with_own_code
from tasks.data.snapshot import open_snapshot
from tasks.data.splits import fit_split
from tasks.training.fit import Prepared, prepare
from tasks.training.loop import EpochReport, train_network
from tasks.tuning.ended import Ended
from tasks.tuning.plan import Plan
from tasks.tuning.space import Choice, Range, Space, Value, present_values, with_values

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

SAMPLED, UNPRUNED = 8, 4
"""Trials that are drawn at random before the rest is proposed by a model of them; trials that none is pruned before."""
WARM_UP = 3
"""Epochs in which no trial is pruned."""
DIGITS = 4
"""Significant ones of a number that is proposed."""
REASON, ENDED_AT, RUN = "reason", "epochs", "run_id"


class TimeUpError(Exception):
    """The time that was given has passed."""


Tell = Callable[[EpochReport], None]
Watch = Callable[[int, dict[str, Value]], AbstractContextManager[tuple[str, Tell]]]
"""What a trial is carried out in, by number and settings: gives an id of its record and takes each epoch."""
Done = Callable[[Ended], None]


def search(plan: Plan, watch: Watch, done: Done) -> list[Ended]:
    """All trials that have ended, those of earlier starts included, in their order.

    A trial that a killed process has left half done is marked as failed, and its settings are tried again.
    """
    study = _open(plan)
    prepared = _prepared(plan)
    until = None if plan.asked.timeout is None else time.monotonic() + plan.asked.timeout
    while (number := len(ended := _ended(study))) < plan.asked.trials:
        if until is not None and time.monotonic() >= until:
            break
        trial = _ask(study, plan, number)
        values = _suggest(trial, plan.asked.space)
        try:
            with watch(number + 1, values) as (run_id, tell):
                trial.set_user_attr(RUN, run_id)
                _carry_out(study, trial, plan, values, prepared, tell, until)
            done(_of(study.trials[trial.number], number + 1))
        except TimeUpError:
            break
    return ended


def _open(plan: Plan) -> "Study":
    import optuna
    from optuna.trial import TrialState

    optuna.logging.set_verbosity(logging.ERROR)
    plan.folder.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=plan.storage, study_name=plan.asked.model_file.name, load_if_exists=True, direction="minimize"
    )
    for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(left.number, state=TrialState.FAIL, skip_if_finished=True)
    return study


def _prepared(plan: Plan) -> Prepared:
    """Encoded rows, which no setting changes. Test rows are never read."""
    model_file, snapshot = plan.asked.model_file, open_snapshot(plan.snapshot)
    return prepare(model_file, snapshot, fit_split(model_file, snapshot), plan.tensors)


def _ended(study: "Study") -> list[Ended]:
    """Trials that came to an end of their own, which includes that they could not be trained."""
    from optuna.trial import TrialState

    known = (TrialState.COMPLETE, TrialState.PRUNED)
    trials = [t for t in study.get_trials(deepcopy=False) if t.state in known or REASON in t.user_attrs]
    return [_of(trial, number) for number, trial in enumerate(trials, 1)]


def _of(trial: "FrozenTrial", number: int) -> Ended:
    from optuna.trial import TrialState

    attributes = trial.user_attrs
    return Ended(
        number,
        _rounded(trial.params),
        trial.value,
        attributes.get(ENDED_AT, 0),
        trial.state == TrialState.PRUNED,
        attributes.get(REASON, ""),
        attributes.get(RUN, ""),
    )


def _ask(study: "Study", plan: Plan, number: int) -> "Trial":
    """The next trial; the first one has the settings of the model file, where the space holds them."""
    import optuna
    from optuna.trial import TrialState

    seed = plan.asked.seed * 1_000_003 + number
    study.sampler = optuna.samplers.TPESampler(seed=seed % 2**32, n_startup_trials=SAMPLED)
    study.pruner = optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED, n_warmup_steps=WARM_UP)
    present = present_values(plan.asked.model_file, plan.asked.space)
    # A kill right after this line leaves a trial that waits, which is the next to be asked for.
    waits = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    if number == 0 and present and not waits:
        study.enqueue_trial(present)
    return study.ask()


def _suggest(trial: "Trial", space: Space) -> dict[str, Value]:
    return _rounded({key: _suggest_one(trial, key, dimension) for key, dimension in space.items()})


def _rounded(values: Mapping[str, Value]) -> dict[str, Value]:
    """Numbers as one would write them into a model file."""
    return {key: float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value for key, value in values.items()}


def _suggest_one(trial: "Trial", key: str, dimension: Range | Choice) -> Value:
    if isinstance(dimension, Choice):
        return cast(Value, trial.suggest_categorical(key, dimension.values))
    if dimension.whole:
        return trial.suggest_int(key, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(key, dimension.low, dimension.high, log=dimension.log)


def _carry_out(
    study: "Study",
    trial: "Trial",
    plan: Plan,
    values: dict[str, Value],
    prepared: Prepared,
    tell: Tell,
    until: float | None,
) -> None:
    """Trains once, and tells the study what came of it."""
    import optuna
    from optuna.trial import TrialState

    def on_epoch(report: EpochReport) -> None:
        tell(report)
        trial.report(report.validation_loss, report.epoch)
        trial.set_user_attr(ENDED_AT, report.epoch)
        if until is not None and time.monotonic() >= until:
            raise TimeUpError("the time was up; the next start tries these settings again")
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        loss = _train(_applied(plan, values), prepared, on_epoch)
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except InputError as error:
        trial.set_user_attr(REASON, str(error))
        study.tell(trial, state=TrialState.FAIL)
    except TimeUpError:
        study.tell(trial, state=TrialState.FAIL)
        raise
    else:
        study.tell(trial, loss)


def _applied(plan: Plan, values: dict[str, Value]) -> ModelFile:
    """The model file of a trial; a Python file that it names is found as the model file's own is."""
    changed = with_values(plan.asked.model_file, values)
    return with_own_code(changed, plan.asked.file) if "network.file" in values else changed


def _train(model_file: ModelFile, prepared: Prepared, on_epoch: Tell) -> float:
    """The least validation loss."""
    network, training = prepared.build(model_file), prepared.settle(model_file)
    trained = train_network(network, prepared.train, prepared.validation, prepared.target, training, None, on_epoch)
    return min(report.validation_loss for report in trained.history)

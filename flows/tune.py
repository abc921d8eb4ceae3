"""From a model file to one with better settings."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from prefect import flow

from flows.crashes import at_work, running, sweep_crashed
from flows.environment import state_folder
from flows.results import Tuned, tuned
from flows.titles import of_model_file
from flows.train import LONGEST
from tasks.data.steps import ingest_data
from tasks.registry.history import whoami
from tasks.registry.runs import finishing
from tasks.tuning.plan import Asked, ask, plan_search, searching_alone
from tasks.tuning.steps import open_search, search, write_tuned


@flow(name="tune", flow_run_name=of_model_file, timeout_seconds=LONGEST)
def tune(
    model_file: Path,
    searches: Sequence[str] = (),
    output: Path | None = None,
    trials: int = 30,
    timeout: float | None = None,
    seed: int = 0,
) -> Tuned:
    """Searches settings of the network and its training, and writes the best as a new model file.

    Trials are judged by the validation rows; test rows are never read. A search that was killed, or that is to have
    more trials, goes on with those that have ended.

    Args:
        model_file: The model file.
        searches: Ranges and lists, such as training.learning_rate=0.0005..0.01 or network.width=64,128; if not given,
            the learning rate, weight decay, width, depth and dropout.
        output: Where the best settings are written, beside the model file; NAME-tuned.toml if not given.
        trials: How many there are to be in all.
        timeout: Seconds after which no more is tried.
        seed: Of what is proposed.
    """
    return tune_as_asked(ask(model_file, searches, output, trials, timeout, seed))


def tune_as_asked(asked: Asked) -> Tuned:
    """The steps of a search. One search of a model runs at a time."""
    home = state_folder()
    sweep_crashed(home)
    with at_work(home), searching_alone(asked.model_file.name, home, whoami()):
        plan = plan_search(asked, ingest_data(asked.model_file, home), home)
        run_id = open_search(plan)
        with running(run_id, home), finishing(run_id):
            ended = search(plan, run_id, partial(running, home=home))
            file = write_tuned(plan, ended, run_id)
    return tuned(asked, run_id, ended, file)

"""The command `perennial tune`: settings of the network and its training, searched."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from flows.loading import watched
from flows.options import AsJson, ModelFileArgument
from flows.ready import prefect_ready
from flows.results import Tuned
from flows.screen import show

EXAMPLE = "Example: perennial tune churn.toml --trials 50 --search training.learning_rate=0.0005..0.01"

Trials = Annotated[int, typer.Option(metavar="N", min=1, help="Trials in all, those of an earlier start included.")]
Timeout = Annotated[
    float | None, typer.Option(metavar="SECONDS", min=0, help="Start no trial after so long; the same command goes on.")
]
Search = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUES",
        help="A setting of [network] or [training] with a range, LOW..HIGH, or a list, A,B,C. May be given several "
        "times; if not given: learning rate, weight decay, width, depth and dropout.",
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Of what is proposed.")]
Output = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="The new model file, beside the other; NAME-tuned.toml if not given."),
]


def tune(
    file: ModelFileArgument,
    trials: Trials = 30,
    timeout: Timeout = None,
    search: Search = None,
    seed: Seed = 0,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Search better settings, and write them as a new model file.

    Trials are judged by the validation rows. Started again after an interruption, or with more trials, it goes on.
    """
    with prefect_ready():
        from tasks.tuning.plan import ask

        ask(file, search or [], output, trials, timeout, seed)
        from flows.tune import tune as flow

    done = watched(flow)(file.resolve(), search or [], output.resolve() if output else None, trials, timeout, seed)
    show(done, as_json, _lines(done))


def _lines(done: Tuned) -> list[str]:
    """What was found, and what to do next."""
    settings = [f"  {key} = {value}" for key, value in done.best.items()]
    before = f"; as the file was: {done.before:.4f}" if done.before is not None else ""
    return [
        f"{done.trials} trials, {done.pruned} pruned, {done.failed} failed; the best has validation loss "
        f"{done.validation_loss:.4f}{before}:",
        *settings,
        f"wrote {done.file}",
        f"next: perennial train {shlex.quote(str(done.file))}",
    ]

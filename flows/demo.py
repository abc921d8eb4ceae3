"""A model's whole life on real data that ships with scikit-learn: 1,797 digits, scanned and averaged to 8 x 8 pixels.

Or one of the shipped examples. The commands are the ones a user types; whatever the data says is the outcome.
"""

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import typer

from flows.environment import state_folder
from models.errors import RefusedError
from tasks.examples.refunds import Refunds
from tasks.examples.served import refund_service
from tasks.examples.shipped import EXAMPLES, Example, find_example

OLDER = 0.55
"""Share of the digits that are there at first; the rest arrive later."""
TO_SCORE = 100
"""Digits of the newer part that are scored, without their label."""


@dataclass(frozen=True)
class Stage:
    """The demo's own folder and the name of its model."""

    folder: Path
    model: str

    @property
    def model_file(self) -> Path:
        """Written by `new`."""
        return self.folder / f"{self.model}.toml"


@dataclass(frozen=True)
class Played:
    """What a demo has left behind."""

    model: str
    model_file: Path
    predictions: tuple[Path, ...]
    home: Path

    def lines(self) -> list[str]:
        """For people."""
        first, *others = self.predictions
        more = f" and {', '.join(path.name for path in others)}" if others else ""
        return [
            "\n\nDone.",
            f"model file    {self.model_file}",
            f"predictions   {first}{more}",
            f"everything    {self.home}",
            "next          make ui   (every run, its report.html and plots, and two versions to compare)",
            "your own data . .venv/bin/activate; perennial new my.toml --data my.csv --target COLUMN",
        ]


def run_demo(run: Callable[[list[str]], None]) -> Played:
    """What is left when the story was played.

    `run` executes one command line, and raises `typer.Exit` when its exit code is not 0.
    """
    stage = _set_the_stage()
    file, name = str(stage.model_file), stage.model
    _say("1. A table arrives: handwritten digits, one row each, a column for every pixel.")
    _play(run, "new", file, "--data", str(stage.folder / "arrived"), "--target", "digit")
    _say("2. Train, export to ONNX, judge on unseen rows, register. The first version has only floors to pass.")
    _play(run, "train", file)
    _play(run, "promote", name)
    _say("3. Score rows that carry no label.")
    _play(
        run, "score", name, "--input", str(stage.folder / "unlabelled.csv"), "--output", str(stage.folder / "scored-1")
    )
    _say("4. New rows arrive. Retrain; the challenger meets the champion on rows that neither has seen.")
    (stage.folder / "newer.csv").rename(stage.folder / "arrived" / "newer.csv")
    _play(run, "retrain", file)
    _say("5. Score again, with whoever is champion now. The version is written beside every row.")
    _play(
        run, "score", name, "--input", str(stage.folder / "unlabelled.csv"), "--output", str(stage.folder / "scored-2")
    )
    _say("6. One command goes back, and the history tells who did what and why.")
    _play(run, "rollback", name, "--why", "to show that it works")
    _play(run, "history", name)
    return Played(name, stage.model_file, (stage.folder / "scored-1", stage.folder / "scored-2"), state_folder())


def run_example(name: str, run: Callable[[list[str]], None]) -> Played:
    """What is left when a shipped example was made, trained, judged, promoted and scored.

    `run` is that of `run_demo`. Raises InputError for an unknown name.
    """
    example = find_example(name)
    folder = _free_folder(name)
    _say(f"1. {example.story[0].upper()}{example.story[1:]}. Its data is written to {folder} first.")
    if not example.acts:
        return _play_example(example, folder, example.make(folder, folder.name), run)
    database = folder / "refunds.db"
    with refund_service(database) as address:
        print(f"\nBeside it runs a service of another team, which pays refunds: {address}", flush=True)
        played = _play_example(example, folder, example.make(folder, folder.name, address), run)
    _say(f"5. Refunds that the service has paid, each once: {len(Refunds(database).list())}. They are in {database}.")
    return played


def _play_example(example: Example, folder: Path, file: Path, run: Callable[[list[str]], None]) -> Played:
    _say("2. Is the model file in order, and its data?")
    _play(run, "check", str(file))
    _say("3. Train, export to ONNX, judge on unseen rows, register; report.html shows what it mixes up.")
    _play(run, "train", str(file))
    champion = _play(run, "promote", folder.name)
    _say(f"4. Score{'' if champion else ', with the challenger all the same: its gates have said no'}.")
    scored, version = folder / "scored", folder.name if champion else f"{folder.name}@challenger"
    _play(run, "score", version, "--input", str(folder / example.scored), "--output", str(scored))
    return Played(folder.name, file, (scored,), state_folder())


def list_examples() -> dict[str, str]:
    """The stories of the shipped examples by their names."""
    return {name: example.story for name, example in EXAMPLES.items()}


def _set_the_stage() -> Stage:
    """The older and the newer digits as CSV files, in a folder that no earlier demo used."""
    from sklearn.datasets import load_digits

    frame = load_digits(as_frame=True).frame.rename(columns={"target": "digit"})
    folder = _free_folder("digits")
    stage = Stage(folder, folder.name)
    (stage.folder / "arrived").mkdir(parents=True)
    older = int(len(frame) * OLDER)
    frame.iloc[:older].to_csv(stage.folder / "arrived" / "older.csv", index=False)
    frame.iloc[older:].to_csv(stage.folder / "newer.csv", index=False)
    frame.iloc[-TO_SCORE:].drop(columns="digit").to_csv(stage.folder / "unlabelled.csv", index=False)
    return stage


def _free_folder(name: str) -> Path:
    """A new folder that no earlier demo used; its name, the example's with a number where needed, is the model's."""
    home = state_folder() / "demo"
    names = (name if number == 1 else f"{name}-{number}" for number in range(1, 10_000))
    folder = next(home / free for free in names if not (home / free).exists())
    folder.mkdir(parents=True)
    return folder


def _play(run: Callable[[list[str]], None], *words: str) -> bool:
    """Runs a command as a user would see it, and says whether it did; a refusal is part of the story, not its end."""
    print(f"\n$ perennial {shlex.join(words)}", flush=True)
    try:
        run(list(words))
    except typer.Exit as refusal:
        if refusal.exit_code != RefusedError.exit_code:
            raise
        print(f"(exit code {refusal.exit_code})")
        return False
    except RefusedError as error:
        print(f"{error}\n(exit code {error.exit_code})")
        return False
    return True


def _say(text: str) -> None:
    print(f"\n\n{text}", flush=True)

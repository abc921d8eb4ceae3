"""How good the default model is, through the exported file, on data that others have published results for.

    make bench NAME=quality
    .venv/bin/python -m benchmarks.quality --only banking77 --seeds 1  # a quick look, not an official result

Texts, pictures and sound train for at most ten minutes each. The data is no part of the project, but for the example
traffic-signs; PERENNIAL_BENCH_DATA names its folder, `../shared/data` beside the checkout if not set.
"""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import typer

from benchmarks.measuring.reporting import NO_DATA, ROOT, Figure, report, temporary_home
from benchmarks.measuring.trained import Model, new_model_file, train
from tasks.examples.shipped import EXAMPLES
from tasks.scoring.batch import Stamp
from tasks.scoring.score import score_files

SEEDS, SPLITS = 3, 10
FAILURE = "Machine failure"
UNSEEN = "theo"


def main(
    seeds: Annotated[int, typer.Option(help="Seeds, but on AI4I.")] = SEEDS,
    splits: Annotated[int, typer.Option(help="Splits of AI4I.")] = SPLITS,
    only: Annotated[list[str] | None, typer.Option(help="Names of data sets; all if not given.")] = None,
) -> None:
    """Trains on public data and compares the exported files with what they must reach."""
    data = Path(os.environ.get("PERENNIAL_BENCH_DATA") or ROOT.parent / "shared" / "data")
    measured: dict[str, Callable[[Path], list[Figure]]] = {
        "adult": lambda folder: measure_adult(folder, seeds),
        "ai4i2020": lambda folder: measure_ai4i(folder / "ai4i2020_noleak.csv", splits),
        "banking77": lambda folder: measure_banking(folder, seeds),
        "gtsrb35": lambda folder: measure_gtsrb(folder, seeds),
        "fsdd": lambda folder: [*measure_fsdd(folder, seeds), *measure_unseen_speaker(folder, seeds)],
        "traffic-signs": lambda _: measure_signs(seeds),
    }
    wanted = only or list(measured)
    absent = [name for name in wanted if name != "traffic-signs" and not (data / name).exists()]
    if absent:
        print(f"{data / absent[0]}: not there; set PERENNIAL_BENCH_DATA to the folder that holds it")
        sys.exit(NO_DATA)
    official = seeds >= SEEDS and splits >= SPLITS and not only
    figures = [figure for name in wanted for figure in measured[name](data / name)]
    sys.exit(report("quality", "the default model file as `new` writes it, through the ONNX file", figures, official))


def measure_adult(folder: Path, seeds: int) -> list[Figure]:
    """Accuracy on the official test rows, mean of the seeds."""
    accuracies = []
    sources = [folder / f"{name}.csv" for name in ("train", "val", "test")]
    with temporary_home() as home:
        for seed in range(seeds):
            file = new_model_file(sources, "income", "adult", home / str(seed), f"[training]\nseed = {seed}\n")
            model = train(file, home, home / str(seed) / "training")
            scored = score(model, folder / "test.csv", home / str(seed) / "scored")
            accuracies.append(float((scored["label"] == scored["income"].str.strip()).mean()))
            _tell(f"adult, seed {seed}: accuracy {accuracies[-1]:.4f}", model)
    return [
        Figure(
            f"Adult, accuracy on the test file, {seeds} seeds",
            float(np.mean(accuracies)),
            "share",
            "higher",
            0.862,
            0.872,
        )
    ]


def measure_banking(folder: Path, seeds: int) -> list[Figure]:
    """Messages to a bank, 77 intents."""
    runs = [_trained([folder / "train.csv", folder / "test.csv"], "category", seed) for seed in range(seeds)]
    return _accuracy("banking77, accuracy on the test file", runs, 0.905, 0.92)


def measure_gtsrb(folder: Path, seeds: int) -> list[Figure]:
    """Traffic signs, 43 classes; validation by track."""
    runs = [_trained([folder / "train.csv", folder / "test.csv"], "class_name", seed) for seed in range(seeds)]
    return _accuracy("gtsrb35, accuracy on the test file", runs, 0.98, 0.99)


def measure_fsdd(folder: Path, seeds: int) -> list[Figure]:
    """Spoken digits, the official split."""
    runs = [_trained([folder / "train.csv", folder / "test.csv"], "digit", seed) for seed in range(seeds)]
    return _accuracy("fsdd, accuracy on the official split", runs, 0.98, 0.995)


def measure_unseen_speaker(folder: Path, seeds: int) -> list[Figure]:
    """Spoken digits of a speaker whom no training row has."""
    rows = pd.concat([pd.read_csv(folder / f"{name}.csv") for name in ("train", "test")])
    with temporary_home() as home:
        shutil.copytree(folder / "recordings", home / "recordings")
        parts = {"train": rows[rows["speaker"] != UNSEEN], "test": rows[rows["speaker"] == UNSEEN]}
        for name, part in parts.items():
            part.to_csv(home / f"{name}.csv", index=False)
        runs = [_trained([home / "train.csv", home / "test.csv"], "digit", seed) for seed in range(seeds)]
    return _accuracy(f"fsdd, accuracy on the speaker {UNSEEN}, left out", runs, 0.94, 0.98)


def measure_signs(seeds: int) -> list[Figure]:
    """The shipped example, by its own model file; the plain signs are told beside the unseen fonts and shades."""
    runs = []
    with temporary_home() as home:
        (home / "data").mkdir()
        file = EXAMPLES["traffic-signs"].make(home / "data", "traffic-signs")
        text = file.read_text(encoding="utf-8")
        for seed in range(seeds):
            file.write_text(_seeded(text, seed), encoding="utf-8")
            model = train(file, home, home / str(seed) / "training")
            scored = score(model, home / "data" / "test.csv", home / str(seed) / "scored")
            right = scored["label"] == scored["sign"]
            unseen = scored["condition"].isin(["unseen font", "another shade"])
            plain = float(right[scored["condition"] == "plain"].mean())
            _tell(f"traffic-signs, seed {seed}: unseen {right[unseen].mean():.4f}, plain {plain:.4f}", model)
            runs.append(Run(float(right[unseen].mean()), model.seconds, plain))
    name = "traffic-signs, accuracy on unseen fonts and shades"
    plain = float(np.mean([run.beside for run in runs]))
    return [
        *_accuracy(name, runs, 0.97, 0.99),
        Figure("traffic-signs, accuracy on plain signs", plain, "share", "higher"),
    ]


@dataclass(frozen=True)
class Run:
    """What one seed came to."""

    accuracy: float
    seconds: float
    beside: float = 0.0
    """Accuracy on other rows, told beside the first."""


def _trained(sources: list[Path], target: str, seed: int) -> Run:
    """The accuracy on the rows of the second source, which is the test."""
    with temporary_home() as home:
        file = new_model_file(sources, target, "model", home)
        file.write_text(_seeded(file.read_text(encoding="utf-8"), seed), encoding="utf-8")
        model = train(file, home, home / "training")
        scored = score(model, sources[1], home / "scored")
    accuracy = float((scored["label"].astype(str) == scored[target].astype(str)).mean())
    _tell(f"{sources[1].parent.name}, seed {seed}: accuracy {accuracy:.4f}", model)
    return Run(accuracy, model.seconds)


def _seeded(text: str, seed: int) -> str:
    """The model file with that seed in its section on training."""
    before, _, behind = text.partition("\n[training]\n")
    return f"{before}\n[training]\nseed = {seed}\n{behind}"


def _accuracy(what: str, runs: list[Run], must: float, aim: float) -> list[Figure]:
    """The mean accuracy, and the longest training."""
    mean = float(np.mean([run.accuracy for run in runs]))
    longest = max(run.seconds for run in runs)
    return [
        Figure(f"{what}, {len(runs)} seeds", mean, "share", "higher", must, aim),
        Figure(f"{what.split(',')[0]}: longest training, from the sources to the graph", longest, "s", "lower", 600),
    ]


def measure_ai4i(path: Path, splits: int) -> list[Figure]:
    """Average precision on stratified 80/20 splits, and that of a random forest on the same."""
    from sklearn.metrics import average_precision_score
    from sklearn.model_selection import StratifiedShuffleSplit

    frame = pd.read_csv(path)
    divide = StratifiedShuffleSplit(splits, test_size=0.2, random_state=0)
    ours, theirs = [], []
    for number, (train_rows, test_rows) in enumerate(divide.split(frame, frame[FAILURE])):
        parts = frame.iloc[train_rows], frame.iloc[test_rows]
        with temporary_home() as home:
            sources = [home / "train.csv", home / "test.csv"]
            for part, source in zip(parts, sources, strict=True):
                part.to_csv(source, index=False)
            model = train(new_model_file(sources, FAILURE, "ai4i", home), home, home / "training")
            scored = score(model, sources[1], home / "scored")
        ours.append(float(average_precision_score(scored[FAILURE].astype(int), scored["probability_1"])))
        theirs.append(float(average_precision_score(parts[1][FAILURE], forest_scores(*parts))))
        _tell(f"ai4i, split {number}: average precision {ours[-1]:.4f}, random forest {theirs[-1]:.4f}", model)
    mean, forest = float(np.mean(ours)), float(np.mean(theirs))
    what = f"AI4I, average precision, {splits} splits"
    return [
        Figure(what, mean, "", "higher"),
        Figure(f"{what}: random forest", forest, "", "higher"),
        Figure(f"{what}: ours minus random forest", mean - forest, "", "higher", -0.02, 0.0),
    ]


def forest_scores(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """scikit-learn's default random forest on the same columns, categories as codes; [N] of the positive class."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    unused = [FAILURE, "UDI", "Product ID"]
    coded = make_column_transformer((OrdinalEncoder(), ["Type"]), remainder="passthrough")
    forest = make_pipeline(coded, RandomForestClassifier(random_state=0, n_jobs=-1))
    forest.fit(train.drop(columns=unused), train[FAILURE])
    return np.asarray(forest.predict_proba(test.drop(columns=unused))[:, 1])


def score(model: Model, rows: Path, output: Path) -> pd.DataFrame:
    """The predictions of every row of the file, beside its own columns. Raises RuntimeError when a row is rejected."""
    done = score_files(model.predictor, [str(rows)], output, Stamp(output.name, "1", "bench"))
    if done.rejected:
        raise RuntimeError(f"{rows}: {done.rejected} rows were rejected: {done.reasons}")
    frame: pd.DataFrame = pq.read_table(done.predictions).to_pandas()
    return frame


def _tell(line: str, model: Model) -> None:
    took = f"{model.seconds:.0f} s, {model.epochs} epochs, best {model.best_epoch}"
    print(f"{line} ({took})", file=sys.stderr, flush=True)


if __name__ == "__main__":
    typer.run(main)

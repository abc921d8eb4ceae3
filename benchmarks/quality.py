"""How good the default model is, through the exported file, on data that others have published results for.

    make bench NAME=quality
    .venv/bin/python -m benchmarks.quality --seeds 1 --splits 1        # a quick look, not an official result

The data is no part of the project; PERENNIAL_BENCH_DATA names its folder, `../shared/data` beside the checkout
if not set.
"""

import os
import sys
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import typer

from benchmarks.measuring.reporting import NO_DATA, ROOT, Figure, report, temporary_home
from benchmarks.measuring.trained import Model, new_model_file, train
from tasks.scoring.score import Stamp, score_files

SEEDS, SPLITS = 3, 10
FAILURE = "Machine failure"


def main(
    seeds: Annotated[int, typer.Option(help="Seeds on Adult.")] = SEEDS,
    splits: Annotated[int, typer.Option(help="Splits of AI4I.")] = SPLITS,
) -> None:
    """Trains on Adult and AI4I and compares the exported files with what they must reach."""
    data = Path(os.environ.get("PERENNIAL_BENCH_DATA") or ROOT.parent / "shared" / "data")
    absent = [name for name in ("adult/test.csv", "ai4i2020/ai4i2020_noleak.csv") if not (data / name).exists()]
    if absent:
        print(f"{data / absent[0]}: not there; set PERENNIAL_BENCH_DATA to the folder of adult/ and ai4i2020/")
        sys.exit(NO_DATA)
    official = seeds >= SEEDS and splits >= SPLITS
    figures = [*measure_adult(data / "adult", seeds), *measure_ai4i(data / "ai4i2020" / "ai4i2020_noleak.csv", splits)]
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

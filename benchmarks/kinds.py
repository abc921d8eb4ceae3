"""What texts, pictures, sound and series cost: parity of the shipped examples, speed and memory beside bare parts.

    make bench NAME=kinds
    .venv/bin/python -m benchmarks.kinds --few                 # a quick look, not an official result

Ratios are of medians, measured in turns in one run. All data is made here.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray
from PIL import Image

from benchmarks.measuring.loops import dense, measure
from benchmarks.measuring.pictures import picture_model_file, write_pictures
from benchmarks.measuring.reporting import ROOT, Figure, report, temporary_home
from benchmarks.measuring.trained import Model, train
from models.cores import usable_cores
from models.modelfile import read_model_file
from tasks.data.propose import propose
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import fit_split
from tasks.examples.shipped import EXAMPLES
from tasks.scoring.batch import Stamp
from tasks.scoring.score import score_files
from tasks.training.fit import prepare

TEXTS, PICTURES, LARGE_SET, REPEATS = 100_000, 2_000, 6_000, 3
SIDE = 224
BARE_BATCHES = (16, 64, 256, 1024)
"""Texts at once where ONNX Runtime runs alone: the best of these is what the platform is compared with."""
BUDGET_GB = 0.4
QUICK = "\n[training]\nepochs = 2\n"


def main(few: Annotated[bool, typer.Option("--few", help="A tenth of everything.")] = False) -> None:
    """Measures all kinds."""
    share = 10 if few else 1
    figures = [
        *measure_parity(),
        *measure_texts(TEXTS // share, REPEATS),
        *measure_pictures(PICTURES // share, REPEATS),
        *measure_epochs(PICTURES // share, REPEATS),
        *measure_memory(LARGE_SET // share),
    ]
    sys.exit(report("kinds", f"medians of {REPEATS}, {usable_cores()} cores", figures, official=not few))


def measure_parity() -> list[Figure]:
    """The largest difference between torch and ONNX Runtime on all test rows of each shipped example."""
    figures = []
    for name, example in EXAMPLES.items():
        with temporary_home() as home:
            (home / "data").mkdir()
            model = train(_shortened(example.make(home / "data", name)), home, home / "training")
        figures.append(Figure(f"parity, {name}", model.parity.difference, "", "lower", 1e-4))
        figures.append(Figure(f"other labels, {name}", model.parity.labels_differ, "rows", "lower", 0))
        _tell(f"{name}: parity {model.parity.difference:.2g} on {model.parity.rows} rows")
    return figures


def measure_texts(count: int, repeats: int) -> list[Figure]:
    """Parquet to Parquet, over ONNX Runtime alone on strings that lie ready by length, in its best batch size."""
    with temporary_home() as home:
        (home / "data").mkdir()
        path = _text_model(home / "data")
        model = train(path, home, home / "training")
        rows = _many_texts(home / "data", count)
        ready = np.array(sorted(pq.read_table(rows)["message"].to_pylist(), key=len), dtype=object)
        bares = [_bare_texts(model, ready, size) for size in BARE_BATCHES]
        whole, *alone = _in_turns([lambda: _score(model, rows, home), *bares], repeats)
    best = min(alone)
    _tell(f"ONNX Runtime alone is fastest with batches of {BARE_BATCHES[alone.index(best)]}")
    return [
        Figure(f"{count:,} texts: scored", count / whole, "texts/s", "higher"),
        Figure(f"{count:,} texts: speed over ONNX Runtime alone", best / whole, "ratio", "higher", 0.6),
    ]


def _bare_texts(model: Model, ready: NDArray[np.object_], size: int) -> Callable[[], None]:
    def alone() -> None:
        with ThreadPoolExecutor(usable_cores()) as pool:
            run, outputs = model.predictor.session.run, ["class_index", "probabilities"]
            starts = range(0, len(ready), size)
            list(pool.map(lambda start: run(outputs, {"message": ready[start : start + size]}), starts))

    return alone


def measure_pictures(count: int, repeats: int) -> list[Figure]:
    """JPEG files to predictions, over Pillow decoding and resizing the same files in as many threads."""
    with temporary_home() as home:
        manifest = write_pictures(home / "data", count, SIDE, seed=0)
        path = home / "data" / "proposed.toml"
        path.write_text(propose([str(manifest)], "class", "pictures", home / "data").text, encoding="utf-8")
        model = train(_shortened(path), home, home / "training")
        side = model.predictor.contract.columns[0].settings.model_dump()["size"]
        files = sorted((home / "data" / "pictures").iterdir())

        def alone() -> None:
            with ThreadPoolExecutor(usable_cores()) as pool:
                list(pool.map(lambda file: _decoded(file, side), files))

        whole, bare = _in_turns([lambda: _score(model, manifest, home), alone], repeats)
    return [
        Figure(f"{count:,} JPEG files of {SIDE} px at {side} px: scored", count / whole, "pictures/s", "higher"),
        Figure("JPEG files: speed over Pillow alone", bare / whole, "ratio", "higher", 0.7),
    ]


def measure_epochs(count: int, repeats: int) -> list[Figure]:
    """Epochs of the platform's loop over those of a bare one, with the same network and augmentation."""
    with temporary_home() as home:
        manifest = write_pictures(home / "data", count, 64, seed=1)
        model_file = read_model_file(picture_model_file(manifest, 48, QUICK))
        snapshot = open_snapshot(ingest(model_file, home).manifest)
        prepared = prepare(model_file, snapshot, fit_split(model_file, snapshot), home / "tensors")
        if not dense(prepared.train):
            raise RuntimeError("pictures are plain tensors")
        ours, bare = measure(model_file, prepared, prepared.build(model_file), repeats)
    ratio = statistics.median(ours) / statistics.median(bare)
    return [Figure(f"epochs of {count:,} pictures: time over a bare loop", ratio, "ratio", "lower", 1.15)]


def measure_memory(count: int) -> list[Figure]:
    """Memory from training to judgement, with pictures larger than the budget, in a process of its own."""
    with temporary_home() as home:
        manifest = write_pictures(home / "data", count, SIDE, seed=2)
        extra = f"[training]\nepochs = 1\nmemory_gb = {BUDGET_GB}\n"
        path = picture_model_file(manifest, SIDE, extra)
        command = [sys.executable, "-m", "benchmarks.measuring.memory", str(path), str(home)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=dict(os.environ))
        peaks = json.loads(done.stdout.splitlines()[-1])
    _tell(", ".join(f"up to the end of {step} {peak / 1e9:.2f} GB" for step, peak in peaks.items()))
    of = f"{count * SIDE * SIDE * 3 / 1e9:.2g} GB of pictures, budget {BUDGET_GB} GB"
    whole = f"{of}: training, export and judgement"
    return [
        Figure(f"{of}: ingestion", peaks["ingestion"] / 1e9, "GB", "lower"),
        Figure(whole, max(peaks.values()) / 1e9, "GB", "lower", BUDGET_GB + 1),
    ]


def _in_turns(steps: Sequence[Callable[[], None]], repeats: int) -> list[float]:
    """Median seconds of each, after one round to warm up."""
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(repeats + 1):
        for step, found in zip(steps, seconds, strict=True):
            started = time.perf_counter()
            step()
            found.append(time.perf_counter() - started)
        whole, *alone = (found[-1] for found in seconds)
        _tell(f"whole {whole:.2f} s, alone {', '.join(f'{bare:.2f}' for bare in alone)} s")
    return [statistics.median(found[1:]) for found in seconds]


def _score(model: Model, rows: Path, home: Path) -> None:
    done = score_files(model.predictor, [str(rows)], home / "scored.parquet", Stamp("bench", "1", "bench"), (), True)
    if done.rejected:
        raise RuntimeError(f"{done.rejected} rows were rejected: {done.reasons}")


def _decoded(file: Path, side: int) -> None:
    with Image.open(file) as picture:
        np.asarray(picture.convert("RGB").resize((side, side)))


def _shortened(path: Path) -> Path:
    """The model file with two epochs: more change no figure."""
    lines = path.read_text(encoding="utf-8").splitlines()
    if "[training]" in lines:
        lines.insert(lines.index("[training]") + 1, "epochs = 2")
    else:
        lines += ["[training]", "epochs = 2"]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _text_model(folder: Path) -> Path:
    """The messages of the shipped example, without the order they belong to."""
    EXAMPLES["support-messages"].make(folder, "support-messages")
    path = folder / "texts.toml"
    path.write_text(
        'name = "texts"\n[[sources]]\nuri = "messages.csv"\n[target]\ncolumn = "intent"\n[columns]\nmessage = "text"\n'
        + QUICK,
        encoding="utf-8",
    )
    return path


def _many_texts(folder: Path, count: int) -> Path:
    """Distinct texts, each a message with a number."""
    messages = pd.read_csv(folder / "messages.csv")["message"]
    texts = [f"{messages[i % len(messages)]} {i}" for i in range(count)]
    pq.write_table(pa.table({"message": texts}), folder / "many.parquet")
    return folder / "many.parquet"


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    typer.run(main)

"""From a model file to a scored-with ONNX file by plain functions, without Prefect and MLflow."""

import time
from dataclasses import dataclass
from pathlib import Path

from models.modelfile import read_model_file
from tasks.data.propose import propose
from tasks.data.rows import assign_rows, masked_batches
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import TEST, fit_split
from tasks.export.export import export_model
from tasks.export.exported import Digests, Parity
from tasks.scoring.predictor import Predictor
from tasks.training.fit import fit_model
from tasks.training.job import code_digest


@dataclass(frozen=True)
class Model:
    """An exported graph, ready to score, and how its training went."""

    predictor: Predictor
    epochs: int
    best_epoch: int
    seconds: float
    """From the first look at the sources to the exported file."""
    parity: Parity
    """On all test rows."""


def new_model_file(data: list[Path], target: str, name: str, folder: Path, extra: str = "") -> Path:
    """The model file that `perennial new` writes for the data, followed by the text `extra`."""
    text = propose([str(path) for path in data], target, name, folder).text
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(f"{text}\n{extra}", encoding="utf-8")
    return path


def train(path: Path, home: Path, scratch: Path) -> Model:
    """Ingests, trains and exports; the snapshot is kept under `home`, everything else in `scratch`."""
    started = time.perf_counter()
    model_file = read_model_file(path)
    data = ingest(model_file, home)
    snapshot = open_snapshot(data.manifest)
    split = fit_split(model_file, snapshot)
    scratch.mkdir(parents=True)
    fitted = fit_model(model_file, snapshot, split, scratch / "checkpoint.pt", scratch / "trained.pt")
    digests = Digests(data.digest, model_file.digest(), code_digest())
    test = masked_batches(snapshot, assign_rows(snapshot, split) == TEST, list(model_file.columns))
    exported = export_model(
        scratch / "trained.pt", model_file, snapshot.task, split, digests, test, scratch / "package"
    )
    predictor = Predictor.load(exported.folder, exported.sha256)
    seconds = time.perf_counter() - started
    return Model(predictor, len(fitted.train_loss), fitted.best_epoch, seconds, exported.parity)

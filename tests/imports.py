"""Models of other frameworks for tests: their rows, their model file, and what an import makes of them."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pyarrow as pa

from models.columns import KINDS
from models.contract import Contract
from models.modelfile import read_model_file
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import fit_split
from tasks.export.exported import Digests
from tasks.importing.confined import unwatched
from tasks.importing.imported import Imported
from tasks.importing.original import take_in
from tasks.importing.package import import_graph
from tasks.scoring.predictor import Predictions, Predictor


def write_spec(
    folder: Path, frame: pd.DataFrame, target: str, columns: str, graph: str = "", name: str = "foreign", rest: str = ""
) -> Path:
    """A model file beside its rows: those of even number it was trained on, on the others it is judged."""
    folder.mkdir(parents=True, exist_ok=True)
    frame[::2].to_parquet(folder / "seen.parquet")
    frame[1::2].to_parquet(folder / "unseen.parquet")
    path = folder / f"{name}.toml"
    path.write_text(
        f'name = "{name}"\n[[sources]]\nuri = "seen.parquet"\nsplit = "train"\n'
        f'[[sources]]\nuri = "unseen.parquet"\nsplit = "test"\n[target]\n{target}\n[columns]\n{columns}\n'
        f"[graph]\n{graph}\n{rest}",
        encoding="utf-8",
    )
    return path


@dataclass(frozen=True)
class Brought:
    """An imported model."""

    imported: Imported
    predictor: Predictor

    @property
    def contract(self) -> Contract:
        return self.predictor.contract

    def predict(self, frame: pd.DataFrame) -> Predictions:
        """What it says of raw rows."""
        columns = {}
        for column in self.contract.columns:
            kind, raw = KINDS[column.settings.kind], pa.Array.from_pandas(frame[column.name])
            parsed = kind.parse(raw, column.settings, self.contract.missing)
            assert not parsed.refusals
            columns[column.name] = parsed.values
        return self.predictor.predict(columns)

    def probabilities(self, frame: pd.DataFrame, order: list[object]) -> np.ndarray:
        """[N, K] in the given order of the classes."""
        found = self.predict(frame).probabilities
        assert found is not None
        return found[:, [list(self.contract.classes).index(name) for name in order]]


def bring(model: Path | bytes | onnx.ModelProto, spec: Path, trust: bool = False) -> Brought:
    """The model as the import makes it, in a folder beside the spec."""
    folder = spec.parent / "state"
    if isinstance(model, onnx.ModelProto):
        model = model.SerializeToString()
    if isinstance(model, bytes):
        path = spec.parent / "given.onnx"
        path.write_bytes(model)
        model = path
    model_file = read_model_file(spec)
    with tempfile.TemporaryDirectory() as scratch:
        original = take_in(unwatched, model, model_file, spec, trust, Path(scratch))
        snapshot = open_snapshot(ingest(model_file, folder).manifest)
        split = fit_split(model_file, snapshot)
        digests = Digests("data", model_file.digest(), "code")
        imported = import_graph(unwatched, original, model_file, snapshot, split, digests, folder / "package")
    return Brought(imported, Predictor.load(imported.folder, imported.sha256))


def quoted(*names: str) -> str:
    """The names as a list in TOML."""
    return json.dumps(list(names), ensure_ascii=False)

"""Versions for tests that need a graph and no record: ingested, trained for an epoch or two, and exported."""

from pathlib import Path

from models.modelfile import ModelFile, read_model_file
from tasks.data.rows import rows_of
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import TEST, fit_split
from tasks.export.export import export_model
from tasks.export.exported import Digests, Exported
from tasks.training.fit import fit_model

DIGESTS = Digests("data", "file", "code")


def export_quickly(model_file: ModelFile | Path, folder: Path) -> Exported:
    """The package in `folder`; parity on all test rows was shown on the way."""
    read = read_model_file(model_file) if isinstance(model_file, Path) else model_file
    snapshot = open_snapshot(ingest(read, folder).manifest)
    split = fit_split(read, snapshot)
    trained = folder / "job" / "t.pt"
    fit_model(read, snapshot, split, folder / "job" / "c.pt", trained)
    test = rows_of(snapshot, split, TEST, list(read.columns))
    found = export_model(
        trained, read, snapshot.task, split, DIGESTS, [test.slice(0, 1), test.slice(1)], folder / "package"
    )
    assert found.parity.rows == len(test)
    return found

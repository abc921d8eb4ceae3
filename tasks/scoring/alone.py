"""A version in a clean process, in which nothing can be imported that serving does without."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from models.columns import KINDS
from models.columns.cells import as_array
from models.errors import OutsideError, RefusedError
from tasks.scoring.execution import Execution
from tasks.scoring.predictor import Predictions, Predictor

NOT_SERVED = (
    "torch", "prefect", "mlflow", "sklearn", "scipy", "matplotlib", "onnxscript", "optuna", "ray", "sqlalchemy",
)  # fmt: skip
"""What trains, judges, orchestrates and keeps the record: serving images don't have it."""
KEPT = ("PATH", "LD_LIBRARY_PATH", "LANG", "TMPDIR", "OMP_NUM_THREADS")
"""Of the environment; addresses and credentials of servers are not among it."""
PATIENCE_SECONDS = 120
PROBE = """
import sys
root, refused, *words = sys.argv[1:]

class NotServed:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in refused.split(","):
            raise ImportError(f"{name} is not there when serving")

sys.meta_path.insert(0, NotServed())
sys.path.insert(0, root)
from tasks.scoring.alone import answer
answer(*words)
"""


def predict_alone(package: Path, sha256: str | None, rows: pa.Table, execution: Execution | None = None) -> Predictions:
    """What the version in `package` says about parsed columns, in a Python process that sees no settings of this one.

    It is run by the usual settings if no `execution` is given.

    Raises RefusedError where it can't be loaded there, and OutsideError where that can't be told, since the process was
    killed or does not answer in `PATIENCE_SECONDS`.
    """
    with tempfile.TemporaryDirectory() as scratch:
        asked, answered = Path(scratch) / "rows.arrow", Path(scratch) / "predictions.npz"
        with pa.OSFile(str(asked), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            writer.write_table(rows)
        words = [str(package), json.dumps(sha256), (execution or Execution()).to_json(), str(asked), str(answered)]
        _run(words, Path(scratch))
        with np.load(answered, allow_pickle=False) as found:
            return Predictions(**{name: found.get(name) for name in Predictions.__annotations__})


def _run(words: list[str], folder: Path) -> None:
    root = str(Path(__file__).resolve().parents[2])
    command = [sys.executable, "-I", "-c", PROBE, root, ",".join(NOT_SERVED), *words]
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    try:
        done = subprocess.run(command, cwd=folder, env=kept, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        raise OutsideError(
            f"the clean process that serves the version gave no answer within {PATIENCE_SECONDS} s; "
            "try again when the machine is less busy"
        ) from None
    if done.returncode < 0:
        raise OutsideError(
            f"the clean process that serves the version was killed by {_named(-done.returncode)}; "
            "try again, with more memory free where that ran out"
        )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        raise RefusedError(said[-1] if said else f"it ended with exit code {done.returncode}")


def _named(number: int) -> str:
    return signal.Signals(number).name if number in {known.value for known in signal.Signals} else f"signal {number}"


def answer(package: str, sha256: str, execution: str, asked: str, answered: str) -> None:
    """The clean process's part: loads the version, scores the rows, and leaves the predictions in a file."""
    predictor = Predictor.load(Path(package), json.loads(sha256), execution=Execution.from_json(execution))
    with pa.memory_map(asked) as file:
        rows = pa.ipc.open_file(file).read_all()
    columns = {
        column.name: KINDS[column.settings.kind]
        .parse(as_array(rows.column(column.name)), column.settings, predictor.contract.missing)
        .values
        for column in predictor.contract.columns
    }
    found = vars(predictor.predict(columns))
    np.savez(answered, **{name: values for name, values in found.items() if values is not None})

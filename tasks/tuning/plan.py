"""One search: what it searches, on which data, and the folder in which an interrupted one is found again."""

import hashlib
import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from models.errors import InputError, RefusedError
from models.modelfile import ModelFile, read_trainable
from tasks.aside import HeldError, folder_aside, held
from tasks.data.snapshot import Ingested
from tasks.training.job import code_digest
from tasks.tuning.rewrite import rewritten, unsearched
from tasks.tuning.space import Space, Value, present_values, read_space

FOLDER = "tuning"


@dataclass(frozen=True)
class Asked:
    """What was asked for, and found to be possible."""

    file: Path
    model_file: ModelFile
    space: Space
    output: Path
    trials: int
    """Those of earlier starts included."""
    timeout: float | None
    """Seconds of this start."""
    seed: int


@dataclass(frozen=True)
class Plan:
    """A search on data. How many trials there are to be is no part of it: more of them go on where fewer ended."""

    asked: Asked
    snapshot: Path
    """The snapshot's manifest."""
    snapshot_digest: str
    home: Path

    @property
    def folder(self) -> Path:
        """Where the trials are kept."""
        asked, space = self.asked, {key: asdict(dimension) for key, dimension in self.asked.space.items()}
        parts = (self.snapshot_digest, asked.model_file.digest(), code_digest(), space, asked.seed)
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
        return self.home / FOLDER / asked.model_file.name / digest[:16]

    @property
    def tensors(self) -> Path:
        """Where encoded rows lie while it searches, as large as the data; a later start encodes them again."""
        return self.folder / "tensors"

    def forget_rows(self) -> None:
        """Removes the encoded rows; the trials stay."""
        shutil.rmtree(self.tensors, ignore_errors=True)

    @property
    def storage(self) -> str:
        """Address of Optuna's database."""
        return f"sqlite:///{self.folder / 'trials.db'}"

    def interrupted_run(self) -> str | None:
        """The MLflow run of an earlier start."""
        note = self.folder / "run_id"
        return note.read_text().strip() if note.exists() else None

    def remember_run(self, run_id: str) -> None:
        """Notes the run, so that a later start goes on in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "run_id").write_text(run_id)


def ask(
    file: Path, searches: Sequence[str], output: Path | None, trials: int, timeout: float | None, seed: int
) -> Asked:
    """What is asked for. Raises InputError where it can't be searched, or the best could not be written."""
    model_file = read_trainable(file)
    space = read_space(searches, model_file)
    output = output or file.with_name(f"{file.stem}-tuned.toml")
    if output.exists() and not _was_tuned(output, file):
        raise InputError(f"{output}: exists already; choose another --output or delete it")
    if output.absolute().parent.resolve() != file.absolute().parent.resolve():
        raise InputError(f"{output}: must lie beside {file}, whose paths are relative to its folder")
    try:
        rewritten(file.read_text(encoding="utf-8-sig"), present_values(model_file, space) or {})
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    return Asked(file, model_file, space, output, trials, timeout, seed)


def plan_search(asked: Asked, data: Ingested, home: Path) -> Plan:
    """The search on this snapshot with the code as it stands."""
    return Plan(asked, data.manifest, data.digest, home)


@contextmanager
def searching_alone(model: str, home: Path, who: str) -> Iterator[None]:
    """Holds the model's search. Raises RefusedError that says who holds it when another process does."""
    try:
        with held(home / FOLDER / f"{model}.lock", who):
            yield
    except HeldError as other:
        raise RefusedError(f"{model}: a search is under way, held by {other}; start again when it is done") from None


def write_best(asked: Asked, values: Mapping[str, Value], loss: float) -> Path:
    """The model file of the best trial, written beside the one that was searched."""
    head = f"{_head(asked.file)}: validation loss {loss:.4f}\n"
    text = rewritten(asked.file.read_text(encoding="utf-8-sig"), values)
    with folder_aside(asked.output.absolute().parent, "tuned") as aside:
        written = aside / asked.output.name
        written.write_text(head + text, encoding="utf-8")
        written.replace(asked.output)
    return asked.output


def _head(file: Path) -> str:
    return f"# {file.name} with the settings that `perennial tune` found best"


def _was_tuned(output: Path, file: Path) -> bool:
    """Whether an earlier start wrote the output, and nobody has changed more of it than what is searched."""
    text = output.read_text(encoding="utf-8", errors="replace")
    try:
        return text.startswith(_head(file)) and unsearched(text) == unsearched(file.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError:
        return False

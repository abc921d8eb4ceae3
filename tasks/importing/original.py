"""A model as it was given: any ONNX file, or what a converter makes ONNX of, checked against the model file."""

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from onnx import ModelProto

from models.errors import InputError
from models.graphsection import Graph
from models.modelfile import ModelFile
from tasks.importing.answers import find_answer
from tasks.importing.confined import Limits, Progress, confined, unwatched
from tasks.importing.converting import as_onnx, require_converter
from tasks.importing.feeding import Feeding, plan_feeding
from tasks.importing.locales import rewrite_locales
from tasks.importing.ports import inputs_of
from tasks.importing.reading import files_beside, read_graph

CHUNK = 1 << 20
READ, CONVERTED = "while it is read", "while it is converted"


@dataclass(frozen=True)
class Original:
    """What was given, and the ONNX file that is read of it."""

    file: Path
    sha256: str
    """Of the file with the data beside it, or of all files of a folder."""
    graph: Path
    """The file itself, or what it was converted to."""
    spec: Path
    """The model file."""
    converter: str = ""
    """What made ONNX of it here."""
    answers: Path | None = None
    """What it said itself about some rows before it was converted."""
    notes: tuple[str, ...] = ()
    """What its converter told of it."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """What it has for a missing value of columns of texts, where the model file says nothing of it."""

    def read(self) -> tuple[ModelProto, tuple[str, ...]]:
        """The graph, and what is to be known of it or was rewritten in it, a line each.

        Raises InputError for what can't be run here.
        """
        where = str(self.file)
        model = read_graph(self.graph, where)
        return model, (*self.notes, *rewrite_locales(model, where))


def look_at(file: Path, model_file: ModelFile, spec: Path, trust: bool, limits: Limits) -> None:
    """Raises InputError for all that can be known before anything is converted, or any row is read."""
    graph_section(model_file)
    require_file(file)
    if not require_converter(file, trust):
        confined(_look, str(file), READ, limits, file, model_file, spec)


def _look(_: Progress, file: Path, model_file: ModelFile, spec: Path) -> None:
    plan_inputs(read_graph(file), model_file, spec, {})


@contextmanager
def taken_in(file: Path, model_file: ModelFile, spec: Path, trust: bool, limits: Limits) -> Iterator[Original]:
    """The original for as long as the block runs, see `take_in`, which is done in a process of its own."""
    doing = CONVERTED if require_converter(require_file(file), trust) else READ
    with tempfile.TemporaryDirectory(prefix="perennial-import-") as scratch:
        yield confined(take_in, str(file), doing, limits, file, model_file, spec, trust, Path(scratch))


def take_in(progress: Progress, file: Path, model_file: ModelFile, spec: Path, trust: bool, scratch: Path) -> Original:
    """The original, converted in `scratch` where it is no ONNX file.

    Everything that can be known without the data was checked. Raises InputError with a line a problem; `trust` allows
    unpickling, which runs code.
    """
    sha256 = digest_of(file, progress)
    converted = as_onnx(file, model_file, scratch, trust, progress)
    original = Original(
        file, sha256, converted.graph, spec, converted.by, converted.answers, converted.notes, converted.missing
    )
    model, _ = original.read()
    plan_inputs(model, model_file, spec, original.missing)
    return original


def plan_inputs(model: ModelProto, model_file: ModelFile, spec: Path, missing: Mapping[str, str]) -> Feeding:
    """What feeds the graph; `missing` stands for texts of which the model file does not say what does.

    Raises InputError with all that is wrong with what the model file says of the graph.
    """
    graph = graph_section(model_file)
    feeding = plan_feeding(inputs_of(model), model_file.columns, graph, missing)
    problems = [*feeding.problems, *find_answer(model, graph, model_file.target.kind).problems]
    if problems:
        raise InputError(*(f"{spec}: {problem}" for problem in problems))
    return feeding


def graph_section(model_file: ModelFile) -> Graph:
    """What the model file says of the graph. Raises InputError where it says nothing at all."""
    if model_file.graph is None:
        raise InputError(
            f"{model_file.name}: the model file has no section [graph], which a model made elsewhere needs"
        )
    return model_file.graph


def require_file(file: Path) -> Path:
    """The file or folder itself. Raises InputError where it is neither, such as a pipe or a device without end."""
    if not file.exists():
        raise InputError(f"{file}: no such file")
    if not (file.is_file() or file.is_dir()):
        raise InputError(f"{file}: neither a file nor a folder")
    return file


def digest_of(file: Path, progress: Progress = unwatched) -> str:
    """SHA-256 of a file, or of names and contents of all files of a folder, or of a graph and the data beside it.

    Raises InputError where there is none.
    """
    digest = hashlib.sha256()
    if not require_file(file).is_dir():
        _add(digest, file, progress)
        for path in sorted(files_beside(file)):
            own = hashlib.sha256()
            _add(own, path, progress)
            digest.update(b"\0" + str(path.relative_to(file.parent)).encode() + b"\0" + own.digest())
        return digest.hexdigest()
    for path in sorted(each for each in file.rglob("*") if each.is_file()):
        digest.update(str(path.relative_to(file)).encode() + b"\0")
        _add(digest, path, progress)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", path: Path, progress: Progress) -> None:
    try:
        with path.open("rb") as opened:
            while chunk := opened.read(CHUNK):
                digest.update(chunk)
        progress()
    except PermissionError:
        raise InputError(f"{path}: not allowed to read it") from None

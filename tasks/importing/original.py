"""A model as it was given: any ONNX file, or what a converter makes ONNX of, checked against the model file."""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onnx import ModelProto

from models.errors import InputError
from models.graphsection import Graph
from models.modelfile import ModelFile
from tasks.importing.answers import find_answer
from tasks.importing.converting import as_onnx, require_converter
from tasks.importing.feeding import Feeding, plan_feeding
from tasks.importing.locales import rewrite_locales
from tasks.importing.ports import inputs_of
from tasks.importing.reading import files_beside, read_graph

CHUNK = 1 << 20


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

    def read(self) -> tuple[ModelProto, tuple[str, ...]]:
        """The graph, and what was rewritten in it, a line each. Raises InputError for what can't be run here."""
        where = str(self.file)
        model = read_graph(self.graph, where)
        return model, rewrite_locales(model, where)


def look_at(file: Path, model_file: ModelFile, spec: Path, trust: bool) -> None:
    """Raises InputError for all that can be known before anything is converted, or any row is read."""
    graph_section(model_file)
    digest_of(file)
    if not require_converter(file, trust):
        plan_inputs(read_graph(file), model_file, spec)


@contextmanager
def taken_in(file: Path, model_file: ModelFile, spec: Path, trust: bool) -> Iterator[Original]:
    """The original for as long as the block runs, converted where it is no ONNX file.

    Everything that can be known without the data was checked. Raises InputError with a line a problem; `trust` allows
    unpickling, which runs code.
    """
    sha256 = digest_of(file)
    with tempfile.TemporaryDirectory(prefix="perennial-import-") as scratch:
        converted = as_onnx(file, model_file, Path(scratch), trust)
        original = Original(file, sha256, converted.graph, spec, converted.by, converted.answers)
        model, _ = original.read()
        plan_inputs(model, model_file, spec)
        yield original


def plan_inputs(model: ModelProto, model_file: ModelFile, spec: Path) -> Feeding:
    """What feeds the graph. Raises InputError with all that is wrong with what the model file says of it."""
    graph = graph_section(model_file)
    feeding = plan_feeding(inputs_of(model), model_file.columns, graph)
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


def digest_of(file: Path) -> str:
    """SHA-256 of a file, or of names and contents of all files of a folder, or of a graph and the data beside it.

    Raises InputError where there is none.
    """
    if not file.exists():
        raise InputError(f"{file}: no such file")
    digest = hashlib.sha256()
    if not file.is_dir():
        _add(digest, file)
        for path in sorted(files_beside(file)):
            own = hashlib.sha256()
            _add(own, path)
            digest.update(b"\0" + str(path.relative_to(file.parent)).encode() + b"\0" + own.digest())
        return digest.hexdigest()
    for path in sorted(each for each in file.rglob("*") if each.is_file()):
        digest.update(str(path.relative_to(file)).encode() + b"\0")
        _add(digest, path)
    return digest.hexdigest()


def _add(digest: "hashlib._Hash", path: Path) -> None:
    try:
        with path.open("rb") as opened:
            while chunk := opened.read(CHUNK):
                digest.update(chunk)
    except PermissionError:
        raise InputError(f"{path}: not allowed to read it") from None

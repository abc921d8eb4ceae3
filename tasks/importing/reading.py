"""Reading an ONNX file that somebody else made, with what lies beside it, and never anything outside of its folder."""

from pathlib import Path, PurePosixPath, PureWindowsPath

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, checker

from models.errors import InputError, OutsideError
from tasks.importing.converting import KERAS, PICKLES
from tasks.importing.graphs import tensors_of
from tasks.importing.operators import operator_problems

LARGEST = 2**31 - 1
"""Bytes of a graph in one file: protobuf's limit."""
HEAD = 512
OTHER: tuple[tuple[bytes, str], ...] = (
    (b"PK\x03\x04", "an archive, such as .keras, or PyTorch's own format (export that with torch.onnx.export)"),
    (b"\x89HDF\r\n", "an HDF5 file, such as older Keras models: save it as .keras"),
    (b"\x80", "a pickle; a scikit-learn pipeline is read from .pkl or .joblib with --trust"),
    (b"{", "JSON, such as XGBoost's own format; convert it with onnxmltools"),
    (b"tree\n", "LightGBM's own format; convert it with onnxmltools"),
    (b"version https://git-lfs", "a pointer of Git LFS; fetch the file itself with `git lfs pull`"),
    (b"<", "XML or a web page"),
    (b"name:", "text, such as Caffe's prototxt; convert it to ONNX first"),
)
"""First bytes of files that people take for ONNX, and what these are."""


def read_graph(path: Path, where: str = "") -> ModelProto:
    """The model in the file, with what lies in files beside it taken in.

    Errors speak of `where`, or of the path. Raises InputError, with a line a problem, for what is no whole ONNX file or
    what ONNX Runtime can't run.
    """
    where = where or str(path)
    model = _decoded(where, _content(path, where))
    if not model.graph.node:
        raise InputError(f"{where}: not an ONNX model, or cut short: its graph has no operator")
    _take_in(model, path, where)
    _check(model, where)
    problems = list(operator_problems(model))
    if problems:
        raise InputError(*(f"{where}: {problem}" for problem in problems))
    return model


def files_beside(path: Path) -> set[Path]:
    """Files in its folder that hold weights of a graph; none of what is no graph, or may not be read.

    Raises InputError for one that is larger than a graph may be: whoever reads it all might never end.
    """
    if path.suffix.lower() in (*PICKLES, *KERAS) or path.stat().st_size > LARGEST:
        return set()
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except DecodeError:
        return set()
    outside = [tensor for tensor in tensors_of(model) if tensor.data_location == TensorProto.EXTERNAL]
    named = {entry.value for tensor in outside for entry in tensor.external_data if entry.key == "location"}
    beside = {path.parent / place for place in named if not _place_problem(path.parent, place)}
    for file in beside:
        if file.stat().st_size > LARGEST:
            raise InputError(f"{file}: {file.stat().st_size / 1e9:.1f} GB; a graph in one file has at most 2 GB")
    return beside


def _content(path: Path, where: str) -> bytes:
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise InputError(f"{where}: {size / 1e9:.1f} GB; a graph in one file has at most 2 GB")
        return path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"{where}: no such file") from None
    except PermissionError:
        raise InputError(f"{where}: not allowed to read it") from None
    except OSError as error:
        raise OutsideError(f"{where}: can't be read: {error.strerror}") from None


def _decoded(where: str, content: bytes) -> ModelProto:
    kind = next((what for head, what in OTHER if content[:HEAD].lstrip().startswith(head)), None)
    if not content:
        raise InputError(f"{where}: an empty file")
    if kind:
        raise InputError(f"{where}: not an ONNX file but {kind}")
    try:
        return onnx.load_model_from_string(content)
    except DecodeError:
        raise InputError(f"{where}: not an ONNX file, or damaged or cut short; copy or export it again") from None


def _take_in(model: ModelProto, path: Path, where: str) -> None:
    """Loads the values of tensors that lie in files beside the graph."""
    outside = [tensor for tensor in tensors_of(model) if tensor.data_location == TensorProto.EXTERNAL]
    total = model.ByteSize()
    problems: dict[str, str] = {}
    for tensor in outside:
        stated = {entry.key: entry.value for entry in tensor.external_data}
        problem = _place_problem(path.parent, stated.get("location", ""))
        if problem:
            problems[problem] = f"{where}: {problem}"
            continue
        file = path.parent / stated["location"]
        offset, size = _stated(stated, "offset", 0), file.stat().st_size
        length = _stated(stated, "length", size - offset)
        if min(offset, length) < 0 or offset + length > size:
            problems[str(file)] = f"{file}: holds fewer bytes than the graph asks for; copy or export it again"
        total += max(length, 0)
    if total > LARGEST:
        raise InputError(
            f"{where}: {total / 1e9:.1f} GB with the files beside it; a graph in one file has at most 2 GB"
        )
    if problems:
        raise InputError(*problems.values())
    for tensor in outside:
        _load(tensor, path.parent)


def _stated(entries: dict[str, str], key: str, default: int) -> int:
    try:
        return int(entries.get(key, default))
    except ValueError:
        return -1


def _place_problem(folder: Path, location: str) -> str:
    """Why a file that a graph names may not be read, or can't be."""
    named = (PurePosixPath(location), PureWindowsPath(location))
    outside = any(each.is_absolute() or ".." in each.parts for each in named) or "\0" in location
    file = folder / location
    if not location or outside or not file.resolve().is_relative_to(folder.resolve()):
        return f"asks for data in {location!r}, outside of its folder; nothing there is read"
    return "" if file.is_file() else f"the file {location!r} with its data is missing; it has to lie beside the graph"


def _load(tensor: TensorProto, folder: Path) -> None:
    stated = {entry.key: entry.value for entry in tensor.external_data}
    file = folder / stated["location"]
    with file.open("rb") as opened:
        opened.seek(_stated(stated, "offset", 0))
        tensor.raw_data = opened.read(_stated(stated, "length", file.stat().st_size))
    del tensor.external_data[:]
    tensor.data_location = TensorProto.DEFAULT


def _check(model: ModelProto, where: str) -> None:
    """Raises InputError where ONNX's own rules are broken."""
    try:
        checker.check_model(model)
    except (checker.ValidationError, ValueError, RuntimeError) as error:
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        raise InputError(f"{where}: not a valid ONNX graph: {first}") from None

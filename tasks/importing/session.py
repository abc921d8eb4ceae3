"""Running graphs while they are looked at, with the errors of ONNX Runtime in plain words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError
from tasks.scoring.execution import import_quietly

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

LONGEST = 300
"""Characters of a message of ONNX Runtime that are shown."""
Arrays = Mapping[str, NDArray[Any]]


class Running:
    """A graph in ONNX Runtime, in one thread, on the processor."""

    def __init__(self, graph: bytes, where: str) -> None:
        """`where` names the file that errors speak of. Raises InputError where ONNX Runtime can't load the graph."""
        self.where = where
        self._session = _start(graph, where)

    def run(self, feed: Arrays, outputs: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """The outputs by name. Raises InputError where they can't be computed from these rows."""
        names = list(outputs) if outputs is not None else [output.name for output in self._session.get_outputs()]
        with failing_plainly(self.where):
            found = self._session.run(names, dict(feed))
        return {name: np.asarray(values) for name, values in zip(names, found, strict=True)}


@contextmanager
def failing_plainly(where: str) -> Iterator[None]:
    """Raises InputError in place of what ONNX Runtime raises where a graph can't be computed from some rows."""
    try:
        yield
    except _errors() as error:
        raise InputError(f"{where}: the graph fails on rows of the data: {_plain(error)}") from None


def _start(graph: bytes, where: str) -> "InferenceSession":
    import_quietly()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except _errors() as error:
        raise InputError(f"{where}: ONNX Runtime {onnxruntime.__version__} can't load it: {_plain(error)}") from None


def _errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises; it gives its errors no common base."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = (
        "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException", "NoModel",
        "EngineError", "EPFail",
    )  # fmt: skip
    return (*(getattr(state, name) for name in names), RuntimeError, ValueError)


def _plain(error: Exception) -> str:
    """The message on one line, without error codes and the places in ONNX Runtime's own code."""
    text = re.sub(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", "", " ".join(str(error).split()))
    text = re.sub(r"/\S+\.(?:cc|h|cpp):\d+ ", "", text)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."

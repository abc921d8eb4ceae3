"""Networks of Keras and TensorFlow, asked themselves about rows of random numbers, since an export may err."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from models.errors import InputError
from tasks.importing.ports import Port, inputs_of
from tasks.importing.proof import CLOSE, differences
from tasks.importing.recorded import DiffersError
from tasks.importing.session import Running

ROWS = 8
"""That a network is asked about, where it takes any number; also the size of any other axis that is open."""


Arrays = list[NDArray[Any]]


def compare_with_network(ask: Callable[[Arrays], Arrays], graph: Path, whose: str, where: str) -> tuple[str, ...]:
    """A line on how far the graph's answers are from the network's, or that neither could be asked.

    `ask` gets an array for each input of the graph, in its order, and returns one for each output; `whose` names the
    framework. Raises DiffersError where they are further apart than kernels round.
    """
    model, random = onnx.load(graph), np.random.default_rng(0)
    try:
        given = {port.name: _drawn(port, random) for port in inputs_of(model)}
        theirs = ask([*given.values()])
        ours = Running(model.SerializeToString(), where).run(given)
    except Exception:
        # Sizes and numbers were guessed, and what a framework raises where they don't suit has no type of its own.
        return (f"not compared with {whose}, which takes no random numbers here",)
    apart = max(_apart(*each) for each in zip(ours.values(), theirs, strict=True))
    if not apart <= CLOSE:
        what = f"what was made of it answers otherwise than {whose} does"
        raise DiffersError(f"{where}: {what} (they differ by {apart:.2g}, allowed {CLOSE:g})")
    return (f"answers rows of random numbers as {whose} does, within {apart:.2g}",)


def _apart(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    return float(np.max(differences(found, wanted), initial=0.0)) if found.shape == wanted.shape else np.inf


def _drawn(port: Port, random: np.random.Generator) -> NDArray[Any]:
    """Normally distributed numbers, or whole numbers of 0 and 1, of an input's type and shape."""
    if not port.type or port.shape is None:
        raise InputError(f"{port.name!r} is no tensor of numbers")
    sizes, kind = [size or ROWS for size in port.shape], np.dtype(helper.tensor_dtype_to_np_dtype(port.type))
    return (random.normal(size=sizes) if kind.kind == "f" else random.integers(0, 2, sizes)).astype(kind)


def ask_keras(network: Any, given: Arrays) -> Arrays:
    """What a network of Keras answers when it doesn't train."""
    import keras

    found = network(given if len(given) > 1 else given[0], training=False)
    return [keras.ops.convert_to_numpy(each) for each in keras.tree.flatten(found)]


def ask_tensorflow(call: Any, given: Arrays) -> Arrays:
    """What a function of TensorFlow answers, in the order in which its converter has the outputs."""
    import tensorflow

    return [each.numpy() for each in tensorflow.nest.flatten(call(*map(tensorflow.constant, given)))]

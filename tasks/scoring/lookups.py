"""The look-ups of categories in front of a graph, taken out of it, so that each is done once per distinct value."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnx import NodeProto


@dataclass(frozen=True)
class Lookup:
    """One look-up: the codes of its values, and that of all others."""

    feeds: str
    """What the graph calls its result."""
    values: tuple[str, ...]
    codes: tuple[int, ...]
    other: int

    def __call__(self, texts: pa.DictionaryArray) -> NDArray[np.int64]:
        """Codes [N]; a missing text is looked up as ""."""
        distinct = pa.concat_arrays([texts.dictionary.cast(pa.string()), pa.array([""])])
        found = pc.fill_null(pc.index_in(distinct, value_set=self._values), len(self.codes))
        code_of = np.array([*self.codes, self.other], dtype=np.int64)[found.to_numpy()]
        places = texts.indices.fill_null(len(distinct) - 1) if texts.indices.null_count else texts.indices
        taken: NDArray[np.int64] = code_of[places.to_numpy()]
        return taken

    @cached_property
    def _values(self) -> pa.Array:
        return pa.array(self.values, pa.string())


def without_lookups(graph: bytes, names: Collection[str]) -> tuple[bytes, Mapping[str, Lookup]]:
    """The graph behind the look-ups of the inputs `names`, and these by their inputs, where nothing else reads those.

    Every other node stays as it is, so that its results do.
    """
    # Late, as it is not needed for a few rows.
    import onnx

    model = onnx.load_from_string(graph)
    inputs = {given.name: given for given in model.graph.input if given.name in names}
    readers = {name: [node for node in model.graph.node if name in node.input] for name in inputs}
    found = {}
    for name, nodes in readers.items():
        if len(nodes) == 1 and _is_lookup(nodes[0]):
            found[name] = _lookup(nodes[0])
            model.graph.node.remove(nodes[0])
            rows = inputs[name].type.tensor_type.shape.dim[0].dim_param
            given = onnx.helper.make_tensor_value_info(found[name].feeds, onnx.TensorProto.INT64, [rows])
            inputs[name].CopyFrom(given)
    return model.SerializeToString(), found


def _is_lookup(node: "NodeProto") -> bool:
    names = {attribute.name for attribute in node.attribute}
    return node.op_type == "LabelEncoder" and {"keys_strings", "values_int64s"} <= names


def _lookup(node: "NodeProto") -> Lookup:
    given = {attribute.name: attribute for attribute in node.attribute}
    values = tuple(value.decode() for value in given["keys_strings"].strings)
    other = given["default_int64"].i if "default_int64" in given else -1
    return Lookup(node.output[0], values, tuple(given["values_int64s"].ints), other)

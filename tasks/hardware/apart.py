"""Pools of float32 numbers in front of 8-bit layers, kept from becoming pools of 8-bit numbers."""

from collections.abc import Collection

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from tasks.hardware.layers import Layers


def held_apart(layers: Layers, chosen: Collection[str]) -> Layers:
    """The same layers with nothing added between a pool and one of the `chosen` behind it.

    ONNX Runtime moves the rounding to 8 bits to the front of a pool, where it can; behind a layer in float32 its kernel
    for 8-bit numbers is twenty times as slow as that for float32, and more than all other nodes together. It does not
    move it over a sum, and a sum with zeros changes no number.
    """
    model = ModelProto()
    model.CopyFrom(layers.model)
    pools = {node.output[0]: node.name for node in model.graph.node if node.op_type == "MaxPool"}
    carried = set(layers.carrying(chosen))
    for node in [each for each in model.graph.node if each.name in chosen and each.op_type == "Conv"]:
        pooled = node.input[0]
        if pooled in pools and pools[pooled] not in carried:
            channels, *kernel = layers.constants[node.input[1]].dims[1:]
            zeros = np.zeros((channels, *(1 for _ in kernel)), dtype=np.float32)
            model.graph.initializer.append(numpy_helper.from_array(zeros, f"{node.name}/zeros"))
            held = helper.make_node("Add", [pooled, f"{node.name}/zeros"], [f"{node.name}/held"], f"{node.name}/hold")
            node.input[0] = held.output[0]
            model.graph.node.insert(list(model.graph.node).index(node), held)
    return Layers(model)

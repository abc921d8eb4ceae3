"""The category look-up in ONNX operators."""

from onnx import NodeProto, helper

MISSING = 0
UNSEEN = 1


def lookup_nodes(source: str, target: str, vocabulary: tuple[str, ...]) -> list[NodeProto]:
    """Nodes that turn strings [N] into codes [N] int64: 0 for "", 1 for the unseen, i + 2 for vocabulary[i]."""
    return [
        helper.make_node(
            "LabelEncoder",
            [source],
            [target],
            domain="ai.onnx.ml",
            keys_strings=["", *vocabulary],
            values_int64s=[MISSING, *range(2, len(vocabulary) + 2)],
            default_int64=UNSEEN,
        )
    ]

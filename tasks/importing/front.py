"""What stands before a graph that was made elsewhere: raw columns become what its inputs take."""

from collections.abc import Iterator, Mapping

import numpy as np
from onnx import TensorProto, helper

from models.columns import KINDS, ColumnSettings
from models.columns.audio.settings import END
from tasks.importing.feeding import Feed
from tasks.importing.nodes import Nodes

FLOAT, DOUBLE = TensorProto.FLOAT, TensorProto.DOUBLE
SHORT = (FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16)
"""What is computed in float32; whole numbers and dates have more digits."""
PER_SECOND = {"days": 1 / 86_400, "s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
"""Of the units in which dates may count."""
GREY = (0.299, 0.587, 0.114)
"""Shares of red, green and blue in grey (ITU-R BT.601), as Pillow has them."""
BGR = (2, 1, 0)


def feed_input(nodes: Nodes, feed: Feed, names: Mapping[str, str]) -> str:
    """The name of what the input takes; `names` are those of the raw columns in the graph."""
    if feed.how.constant is not None:
        return _constant(nodes, feed, next(iter(names.values())))
    if "image" in feed.kinds:
        found = _pictures(nodes, feed, names)
    elif feed.kinds & {"series", "audio"}:
        found = _sequences(nodes, feed, names)
    else:
        found = _joined(nodes, feed, names)
    return found


def _constant(nodes: Nodes, feed: Feed, column: str) -> str:
    """The same value for all rows, of which there are as many as the raw column has."""
    dtype = object if feed.texts else helper.tensor_dtype_to_np_dtype(feed.port.type)
    sizes = feed.port.shape or ()
    value = nodes.constant(np.full(tuple(size or 1 for size in sizes), feed.how.constant, dtype=dtype))
    if not sizes or sizes[0] is not None:
        return value
    first = nodes.constant(np.zeros(1, dtype=np.int64))
    rows = nodes.add("Gather", nodes.add("Shape", column), first, axis=0)
    rest = [nodes.constant(np.array(sizes[1:], dtype=np.int64))] if sizes[1:] else []
    return nodes.add("Expand", value, nodes.add("Concat", rows, *rest, axis=0))


def _joined(nodes: Nodes, feed: Feed, names: Mapping[str, str]) -> str:
    """Single values side by side, [N, F]; [N] where the input wants that."""
    work = DOUBLE if "datetime" in feed.kinds or feed.port.type not in SHORT else FLOAT
    parts = [
        _text(nodes, feed, names[name]) if feed.texts else _number(nodes, feed, name, settings, names[name], work)
        for name, settings in feed.columns.items()
    ]
    if feed.shape == ():
        (found,) = parts
        scaled = found if feed.texts else _scaled(nodes, feed, found, work, ())
        return scaled if feed.texts else _as_taken(nodes, feed, scaled, work)
    columns = [nodes.reshape(part, -1, 1) for part in parts]
    found = columns[0] if len(columns) == 1 else nodes.add("Concat", *columns, axis=1)
    if not feed.texts:
        found = _as_taken(nodes, feed, _scaled(nodes, feed, found, work, (-1,)), work)
    return found if len(feed.shape) == 1 else nodes.reshape(found, -1, *feed.shape)


def _text(nodes: Nodes, feed: Feed, source: str) -> str:
    """Strings, with something else in place of the empty one where that is asked for."""
    if feed.how.missing is None:
        # A node of its own, so that the graph's look-ups stay where they are.
        return nodes.add("Identity", source)
    place = nodes.cast(nodes.look_up(source, [""], -1), FLOAT)
    known = nodes.add("Less", place, nodes.constant(np.zeros(1, np.float32)))
    return nodes.add("Where", known, source, nodes.constant(np.array([feed.how.missing], dtype=object)))


def _number(nodes: Nodes, feed: Feed, name: str, settings: ColumnSettings, source: str, work: int) -> str:
    """Numbers [N] of the type in which is computed; NaN, or what is said instead, where missing."""
    kind = np.dtype(np.float64 if work == DOUBLE else np.float32)
    missing = np.nan if feed.how.missing is None else float(feed.how.missing)
    if name in feed.how.codes:
        codes = nodes.cast(nodes.look_up(source, list(feed.how.codes[name]), -1), work)
        known = nodes.add("Less", codes, nodes.constant(np.zeros(1, kind)))
        return nodes.add("Where", known, nodes.constant(np.array([missing], kind)), codes)
    given = helper.np_dtype_to_tensor_dtype(np.dtype(KINDS[settings.kind].input_type))
    found = source if given == work else nodes.cast(source, work)
    if settings.kind == "datetime" and feed.how.unit != "s":
        found = nodes.add("Mul", found, nodes.constant(np.array([PER_SECOND[feed.how.unit]], kind)))
    return found if np.isnan(missing) else _replaced(nodes, found, missing, kind)


def _replaced(nodes: Nodes, source: str, missing: float, kind: np.dtype[np.generic]) -> str:
    return nodes.add("Where", nodes.add("IsNaN", source), nodes.constant(np.array([missing], kind)), source)


def _scaled(nodes: Nodes, feed: Feed, source: str, work: int, shape: tuple[int, ...]) -> str:
    """(value / divide - mean) / std; `shape` is that of the means within a row."""
    kind = np.dtype(np.float64 if work == DOUBLE else np.float32)
    steps = (("Div", (feed.how.divide,), 1.0), ("Sub", feed.how.mean, 0.0), ("Div", feed.how.std, 1.0))
    for operator, values, nothing in steps:
        if any(value != nothing for value in values):
            each = np.array(values, kind).reshape(shape if len(values) > 1 else (1,) * len(shape))
            source = nodes.add(operator, source, nodes.constant(each))
    return source


def _as_taken(nodes: Nodes, feed: Feed, source: str, work: int) -> str:
    return source if feed.port.type == work else nodes.cast(source, feed.port.type)


def _pictures(nodes: Nodes, feed: Feed, names: Mapping[str, str]) -> str:
    """Pixels [N, H, W, 3] as the graph takes them."""
    (name,) = feed.columns
    source, how = names[name], feed.how
    if how.channels == "bgr":
        source = nodes.add("Gather", source, nodes.constant(np.array(BGR, dtype=np.int64)), axis=3)
    source = nodes.cast(source, FLOAT)
    if how.channels == "grey":
        source = nodes.add("MatMul", source, nodes.constant(np.array(GREY, dtype=np.float32)[:, None]))
    source = _scaled(nodes, feed, source, FLOAT, (1, 1, 1, -1))
    if how.layout == "nchw":
        source = nodes.add("Transpose", source, perm=[0, 3, 1, 2])
    return _as_taken(nodes, feed, source, FLOAT)


def _sequences(nodes: Nodes, feed: Feed, names: Mapping[str, str]) -> str:
    """Series or sound, [N, T], [N, T, C] or [N, C, T]."""
    flat, by_time = len(feed.shape) == 1, feed.how.layout == "ntc"
    parts = list(_values(nodes, feed, names))
    if flat:
        return _as_taken(nodes, feed, _scaled(nodes, feed, parts[0], FLOAT, (1, -1)), FLOAT)
    length = feed.shape[0] if by_time else feed.shape[1]
    sizes = (length, 1) if by_time else (1, length)
    columns = [nodes.reshape(part, -1, *sizes) for part in parts]
    found = columns[0] if len(columns) == 1 else nodes.add("Concat", *columns, axis=2 if by_time else 1)
    shape = (1, 1, -1) if by_time else (1, -1, 1)
    return _as_taken(nodes, feed, _scaled(nodes, feed, found, FLOAT, shape), FLOAT)


def _values(nodes: Nodes, feed: Feed, names: Mapping[str, str]) -> Iterator[str]:
    """Each column as float [N, T]; nothing, which is silence, behind the end of a recording."""
    kind = np.dtype(np.float32)
    for name, settings in feed.columns.items():
        source = names[name]
        if settings.kind == "audio":
            sound = nodes.cast(source, FLOAT)
            ended = nodes.add("Less", sound, nodes.constant(np.array([END + 0.5], kind)))
            yield nodes.add("Where", ended, nodes.constant(np.zeros(1, kind)), sound)
        elif feed.how.missing is None:
            yield source
        else:
            yield _replaced(nodes, source, float(feed.how.missing), kind)

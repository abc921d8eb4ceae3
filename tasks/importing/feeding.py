"""Which columns feed which input of a graph: as the model file says, and where only one way is possible, without it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from onnx import TensorProto

from models.columns import KINDS, ColumnSettings
from models.graphsection import LAYERED, TEXTS, Graph, GraphInput
from models.problems import near_match
from tasks.importing.ports import Port

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
WHOLE = (
    TensorProto.INT64, TensorProto.INT32, TensorProto.INT16, TensorProto.INT8, TensorProto.UINT64, TensorProto.UINT32,
    TensorProto.UINT16, TensorProto.UINT8, TensorProto.BOOL,
)  # fmt: skip
COLOURS = 3


@dataclass(frozen=True)
class Feed:
    """One input with all that is known of what it takes."""

    port: Port
    how: GraphInput
    """With layout and channels settled."""
    columns: Mapping[str, ColumnSettings]
    """In their order; none for a constant."""
    shape: tuple[int, ...]
    """Of one row, as the input takes it."""

    @property
    def kinds(self) -> set[str]:
        """The kinds of its columns."""
        return {settings.kind for settings in self.columns.values()}

    @property
    def texts(self) -> bool:
        """Whether it takes strings."""
        return self.port.type == TensorProto.STRING


@dataclass(frozen=True)
class Feeding:
    """All inputs, or what is wrong with what is said of them."""

    feeds: tuple[Feed, ...]
    problems: tuple[str, ...]

    @property
    def columns(self) -> dict[str, ColumnSettings]:
        """The columns that the graph takes."""
        return {name: settings for feed in self.feeds for name, settings in feed.columns.items()}


def plan_feeding(
    ports: Sequence[Port], columns: Mapping[str, ColumnSettings], graph: Graph, missing: Mapping[str, str]
) -> Feeding:
    """What each input takes.

    An input that nothing is said of takes the column of its name; where one alone is left, it takes the columns left.
    `missing` says what stands for the missing texts of a column, where `graph` does not.
    """
    names = [port.name for port in ports]
    problems = [
        f"graph.inputs.{name!r}: the graph has no such input{near_match(name, names)}"
        for name in graph.inputs
        if name not in names
    ]
    said = {port.name: graph.inputs[port.name] for port in ports if port.name in graph.inputs}
    for port in ports:
        named = _named_like(port.name, columns)
        if port.name not in said and named:
            said[port.name] = GraphInput(columns=(named,))
    rest = [name for name in columns if name not in {*graph.unused, *(n for how in said.values() for n in how.columns)}]
    silent = [port for port in ports if port.name not in said]
    if len(silent) == 1 and rest:
        said[silent[0].name], rest, silent = GraphInput(columns=tuple(rest)), [], []
    feeds = []
    for port in (port for port in ports if port.name in said):
        feed, found = _feed(port, _with_default(said[port.name], port, graph, missing), columns)
        feeds.append(feed)
        problems += [f"graph.inputs.{port.name!r}{problem}" for problem in found]
    problems += [f"graph.inputs.{port.name!r}: nothing feeds this input, {port}; {_advice(port)}" for port in silent]
    if not silent:
        problems += [f"columns.{n!r}: no input takes it; name it in graph.inputs, or in graph.unused" for n in rest]
    return Feeding(tuple(feeds), tuple(problems))


def _advice(port: Port) -> str:
    return "give a constant" if port.shape == () else "name its columns"


def _named_like(name: str, columns: Mapping[str, ColumnSettings]) -> str | None:
    """The column of that name, or the only one that is called so once what is no letter or digit is an underscore."""
    if name in columns:
        return name
    alike = [column for column in columns if re.sub(r"\W", "_", column) == re.sub(r"\W", "_", name)]
    return alike[0] if len(alike) == 1 else None


def _with_default(how: GraphInput, port: Port, graph: Graph, missing: Mapping[str, str]) -> GraphInput:
    if how.missing is not None or how.constant is not None:
        return how
    default: float | str | None = None
    if port.type in (*FLOATS, *WHOLE):
        default = graph.missing
    elif len(how.columns) == 1:
        default = missing.get(how.columns[0])
    return how.model_copy(update={"missing": default})


def _feed(port: Port, how: GraphInput, columns: Mapping[str, ColumnSettings]) -> tuple[Feed, list[str]]:
    own = {name: columns[name] for name in how.columns if name in columns}
    feed = Feed(port, how, own, ())
    if len(own) < len(how.columns):
        return feed, []
    if how.constant is not None:
        return feed, list(_constant_problems(port, how))
    problems = list(_type_problems(feed))
    if port.shape == ():
        problems.append(": takes a single value for all rows, so no column; give a constant")
    if problems:
        return feed, problems
    if feed.kinds & set(LAYERED):
        return _arranged(feed)
    problems = [*_width_problems(feed, len(own)), *_scale_problems(how, len(own))]
    return Feed(port, how, own, _row_shape(port, len(own))), problems


def _constant_problems(port: Port, how: GraphInput) -> Iterator[str]:
    text = isinstance(how.constant, str)
    if not port.type or text != (port.type == TensorProto.STRING):
        yield f".constant: the input takes {port}"
    elif port.shape is None or None in port.shape[1:]:
        yield f".constant: the sizes of the input are open ({port})"


def _type_problems(feed: Feed) -> Iterator[str]:
    """Whether values of the columns can become what the input takes."""
    port, how = feed.port, feed.how
    if not feed.texts and port.type not in (*FLOATS, *WHOLE):
        yield f": takes {port}, which no column can be"
        return
    for name, settings in feed.columns.items():
        written = settings.kind in TEXTS
        if written and name not in how.codes and not feed.texts:
            yield (
                f": takes numbers ({port}), and {name!r} is a {settings.kind}; give its values in the order of their "
                f"codes, as codes = {{ {name!r} = [...] }}"
            )
        elif feed.texts and (not written or name in how.codes):
            yield f": takes texts ({port}), and {name!r} is no text; map it as a category"
    layered = feed.kinds & set(LAYERED)
    if layered and port.type in WHOLE and port.type != TensorProto.UINT8:
        yield f": takes {port}, and pictures, sound and series are given as float or uint8"
    elif port.type in WHOLE and not layered and how.missing is None:
        yield f": takes whole numbers ({port}), which can't be missing; say what stands for that, as missing = 0"


def _width_problems(feed: Feed, width: int) -> Iterator[str]:
    """Whether there are as many columns as the input has places."""
    shape = feed.port.shape
    if shape is None:
        return
    if sum(size is None for size in shape[1:]) > 1:
        yield f": takes {feed.port}, and columns of single values tell not how they lie in it"
        return
    places = prod(size for size in shape[1:] if size is not None)
    if places != width and (None not in shape[1:] or width % places):
        yield f": takes {places} values a row ({feed.port}), and there {'is' if width == 1 else 'are'} {width}"


def _row_shape(port: Port, width: int) -> tuple[int, ...]:
    """Sizes of one row; one that is open takes what the others leave."""
    if port.shape is None:
        return (width,)
    left = width // max(1, prod(size for size in port.shape[1:] if size is not None))
    return tuple(left if size is None else size for size in port.shape[1:])


def _scale_problems(how: GraphInput, parts: int) -> Iterator[str]:
    for key, given in (("mean", how.mean), ("std", how.std)):
        if len(given) not in (0, 1, parts):
            yield f".{key}: has {len(given)} numbers; give one, or {parts}"


def _arranged(feed: Feed) -> tuple[Feed, list[str]]:
    return _pictures(feed) if "image" in feed.kinds else _sequences(feed)


def _pictures(feed: Feed) -> tuple[Feed, list[str]]:
    """The feed of pictures with layout and channels, by what the input's sizes leave open."""
    port, how, settings = feed.port, feed.how, next(iter(feed.columns.values()))
    height, width, _ = KINDS["image"].shape(settings)
    if port.shape is not None and len(port.shape) != 4:
        return feed, [f": takes {port}, and pictures have 4 axes: [N, 3, H, W] or [N, H, W, 3]"]
    shape: tuple[int | None, ...] = port.shape or (None,) * 4
    layout = how.layout or _layout_of(shape)
    if layout is None:
        return feed, [f'.layout: {port} tells not where the colours are; say "nchw" or "nhwc"']
    depth = shape[1] if layout == "nchw" else shape[3]
    channels = how.channels or ("grey" if depth == 1 else "rgb")
    parts = 1 if channels == "grey" else COLOURS
    wanted = (parts, height, width) if layout == "nchw" else (height, width, parts)
    problems = list(_scale_problems(how, parts))
    if depth not in (None, parts):
        problems.append(f".channels: the graph takes {depth} of them ({port}), and {channels} has {parts}")
    taken = shape[2:] if layout == "nchw" else shape[1:3]
    if any(size not in (None, given) for size, given in zip(taken, (height, width), strict=True)):
        size = f"[{taken[0] or height}, {taken[1] or width}]"
        name = next(iter(feed.columns))
        problems.append(f": takes {port}, and {name!r} is {height} x {width}; set columns.{name!r}.size = {size}")
    settled = how.model_copy(update={"layout": layout, "channels": channels})
    return Feed(port, settled, feed.columns, wanted), problems


def _layout_of(shape: Sequence[int | None]) -> Any:
    first, last = shape[1] in (1, COLOURS), shape[3] in (1, COLOURS)
    if first == last:
        return None
    return "nchw" if first else "nhwc"


def _sequences(feed: Feed) -> tuple[Feed, list[str]]:
    """The feed of series or sound: one row of values each, side by side."""
    port, how, parts = feed.port, feed.how, len(feed.columns)
    (length,) = {KINDS[settings.kind].shape(settings)[0] for settings in feed.columns.values()}
    shape = port.shape
    problems = list(_scale_problems(how, parts))
    flat = parts == 1 and how.layout is None and (shape is None or len(shape) == 2)
    if flat:
        wanted: tuple[int, ...] = (length,)
    else:
        if shape is not None and len(shape) != 3:
            return feed, [f": takes {port}, and {parts} series have 3 axes: [N, {length}, {parts}] or the other way"]
        layout = how.layout or _order_of(shape, length, parts)
        if layout is None:
            return feed, [f'.layout: {port} tells not which axis is time; say "ntc" or "nct"']
        how = how.model_copy(update={"layout": layout})
        wanted = (length, parts) if layout == "ntc" else (parts, length)
    if shape and any(size not in (None, given) for size, given in zip(shape[1:], wanted, strict=True)):
        problems.append(f": takes {port}, and what is given is [N, {', '.join(map(str, wanted))}]")
    return Feed(port, how, feed.columns, wanted), problems


def _order_of(shape: Sequence[int | None] | None, length: int, parts: int) -> Any:
    if shape is None or length == parts:
        return None
    first, last = shape[1], shape[2]
    ntc, nct = first in (None, length) and last in (None, parts), first in (None, parts) and last in (None, length)
    return None if ntc == nct else "ntc" if ntc else "nct"

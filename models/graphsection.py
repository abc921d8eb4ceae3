"""The [graph] section: how a graph that was made elsewhere is fed with columns, and what its outputs mean."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from models.columns import KINDS
from models.columns.cells import canonical_word
from models.consistency import section_of
from models.problems import near_match
from models.sections import LONGEST_PATH, Section

TEXTS = ("category", "text")
"""Kinds whose values reach the graph as strings."""
LAYERED = ("image", "series", "audio")
"""Kinds whose values are arrays, and may be laid out in more than one way."""
ANSWERS = ("probabilities", "logits", "value")
"""Outputs of which a graph has one."""
KEPT_OF_TRAINING = ("weight", "seed")
"""Settings of [training] that say how a graph is judged rather than trained."""
Layout = Literal["nhwc", "nchw", "ntc", "nct"]


class GraphInput(Section):
    """What one input of the graph takes: columns in their order, or a constant."""

    columns: tuple[str, ...] = Field((), description="one column, or several that are joined in this order")
    constant: bool | int | float | str | None = Field(None, description="instead of columns: the same for all rows")
    missing: float | str | None = Field(
        None, description="stands for a missing value; not a number, or an empty text, if not given"
    )
    codes: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="of a category that the graph takes as a number: its values from code 0 on"
    )
    unit: Literal["days", "s", "ms", "us", "ns"] = Field("s", description="in which dates count from 1970 on")
    layout: Layout | None = Field(None, description="order of the axes of pictures, and of series")
    channels: Literal["rgb", "bgr", "grey"] | None = Field(None, description="of pictures; rgb if not given")
    divide: float = Field(1.0, gt=0, description="the graph takes (value / divide - mean) / std")
    mean: tuple[float, ...] = Field((), description="one number, or one for each channel or column")
    std: tuple[float, ...] = Field((), description="the same")

    @model_validator(mode="before")
    @classmethod
    def _columns_alone(cls, given: Any) -> Any:
        return {"columns": given} if isinstance(given, str | list | tuple) else given

    @field_validator("columns", mode="before")
    @classmethod
    def _one_or_more(cls, columns: Any) -> Any:
        return (columns,) if isinstance(columns, str) else columns

    @field_validator("mean", "std", mode="before")
    @classmethod
    def _one_or_each(cls, given: Any) -> Any:
        return (given,) if isinstance(given, int | float) else given

    @field_validator("codes", mode="before")
    @classmethod
    def _as_texts(cls, codes: Any) -> Any:
        if not isinstance(codes, Mapping):
            return codes
        return {name: _texts(values) for name, values in codes.items()}

    @field_validator("std")
    @classmethod
    def _positive(cls, std: tuple[float, ...]) -> tuple[float, ...]:
        if any(value <= 0 for value in std):
            raise ValueError("each must be above 0")
        return std

    @model_validator(mode="after")
    def _fed(self) -> "GraphInput":
        if bool(self.columns) == (self.constant is not None):
            raise ValueError("give columns, or a constant")
        return self


class Graph(Section):
    """A graph that was made elsewhere. What can be told from the graph itself need not be said."""

    framework: str | None = Field(None, max_length=200, description="where it was trained; what wrote it if not given")
    inputs: dict[str, GraphInput] = Field(default_factory=dict, description="what each input of the graph takes")
    missing: float | None = Field(None, description="stands for missing numbers, where an input says nothing of it")
    label: str | None = Field(None, description="output with the class; needed only where there are no probabilities")
    probabilities: str | None = Field(None, description="output with a probability for each class, or for the second")
    logits: str | None = Field(None, description="output before softmax or sigmoid")
    value: str | None = Field(None, description="output of a regression")
    classes: tuple[str, ...] = Field((), description="in the order of the graph's probabilities")
    unused: tuple[str, ...] = Field(
        (), description="columns that the graph does not take, kept to compare it with a version that takes them"
    )
    unseen: bool = Field(False, description="the graph was trained on none of the rows of the sources")
    recorded: str | None = Field(
        None, max_length=LONGEST_PATH, description="file of rows with what the original framework answers for them"
    )
    tolerance: float = Field(1e-4, gt=0, description="how far answers may be from those recorded")

    @field_validator("classes", mode="before")
    @classmethod
    def _as_texts(cls, classes: Any) -> Any:
        return _texts(classes)

    @model_validator(mode="after")
    def _one_answer(self) -> "Graph":
        said = [name for name in ANSWERS if getattr(self, name) is not None]
        if len(said) > 1:
            raise ValueError(f"{' and '.join(said)} exclude each other; keep one")
        if self.value is not None and (self.label is not None or self.classes):
            raise ValueError("a value has neither label nor classes; remove one or the other")
        if len(set(self.classes)) < len(self.classes) or len(self.classes) == 1:
            raise ValueError("classes: give each class once, at least two")
        return self


def _texts(given: Any) -> Any:
    """Each value as a category or a class is read: whole numbers, true and false as text too."""
    if not isinstance(given, list | tuple):
        return given
    return tuple(canonical_word(value) if isinstance(value, bool | int | float | str) else value for value in given)


def graph_problems(raw: dict[str, Any]) -> Iterator[str]:
    """A line for each thing about [graph] that does not fit the rest of the model file.

    What is malformed itself is passed over, for its own checks to say so.
    """
    if "graph" not in raw:
        return
    graph, columns = section_of(raw, "graph"), section_of(raw, "columns")
    kinds = {name: kind for name, given in columns.items() if (kind := _kind(given))}
    named: set[str] = set()
    for name, given in section_of(graph, "inputs").items():
        table = given if isinstance(given, Mapping) else {"columns": given}
        named.update(_listed(table.get("columns")))
        yield from (f"graph.inputs.{name!r}{problem}" for problem in _input_problems(table, columns, kinds))
    for name in _listed(graph.get("unused")):
        if name not in columns:
            yield f"graph.unused: [columns] has no {name!r}{near_match(name, list(columns))}"
        elif name in named:
            yield f"graph.unused: {name!r} feeds an input; remove it from one of the two"
    if graph.get("unseen") is not True and not _says_what_was_learnt(raw):
        yield (
            "graph: nothing says which rows the model was trained on, so none could be called unseen; give "
            '[[sources]] split = "train" and "test", or split.column, or graph.unseen = true where it saw none of them'
        )
    yield from _trained_elsewhere(raw, columns)


def _kind(given: Any) -> str | None:
    kind = given.get("kind") if isinstance(given, Mapping) else given
    return kind if isinstance(kind, str) and kind in KINDS else None


def _listed(given: Any) -> list[str]:
    found = given if isinstance(given, list) else [given]
    return [name for name in found if isinstance(name, str)]


def _input_problems(table: Mapping[str, Any], columns: Mapping[str, Any], kinds: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with one input, without its name."""
    names = _listed(table.get("columns"))
    for name in (name for name in names if name not in columns):
        yield f": [columns] has no {name!r}{near_match(name, list(columns))}"
    if len(set(names)) < len(names):
        yield ": names a column twice"
    codes = table.get("codes")
    codes = codes if isinstance(codes, Mapping) else {}
    for name in codes:
        if name not in names:
            yield f".codes: {name!r} is none of its columns{near_match(name, names)}"
        elif kinds.get(name, "category") != "category":
            yield f".codes: {name!r} is a {kinds[name]}; only a category has codes"
    found = [kinds[name] for name in names if name in kinds]
    text = [name for name in names if kinds.get(name) in TEXTS and name not in codes]
    if text and len(text) < len([name for name in names if name in kinds]):
        yield f": joins texts ({text[0]!r}) and numbers; give a category codes, or an input of its own"
    layered = {kind for kind in found if kind in LAYERED}
    if layered and (len(set(found)) > 1 or (layered != {"series"} and len(found) > 1)):
        yield f": a column of {'pictures' if 'image' in layered else 'arrays'} has an input of its own"
    for key, of in (("layout", LAYERED), ("channels", ("image",))):
        if table.get(key) is not None and found and not set(found) & set(of):
            yield f".{key}: none of its columns is {'a picture' if key == 'channels' else 'a picture or a series'}"
    yield from _layout_problems(table, layered)
    yield from _missing_problems(table, bool(text))


def _layout_problems(table: Mapping[str, Any], layered: set[str]) -> Iterator[str]:
    layout = table.get("layout")
    known = ("nhwc", "nchw") if "image" in layered else ("ntc", "nct")
    if layered and layout in ("nhwc", "nchw", "ntc", "nct") and layout not in known:
        yield f".layout: {' or '.join(known)} here"


def _missing_problems(table: Mapping[str, Any], texts: bool) -> Iterator[str]:
    missing = table.get("missing")
    if missing is None or "constant" in table:
        return
    if texts and not isinstance(missing, str):
        yield f".missing: its columns are texts, and {missing!r} is none"
    if not texts and isinstance(missing, str):
        yield f".missing: its columns are numbers, and {missing!r} is none"


def _says_what_was_learnt(raw: Mapping[str, Any]) -> bool:
    """Whether the sources or a column name the split of every row."""
    split, sources = raw.get("split"), raw.get("sources")
    if isinstance(split, Mapping) and split.get("column"):
        return True
    listed = sources if isinstance(sources, list) else []
    return bool(listed) and all(isinstance(source, Mapping) and source.get("split") for source in listed)


def _trained_elsewhere(raw: dict[str, Any], columns: Mapping[str, Any]) -> Iterator[str]:
    """Settings of a training that would do nothing."""
    why = "a model with [graph] is trained elsewhere; remove"
    if "network" in raw:
        yield f"network: {why} the section"
    for key in section_of(raw, "training"):
        if key not in KEPT_OF_TRAINING:
            yield f"training.{key}: {why} it"
    for key in ("retrain", "min_new_rows"):
        if key in section_of(raw, "schedule"):
            yield f"schedule.{key}: {why} it"
    for name, given in columns.items():
        if isinstance(given, Mapping) and given.get("encoder"):
            yield f"columns.{name!r}.encoder: {why} it"

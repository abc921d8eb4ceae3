"""Classes of a target: their types, and the index of each row's class."""

import re

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.errors import InputError

Class = str | int | bool
Classes = tuple[Class, ...]
WHOLE = re.compile(r"0|-?[1-9]\d{0,17}")


def typed(names: list[str]) -> Classes:
    """Whole numbers as int, true and false in any case as bool, anything else as text; one type for all."""
    if all(WHOLE.fullmatch(name) for name in names):
        return tuple(int(name) for name in names)
    if sorted(name.lower() for name in names) == ["false", "true"]:
        return tuple(name.lower() == "true" for name in names)
    return tuple(names)


def class_codes(values: pa.Array, classes: Classes) -> NDArray[np.int64]:
    """Index of each value's class, [N]. Raises InputError that names a class which is not among them."""
    codes = find_classes(values, classes)
    if len(codes) and codes.min() < 0:
        unknown = values[int(codes.argmin())].as_py()
        raise InputError(f"target: the class {unknown!r} was not there in training; known are {_some(classes)}")
    return codes


def find_classes(values: pa.Array, classes: Classes) -> NDArray[np.int64]:
    """Index of each value's class, [N], -1 where it is not among them."""
    encoded = values if pa.types.is_dictionary(values.type) else values.cast(pa.string()).dictionary_encode()
    position: dict[Class | None, int] = {name: index for index, name in enumerate(classes)}
    of_distinct = [position.get(_like(text, classes[0]), -1) for text in encoded.dictionary.to_pylist()]
    return np.asarray(np.array(of_distinct, dtype=np.int64)[encoded.indices.to_numpy(zero_copy_only=False)])


def _like(text: str, example: Class) -> Class | None:
    if isinstance(example, bool):
        return {"true": True, "false": False}.get(text.lower())
    if isinstance(example, int):
        return int(text) if WHOLE.fullmatch(text) else None
    return text


def _some(classes: Classes) -> str:
    shown = ", ".join(repr(name) for name in classes[:5])
    return shown if len(classes) <= 5 else f"{shown} and {len(classes) - 5} more"

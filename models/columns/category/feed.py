"""Categories from raw cells to the graph: every type becomes a string, looked at once per distinct value."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from models.columns.category.statistics import CategoryStatistics, fit_category
from models.columns.cells import as_array, canonical, is_numeric, is_text, mask_missing, valid, whole
from models.columns.kind import ColumnKind, ColumnSettings, Parsed, Refusal

if TYPE_CHECKING:
    from onnx import NodeProto


LARGEST_WHOLE = 1e16
"""From here on floats print with an exponent, and can't tell neighbouring whole numbers apart."""


class CategorySettings(ColumnSettings):
    """How many distinct values a category keeps; the rest share the code of the unseen."""

    kind: Literal["category"] = "category"
    max_values: int = Field(1000, ge=1, description="most frequent values that get a code of their own")
    min_count: int = Field(2, ge=1, description="rows in which a value must occur to get a code of its own")
    max_characters: int = Field(1000, ge=1, description="longer values are rejects")


class CategoryKind(ColumnKind[CategorySettings, CategoryStatistics]):
    """Strings, numbers and booleans, compared as trimmed text that is the same whatever type the file stored."""

    name = "category"
    input_type: ClassVar[Any] = np.object_
    encoded_type: ClassVar[Any] = np.int64
    encoder_module = "models.columns.category.encoder"
    settings = CategorySettings
    statistics = CategoryStatistics

    def arrow_type(self, settings: CategorySettings) -> pa.DataType:
        """Dictionary-encoded strings."""
        return pa.dictionary(pa.int32(), pa.string())

    def reads(self, raw: pa.DataType, settings: CategorySettings) -> bool:
        """Every type but nested and binary ones."""
        return not (pa.types.is_nested(raw) or pa.types.is_binary(raw) or pa.types.is_large_binary(raw))

    def parse(self, raw: pa.Array, settings: CategorySettings, missing: tuple[str, ...]) -> Parsed:
        """Dictionary-encoded strings; refused are nested or binary values and over-long text."""
        encoded = _dictionary(as_array(raw))
        text = _to_text(encoded.dictionary)
        if text is None:
            nothing = pa.nulls(len(raw), self.arrow_type(settings))
            return Parsed(nothing, (Refusal("wrong type", valid(encoded)),))
        named = mask_missing(canonical(text), (*missing, *_as_read(missing)))
        long = pc.fill_null(pc.greater(pc.utf8_length(named), settings.max_characters), False)
        if not pc.any(long).as_py():
            return Parsed(_merge(encoded.indices, named))
        too_long = np.asarray(pc.fill_null(pc.take(long, encoded.indices), False).to_numpy(zero_copy_only=False))
        named = pc.if_else(long, pa.scalar(None, pa.string()), named)
        refusals = (Refusal("too long", too_long),) if too_long.any() else ()
        return Parsed(_merge(encoded.indices, named), refusals)

    def fit(self, chunks: Iterable[pa.Array], settings: CategorySettings) -> CategoryStatistics:
        """The vocabulary of the training values, most frequent first."""
        return fit_category(whole(chunks, self.arrow_type(settings)), settings.max_values, settings.min_count)

    def to_input(self, values: pa.Array, settings: CategorySettings) -> NDArray[Any]:
        """Strings [N], "" where missing; equal values share one Python string."""
        encoded = _dictionary(as_array(values))
        names = np.empty(len(encoded.dictionary) + 1, dtype=object)
        names[:-1] = encoded.dictionary.to_pylist()
        names[-1] = ""
        return np.asarray(names[_codes(encoded, missing=len(names) - 1)])

    def encode(self, values: pa.Array, settings: CategorySettings, statistics: CategoryStatistics) -> NDArray[Any]:
        """Codes [N] int64: 0 missing, 1 unseen, then the vocabulary in order."""
        encoded = _dictionary(as_array(values))
        known = pa.array(statistics.vocabulary, pa.string())
        found = pc.fill_null(pc.index_in(encoded.dictionary, value_set=known), -1)
        codes = np.append(found.to_numpy(zero_copy_only=False).astype(np.int64) + 2, 0)
        return np.asarray(codes[_codes(encoded, missing=len(codes) - 1)])

    def graph_nodes(
        self, source: str, target: str, settings: CategorySettings, statistics: CategoryStatistics
    ) -> "list[NodeProto]":
        """The look-up of the vocabulary."""
        from models.columns.category.graph import lookup_nodes

        return lookup_nodes(source, target, statistics.vocabulary)

    def watched(self, values: pa.Array, settings: CategorySettings) -> Mapping[str, pa.Array]:
        """The values."""
        return {"value": _dictionary(as_array(values))}


def _dictionary(raw: pa.Array) -> pa.DictionaryArray:
    nested = pa.types.is_nested(raw.type)
    if pa.types.is_dictionary(raw.type):
        return raw
    if nested or pa.types.is_binary(raw.type) or pa.types.is_large_binary(raw.type):
        indices = pc.if_else(raw.is_valid(), pa.scalar(0, pa.int32()), pa.scalar(None, pa.int32()))
        return pa.DictionaryArray.from_arrays(indices, pa.array([b""], pa.binary()))
    return (raw.cast(pa.float32()) if pa.types.is_float16(raw.type) else raw).dictionary_encode()


def _to_text(values: pa.Array) -> pa.Array | None:
    """Distinct values as strings; a float that is whole reads as the whole number, so that 1 and 1.0 are one value."""
    if is_text(values.type) or pa.types.is_null(values.type):
        return values.cast(pa.string())
    if pa.types.is_floating(values.type):
        return _float_text(values.to_numpy(zero_copy_only=False))
    if is_numeric(values.type) or pa.types.is_boolean(values.type) or pa.types.is_temporal(values.type):
        return values.cast(pa.string())
    return None


def _float_text(numbers: NDArray[np.floating[Any]]) -> pa.Array:
    """The shortest digits that read back as the same float of its width, without ".0"; null for NaN."""
    whole = (np.abs(numbers) < LARGEST_WHOLE) & (numbers == np.floor(numbers))
    texts = np.full(len(numbers), None, dtype=object)
    texts[whole] = numbers[whole].astype(np.int64).astype(str)
    rest = ~whole & ~np.isnan(numbers)
    texts[rest] = numbers[rest].astype(str)
    return pa.array(texts, pa.string())


@cache
def _as_read(marks: tuple[str, ...]) -> tuple[str, ...]:
    """Marks of a missing value as `canonical` writes them."""
    return tuple(canonical(pa.array(marks, pa.string())).to_pylist())


def _merge(indices: pa.Array, names: pa.Array) -> pa.DictionaryArray:
    """Indices into the distinct names, null where the name is."""
    distinct = names.dictionary_encode()
    if len(distinct.dictionary) == len(names):
        # Most dictionaries hold each name once.
        return pa.DictionaryArray.from_arrays(indices.cast(pa.int32()), names)
    return pa.DictionaryArray.from_arrays(pc.take(distinct.indices, indices), distinct.dictionary)


def _codes(encoded: pa.DictionaryArray, missing: int) -> NDArray[np.int64]:
    return np.asarray(pc.fill_null(encoded.indices.cast(pa.int64()), missing).to_numpy(zero_copy_only=False))

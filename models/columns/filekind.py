"""What all kinds share whose values are the contents of files, decoded to arrays of one shape on all cores."""

from abc import abstractmethod
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from models.columns.cells import as_array, as_fixed, fixed_values, is_text, plain, valid
from models.columns.kind import ColumnKind, FileSettings, Parsed, Refusal, Statistics, is_gathered, refusals_of
from models.cores import usable_cores

SettingsT = TypeVar("SettingsT", bound=FileSettings)
StatisticsT = TypeVar("StatisticsT", bound=Statistics)


class FileKind(ColumnKind[SettingsT, StatisticsT]):
    """Contents of files, structs of them as fetching makes of paths, or values that were decoded before."""

    joined = False
    batch_size = 64
    blank: ClassVar[int]
    """What the graph input of a missing value consists of."""

    @abstractmethod
    def decode(self, content: bytes, settings: SettingsT) -> NDArray[Any] | str:
        """The value, of the kind's type and shape, or the reason why the content is none. Called by many threads."""

    def arrow_type(self, settings: SettingsT) -> pa.DataType:
        """The bytes of a value, in the order of its shape."""
        return pa.binary(int(np.prod(self.shape(settings))) * np.dtype(self.input_type).itemsize)

    def reads(self, raw: pa.DataType, settings: SettingsT) -> bool:
        """Texts that say where a file is, contents, and decoded values."""
        known = is_text(raw) or pa.types.is_null(raw) or _is_binary(raw) or is_gathered(raw)
        return known or raw == self.arrow_type(settings)

    def parse(self, raw: pa.Array, settings: SettingsT, missing: tuple[str, ...]) -> Parsed:
        """Decoded values; refused are files that could not be fetched or decoded, for the reason that is known."""
        raw, wanted = plain(as_array(raw)), self.arrow_type(settings)
        if raw.type == wanted:
            return Parsed(raw)
        if is_gathered(raw.type):
            return self._decoded(pc.struct_field(raw, "content"), pc.struct_field(raw, "failure"), settings)
        if _is_binary(raw.type):
            return self._decoded(raw, pa.nulls(len(raw), pa.string()), settings)
        given = valid(raw)
        return Parsed(pa.nulls(len(raw), wanted), (Refusal("wrong type", given),) if given.any() else ())

    def _decoded(self, contents: pa.Array, failures: pa.Array, settings: SettingsT) -> Parsed:
        """Each content decoded, in as many threads as there are cores; their number changes nothing."""
        values = np.full((len(contents), *self.shape(settings)), self.blank, dtype=self.input_type)
        reasons = np.array(failures.to_pylist(), dtype=object)
        known = valid(contents)

        def decode(row: int) -> None:
            found = self.decode(contents[row].as_py(), settings)
            if isinstance(found, str):
                reasons[row], known[row] = found, False
            else:
                values[row], reasons[row] = found, None

        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(decode, np.flatnonzero(known).tolist()))
        return Parsed(as_fixed(values, known), refusals_of(reasons))

    def to_input(self, values: pa.Array, settings: SettingsT) -> NDArray[Any]:
        """The values [N, *shape], `blank` where missing; a read-only view where none is."""
        return fixed_values(as_array(values), self.input_type, self.shape(settings), self.blank)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))

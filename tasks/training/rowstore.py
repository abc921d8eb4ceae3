"""Where encoded rows lie while a network learns from them: in memory, or in files that are mapped into it."""

import errno
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.columns.kind import Ragged
from models.errors import OutsideError


@dataclass(frozen=True)
class RaggedTensor:
    """Rows of different lengths; row i is `values[starts[i] : starts[i] + lengths[i]]`."""

    values: Tensor
    """[sum of lengths], positive integers."""
    starts: Tensor
    """[N] int64."""
    lengths: Tensor
    """[N] int64."""

    @classmethod
    def of(cls, values: Tensor, lengths: Tensor) -> "RaggedTensor":
        """Rows of these lengths that lie one behind the other."""
        return cls(values, lengths.cumsum(0) - lengths, lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def nbytes(self) -> int:
        """Size of all tensors."""
        return self.values.nbytes + self.starts.nbytes + self.lengths.nbytes

    @property
    def longest(self) -> int:
        """Values of the longest row."""
        return int(self.lengths.max()) if len(self) else 0

    def padded(self) -> Tensor:
        """All rows [N, longest, at least 2], with zeros behind their ends."""
        # A length of 1 would be taken for a constant by the exporter.
        places = torch.arange(max(self.longest, 2), device=self.values.device)
        inside = places < self.lengths.unsqueeze(1)
        index = torch.where(inside, self.starts.unsqueeze(1) + places, 0)
        values = self.values if len(self.values) else self.values.new_zeros(1)
        return torch.where(inside, values[index], 0)

    def take(self, index: Tensor) -> "RaggedTensor":
        """The rows at `index`, int64 [M]; their values are not copied."""
        return RaggedTensor(self.values, self.starts[index], self.lengths[index])

    def slice(self, start: int, end: int) -> "RaggedTensor":
        """The rows from `start` to before `end`; their values are not copied."""
        return RaggedTensor(self.values, self.starts[start:end], self.lengths[start:end])

    def to(self, device: torch.device) -> "RaggedTensor":
        """The same rows on a device."""
        return RaggedTensor(self.values.to(device), self.starts.to(device), self.lengths.to(device))


class MappedFile:
    """A file of its own size in memory, whose pages can be given back."""

    def __init__(self, path: Path, size: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb+") as file:
            _reserve(file.fileno(), max(size, 1), path)
            self.pages = mmap.mmap(file.fileno(), max(size, 1))

    def array(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """The file's bytes as an array."""
        count = int(np.prod(shape))
        return np.frombuffer(self.pages, dtype, count).reshape(shape)

    def release(self) -> None:
        """Pages leave this process's memory; they are read again from the file when they are needed."""
        self.pages.madvise(mmap.MADV_DONTNEED)


def _reserve(handle: int, size: int, path: Path) -> None:
    """Space for the whole file: a page that finds no room later would kill the process."""
    try:
        os.posix_fallocate(handle, 0, size)
    except OSError as error:
        reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise OutsideError(f"{path}: training data of {size / 1e9:.1f} GB can't be put there: {reason}") from None


class RaggedRows:
    """Collects ragged rows."""

    def __init__(self) -> None:
        self._values: list[NDArray[Any]] = []
        self._lengths: list[NDArray[np.int64]] = []

    def append(self, rows: Ragged) -> None:
        """Puts rows behind the others."""
        self._values.append(rows.values.astype(np.int32))
        self._lengths.append(rows.lengths)

    def finish(self) -> RaggedTensor:
        """All rows."""
        values = np.concatenate([np.empty(0, np.int32), *self._values])
        lengths = np.concatenate([np.empty(0, np.int64), *self._lengths])
        return RaggedTensor.of(torch.from_numpy(values), torch.from_numpy(lengths))

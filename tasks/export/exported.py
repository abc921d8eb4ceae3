"""What an export came to; torch-free, so that whoever registers or promotes need not load torch."""

from dataclasses import dataclass
from pathlib import Path

TOLERANCE = 1e-5
"""How far torch and ONNX Runtime may be apart in a probability, or in a value relative to the spread of the values."""


@dataclass(frozen=True)
class Digests:
    """What a graph was made from, by SHA-256."""

    snapshot: str
    model_file: str
    code: str


@dataclass(frozen=True)
class Parity:
    """How far torch and ONNX Runtime are apart on the same rows."""

    rows: int
    difference: float
    """Largest difference of a probability, or of a value relative to the spread of the values."""
    labels_differ: int
    """Rows with another label although the margin is wider than the tolerance."""


@dataclass(frozen=True)
class Packaged:
    """A folder with graph and contract, from which a version can be made."""

    folder: Path
    sha256: str
    size: int
    """Bytes of the graph."""


@dataclass(frozen=True)
class Exported(Packaged):
    """The folder of a network that was trained here, and what was found about it."""

    parity: Parity

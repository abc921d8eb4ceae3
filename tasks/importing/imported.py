"""What an import came to, for whoever records and tells it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.export.exported import Packaged
from tasks.importing.recorded import Recorded


@dataclass(frozen=True)
class Facts:
    """What a graph that was made elsewhere consists of."""

    file: str
    """Name of the file that was given."""
    file_sha256: str
    framework: str
    opsets: Mapping[str, int]
    operators: Mapping[str, int]
    """How often each occurs."""
    parameters: int
    """Numbers in its weights."""
    notes: tuple[str, ...]
    """What was changed in it, in words."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON values."""
        return {**vars(self), "opsets": dict(self.opsets), "operators": dict(self.operators), "notes": [*self.notes]}

    def parameters_of_run(self) -> dict[str, Any]:
        """As parameters of a run, short enough for MLflow."""
        opsets = ", ".join(f"{domain} {version}" for domain, version in self.opsets.items())
        operators = ", ".join(f"{name} {count}" for name, count in self.operators.items())
        return {"framework": self.framework, "opsets": opsets, "operators": operators, "original": self.file}


@dataclass(frozen=True)
class Imported(Packaged):
    """The folder of a wrapped graph, and what was found about it."""

    rows: int
    """Test rows that it has answered."""
    recorded: Recorded | None
    """None where the model file records no answers of the original framework."""
    facts: Facts

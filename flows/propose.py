"""A first model file, written by looking at the data."""

import re
import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.errors import InputError, OutsideError
from tasks.data.inspect import propose


@dataclass(frozen=True)
class Written:
    """What was written, and what was found on the way."""

    file: Path
    task: str
    columns: dict[str, str]
    """The kind of each column that is used."""
    left_out: dict[str, str]
    """Why each other column is not."""
    split: dict[str, Any]
    findings: tuple[str, ...]

    def lines(self) -> list[str]:
        """For people."""
        file = shlex.quote(str(self.file))
        next_steps = f"next: perennial check {file}   then: perennial train {file}"
        return [*self.findings, f"wrote {self.file}", next_steps]


def write_proposal(file: Path, data: Sequence[str], target: str) -> Written:
    """The commented model file for the data, written to `file`.

    Raises InputError when there is such a file, or nothing can be learnt from the data; OutsideError when it can't be
    written.
    """
    if file.exists():
        raise InputError(f"{file}: exists already; choose another name or delete it")
    proposal = propose(data, target, model_name(file), file.parent.absolute())
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(proposal.text, encoding="utf-8")
    except OSError as error:
        raise OutsideError(f"{file}: can't be written: {error.strerror}") from error
    said = tomllib.loads(proposal.text)
    columns = {name: kind if isinstance(kind, str) else kind["kind"] for name, kind in said["columns"].items()}
    left_out = dict(proposal.left_out)
    return Written(file, said["target"]["kind"], columns, left_out, said["split"], proposal.findings)


def model_name(file: Path) -> str:
    """The file's name in letters, digits, `_` and `-`, which every store accepts in a model's name."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", file.stem).strip("-_") or "model"

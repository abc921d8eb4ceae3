"""What `perennial check` says about model files and their data."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from models.errors import InputError
from models.modelfile import name_conflicts
from tasks.data.inspect import Examination, examine

LONGEST_EXAMPLE = 200
"""Characters of a rejected row that are shown."""


def check_files(paths: Sequence[Path]) -> dict[Path, Examination]:
    """What was found for each model file. Raises InputError when two share a name."""
    conflicts = name_conflicts(paths)
    if conflicts:
        raise InputError(*conflicts)
    return {path: examine(path) for path in paths}


def describe(path: Path, found: Examination) -> Iterator[str]:
    """Lines for people: problems first, then what a training would start from."""
    yield f"{path}: {'ok' if found.passed else 'NOT OK'}"
    yield from (f"  problem: {_without(problem, path)}" for problem in found.problems)
    yield from (f"  warning: {warning}" for warning in found.warnings)
    if found.read:
        yield f"  {found.read:,} rows read, {found.rows:,} usable, {found.rejected:,} would be rejected"
        yield from (f"    {count:,} {reason}" for reason, count in found.reasons.items())
        yield from (f"    such as {_example(example)}" for example in found.examples)
    if found.splits:
        yield "  split: " + ", ".join(f"{count:,} {name}" for name, count in found.splits.items())
    if found.classes:
        yield "  classes: " + ", ".join(f"{name} {count:,}" for name, count in list(found.classes.items())[:10])
    if found.unused:
        yield f"  not used: {', '.join(found.unused)}"


def _example(example: dict[str, Any]) -> str:
    values = str(example["values"])
    shown = values if len(values) <= LONGEST_EXAMPLE else values[:LONGEST_EXAMPLE] + "..."
    where = f"{example['source']} row {example['row']}"
    return f"{where}: {example['column'] or example['reason']}: {shown}"


def _without(problem: str, path: Path) -> str:
    return problem.removeprefix(f"{path}: ")

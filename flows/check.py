"""What `perennial check` says about model files and their data."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from models.modelfile import name_conflicts
from tasks.data.inspect import Examination, examine
from tasks.data.rejects import SEPARATOR

LONGEST_EXAMPLE = 200
"""Characters of a rejected row that are shown."""


def check_files(paths: Sequence[Path]) -> dict[Path, Examination]:
    """What was found for each model file; that an earlier one has its name is one of the problems."""
    conflicts = name_conflicts(paths)
    return {path: _with_problem(examine(path), conflicts.get(path)) for path in paths}


def _with_problem(found: Examination, problem: str | None) -> Examination:
    return found if problem is None else replace(found, problems=(problem, *found.problems))


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
    """Where the row is, and its offending values, or its text where it could not be taken apart."""
    values = json.loads(example["values"])
    shown = {name: values[name] for name in example["column"].split(SEPARATOR) if name in values} or values
    text = json.dumps(shown, ensure_ascii=False)
    text = text if len(text) <= LONGEST_EXAMPLE else text[:LONGEST_EXAMPLE] + "..."
    return f"{example['source']} row {example['row']}: {example['reason']}: {text}"


def _without(problem: str, path: Path) -> str:
    return problem.removeprefix(f"{path}: ")

"""What the target column asks for, and whether there is something to learn."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.actions import action_problems
from models.behaviour import of_problems
from models.classes import typed
from models.columns import KINDS
from models.columns.category.feed import CategorySettings
from models.columns.cells import as_array, is_numeric, is_text, plain
from models.columns.number.feed import NumberSettings
from models.modelfile import FEWEST_CLASSES, UNDER, ModelFile
from models.problems import near_match
from models.sections import Task

MOST_CLASSES = 20
"""Whole numbers with more distinct values are quantities, not classes."""
FEW_TEXTS = 0.05
"""Texts, as a share of the distinct numbers beside them, up to which the numbers are what the column is about."""


def decide_task(columns: Iterable[pa.ChunkedArray], missing: Sequence[str]) -> Task:
    """The task that the raw target cells ask for, given in pieces.

    Booleans and texts are classes. Of numbers, two distinct values are binary, up to twenty whole values multiclass,
    everything else a regression. A few texts among many numbers are cells that can't be read, not classes.
    """
    marks = tuple(missing)
    values: set[float] = set()
    texts: set[str] = set()
    for column in columns:
        numbers, words = _apart(pc.unique(plain(as_array(column))), marks)
        values |= numbers
        texts |= words
        if not texts and _is_quantity(values):
            return "regression"
    if len(values) > MOST_CLASSES and len(texts) <= FEW_TEXTS * len(values):
        return "regression"
    texts.update(f"{value:.0f}" if value % 1 == 0 else repr(value) for value in (values if texts else ()))
    return "binary" if max(len(texts), len(values)) <= 2 else "multiclass"


def _is_quantity(values: set[float]) -> bool:
    return len(values) > MOST_CLASSES or (len(values) > 2 and any(value % 1 for value in values))


def _apart(distinct: pa.Array, missing: tuple[str, ...]) -> tuple[set[float], set[str]]:
    """The values that read as numbers, and the others as texts; without those that are missing."""
    others, known = distinct, np.empty(0)
    if is_text(distinct.type) or is_numeric(distinct.type) or pa.types.is_null(distinct.type):
        parsed = KINDS["number"].parse(distinct, NumberSettings(), missing)
        wrong = [refusal.rows for refusal in parsed.refusals if refusal.reason == "wrong type"]
        known = parsed.values.drop_null().to_numpy(zero_copy_only=False)
        others = distinct.filter(pa.array(wrong[0] if wrong else np.zeros(len(distinct), dtype=bool)))
    named = KINDS["category"].parse(others, CategorySettings(), missing).values
    return set(np.unique(known).tolist()), set(named.dictionary.drop_null().to_pylist())


def class_problems(model_file: ModelFile, task: Task, classes: Mapping[str, int]) -> Iterator[str]:
    """What keeps the classes from being learnt: one class only, too many for a binary model, no positive one.

    A gate that asks for a metric of more classes than there are could never pass, and is told as well; so is an action
    on a class that does not exist, and a behaviour test of one.

    `classes` maps each class to its rows; of a regression, the values that occur.
    """
    where, given = f"target {model_file.target.column!r}", model_file.target.positive
    if len(classes) < 2:
        what = "value" if task == "regression" else "class"
        yield f"{where}: one {what} only ({next(iter(classes), 'none')}) in all rows; a model needs at least two"
    if task == "binary" and len(classes) > 2:
        shown = ", ".join(sorted(classes)[:5])
        yield f'{where}: kind is binary but there are {len(classes)} classes ({shown}, ...); use kind = "multiclass"'
    if task == "binary" and given is not None and given not in classes:
        yield f"target.positive: no row of {where} is {given!r}{near_match(given, classes)}"
    for gate in model_file.gates:
        fewest = FEWEST_CLASSES.get(gate.partition(UNDER)[0], 0)
        if len(classes) < fewest:
            yield f"gates.{gate}: says nothing of {len(classes)} classes; it takes {fewest} or more, so remove it"
    if task == "multiclass":
        yield from of_problems(model_file.behaviour, classes)
    if task == "regression" or len(classes) > 1:
        yield from action_problems(model_file.actions, () if task == "regression" else typed(list(classes)))

"""What is shown by running a graph on rows of the data before a version is made of it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from models.columns import KINDS, ColumnSettings
from models.columns.cells import as_array
from models.errors import InputError
from tasks.importing.answers import Answer
from tasks.importing.confined import Progress
from tasks.importing.feeding import Feed
from tasks.importing.graphs import nodes_of, tensors_of
from tasks.importing.operators import operators_of
from tasks.importing.ports import inputs_of, outputs_of
from tasks.importing.session import Arrays, Running, failing_plainly
from tasks.importing.wrapping import Fronted
from tasks.scoring.predictor import Predictions, Predictor

FEW = 32
"""Rows that a graph is tried on."""
ALONE = 8
"""Of them, those that are given to it one by one as well."""
CLOSE = 1e-4
"""How far two answers for one row may be apart, as a share where they are above 1: kernels round as batches are cut."""
HALVES = {TensorProto.FLOAT16: 1e-2, TensorProto.BFLOAT16: 8e-2}
"""The same for graphs that compute in half precision, which ONNX Runtime widens here and there: twenty roundings."""
SUMS = 1e-3
"""How far the probabilities of a row may be from 1 in all."""
RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
BY_BATCH = "DynamicQuantizeLinear"
"""Finds its scale in the rows that are scored together."""
MOVED = 0.01
"""How far it may so move a probability, or a value as a share of their spread: as far as `measure` lets it."""


def feed_of(rows: pa.Table, columns: Mapping[str, ColumnSettings]) -> dict[str, NDArray[Any]]:
    """Graph inputs [N, ...] of parsed rows."""
    return {name: KINDS[s.kind].to_input(as_array(rows.column(name)), s) for name, s in columns.items()}


def try_graph(
    fronted: Fronted, original: ModelProto, fixed: int | None, answer: Answer, feeds: Sequence[Feed], feed: Arrays,
    where: str,
) -> NDArray[Any]:  # fmt: skip
    """What the graph answers for the rows of `feed`, after three things were shown.

    Each row is answered alike alone and among others, see `moved_by_others` for graphs that scale as they run; the
    graph behind its front answers as `original`, which takes `fixed` rows at once where that is given; and a missing
    value of each column gets an answer. Raises InputError.
    """
    running = Running(fronted.model.SerializeToString(), where)
    together = running.run(feed)[fronted.source]
    rows = len(next(iter(feed.values())))
    if together.ndim == 0 or len(together) != rows:
        shown = list(together.shape)
        raise InputError(f"{where}: {answer.output!r} is {shown} for {rows} rows; its first axis has to be the rows")
    names, close = operators_of(original), _close(original)
    if BY_BATCH not in names:
        some = min(ALONE, rows)
        alone = [running.run(_part(feed, row, row + 1))[fronted.source] for row in range(some)]
        _require_alike(np.concatenate(alone), together[:some], close, _because(names, fixed), where)
    theirs = _original_answers(fronted, original, fixed, answer, feed, where)
    what = (
        f"the graph answers {fixed} rows at once otherwise than more of them" if fixed else "wrapping changes answers"
    )
    _require_alike(theirs, together, close, what, where)
    problems = list(_unanswered(running, fronted.source, feeds, _part(feed, 0, ALONE)))
    if problems:
        raise InputError(*(f"{where}: {problem}" for problem in problems))
    return together


def _close(original: ModelProto) -> float:
    """How far two answers of the graph for one row may be apart."""
    types = {tensor.data_type for tensor in tensors_of(original)}
    types |= {port.type for port in (*inputs_of(original), *outputs_of(original))}
    casts = (node for node in nodes_of(original) if node.op_type == "Cast")
    types |= {attribute.i for node in casts for attribute in node.attribute if attribute.name == "to"}
    return max((close for kind, close in HALVES.items() if kind in types), default=CLOSE)


def width_of(values: NDArray[Any]) -> int:
    """Numbers of one row."""
    return prod(values.shape[1:])


def _part(feed: Arrays, start: int, stop: int) -> dict[str, NDArray[Any]]:
    return {name: values[start:stop] for name, values in feed.items()}


def _because(names: Mapping[str, int], fixed: int | None) -> str:
    """What is wrong where a row is answered otherwise among others."""
    drawn = sorted(RANDOM & set(names))
    if drawn:
        return f"the graph draws at random ({', '.join(drawn)}); export it for inference"
    if fixed:
        advice = "export it with a dynamic batch (torch.onnx.export dynamic_shapes, tf2onnx input_signature with None)"
        return f"the graph is made for batches of {fixed}, and mixes rows where it is given others; {advice}"
    return "the answer for a row depends on the rows beside it, so that it can't be scored in batches"


def _require_alike(found: NDArray[Any], wanted: NDArray[Any], close: float, what: str, where: str) -> None:
    if found.shape != wanted.shape:
        raise InputError(f"{where}: {what} ({list(found.shape)} instead of {list(wanted.shape)})")
    if wanted.dtype.kind not in "fc":
        apart = float((found != wanted).any())
    else:
        apart = float(np.max(differences(found, wanted), initial=0.0))
    if apart > close:
        raise InputError(f"{where}: {what} (they differ by {apart:.2g})")


def differences(found: NDArray[Any], wanted: NDArray[Any]) -> NDArray[np.float64]:
    """Differences, as shares of values above 1; none where both are no number, infinite where one is."""
    ours, theirs = found.astype(np.float64), wanted.astype(np.float64)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    with np.errstate(invalid="ignore"):
        apart = np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs))
    return np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))


def _original_answers(
    fronted: Fronted, original: ModelProto, fixed: int | None, answer: Answer, feed: Arrays, where: str
) -> NDArray[Any]:
    """What the graph as it was answers, fed by the front alone."""
    given = Running(fronted.front.SerializeToString(), where).run(feed)
    fed = {name: given[source] for name, source in fronted.fed.items()}
    asked = ModelProto()
    asked.CopyFrom(original)
    del asked.graph.output[:]
    asked.graph.output.add().name = answer.tensor
    running = Running(asked.SerializeToString(), where)
    taken = {port.name for port in asked.graph.input}
    fed = {name: values for name, values in fed.items() if name in taken}
    if not fixed:
        return running.run(fed)[answer.tensor]
    rows = len(next(iter(feed.values())))
    batches = (np.resize(np.arange(start, min(start + fixed, rows)), fixed) for start in range(0, rows, fixed))
    parts = [running.run({n: v[each] if len(v) == rows else v for n, v in fed.items()}) for each in batches]
    return np.concatenate([part[answer.tensor] for part in parts])[:rows]


def _unanswered(running: Running, source: str, feeds: Sequence[Feed], feed: Arrays) -> Iterator[str]:
    """A line for each column without whose value the graph has no answer."""
    for each in feeds:
        for name, settings in each.columns.items():
            absent = pa.nulls(len(feed[name]), KINDS[settings.kind].arrow_type(settings))
            nothing = KINDS[settings.kind].to_input(absent, settings)
            try:
                found = running.run({**feed, name: nothing})[source]
                answered = found.dtype.kind not in "fc" or bool(np.isfinite(found).all())
            except InputError:
                answered = False
            if not answered:
                advice = 'missing = "..."' if each.texts else "missing = 0"
                yield (
                    f"graph.inputs.{each.port.name!r}.missing: the graph has no answer where {name!r} is missing; say "
                    f"what stands for it, as {advice}"
                )


def moved_by_others(predictor: Predictor, original: ModelProto, feed: Arrays, where: str) -> tuple[str, ...]:
    """A line on how far rows move the answers of others where the graph takes its scale from them; none elsewhere.

    Raises InputError where they do so by more than `MOVED`.
    """
    if BY_BATCH not in operators_of(original):
        return ()
    rows = len(next(iter(feed.values())))
    with failing_plainly(where):
        together = _numbers_of(predictor.run(dict(feed)))
        alone = np.concatenate([_numbers_of(predictor.run(_part(feed, row, row + 1))) for row in range(rows)])
    scale = 1.0 if together.ndim > 1 else float(np.std(together)) or 1.0
    moved = float(np.max(np.abs(alone - together), initial=0.0)) / scale
    if not moved <= MOVED:
        what = f"the answer for a row depends on the rows beside it, by up to {moved:.2g} (allowed {MOVED})"
        raise InputError(f"{where}: {what}, since it scales numbers as it runs ({BY_BATCH}); quantize it statically")
    return (f"scales numbers by the rows beside them ({BY_BATCH}): an answer is moved by up to {moved:.2g}",)


def _numbers_of(found: Predictions) -> NDArray[np.float64]:
    """[N, K] probabilities, or [N] values."""
    return np.asarray(found.values if found.probabilities is None else found.probabilities, dtype=np.float64)


def check_answers(
    predictor: Predictor, pieces: Iterable[pa.Table], answer: Answer, where: str, progress: Progress
) -> int:
    """The number of rows in all pieces, parsed columns, after each was answered by numbers that can be what is said.

    Raises InputError.
    """
    rows, columns = 0, {column.name: column.settings for column in predictor.contract.columns}
    for piece in (part for large in pieces for part in _parts(large, rows_at_once(predictor))):
        feed = feed_of(piece, columns)
        with failing_plainly(where):
            found = predictor.run(feed)
        rows += len(piece)
        progress()
        numbers = found.values if found.probabilities is None else found.probabilities
        if numbers is None or not np.isfinite(numbers).all():
            raise InputError(f"{where}: the graph answers no number for some rows of the data")
        if found.probabilities is not None:
            _check_probabilities(found.probabilities, answer, where)
    return rows


def rows_at_once(predictor: Predictor) -> int:
    """Rows after which a graph that is slow shows that it goes on."""
    return predictor.batch_rows * predictor.threads


def _parts(rows: pa.Table, at_once: int) -> Iterator[pa.Table]:
    return (rows.slice(start, at_once) for start in range(0, len(rows), at_once))


def _check_probabilities(found: NDArray[np.float32], answer: Answer, where: str) -> None:
    inside = found.min(initial=0) >= -SUMS and found.max(initial=0) <= 1 + SUMS
    if inside and np.abs(found.sum(axis=1) - 1).max(initial=0) <= SUMS:
        return
    what = f"{answer.output!r} holds no probabilities: they are not between 0 and 1, or not 1 in all"
    advice = (
        f"if they are logits, say graph.logits = {answer.output!r}, else name the output with the class as graph.label"
    )
    raise InputError(f"{where}: {what}; {advice}")


def check_logits(values: NDArray[Any], answer: Answer, where: str) -> None:
    """Raises InputError where what is called logits are probabilities already."""
    if answer.meaning != "logits" or len(values) < 2:
        return
    flat = values.reshape(len(values), -1).astype(np.float64)
    share = (flat.min() >= 0) and (flat.max() <= 1)
    if share and flat.shape[1] > 1 and np.abs(flat.sum(axis=1) - 1).max() <= SUMS:
        what = f"{answer.output!r} holds probabilities already"
        raise InputError(f"{where}: {what}; say graph.probabilities = {answer.output!r}")

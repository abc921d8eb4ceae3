"""From a graph that was made elsewhere to the folder that is judged and registered."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from onnx import ModelProto

from models.columns import KINDS, ColumnSettings, Statistics
from models.columns.cells import as_array, canonical_word
from models.contract import SplitSpec, output_names
from models.errors import InputError
from models.modelfile import ModelFile
from models.threshold import choose_threshold
from tasks.data.rows import assign_rows, chosen_rows, masked_batches
from tasks.data.snapshot import Snapshot
from tasks.data.splits import TEST, TRAIN, Assignment
from tasks.export.contracting import Decides, contract_of, write_graph
from tasks.export.exported import Digests
from tasks.importing.answers import Answer, find_answer
from tasks.importing.back import read_answer
from tasks.importing.confined import Progress
from tasks.importing.deciding import Decision, decide
from tasks.importing.feeding import FLOATS, Feed, Feeding
from tasks.importing.graphs import tensors_of
from tasks.importing.imported import Facts, Imported
from tasks.importing.operators import operators_of, opsets_of, shown
from tasks.importing.original import Original, digest_of, graph_section, plan_inputs
from tasks.importing.ports import fixed_batch, free_batch
from tasks.importing.proof import FEW, check_answers, check_logits, feed_of, moved_by_others, try_graph, width_of
from tasks.importing.recorded import compare_recorded
from tasks.importing.session import Arrays
from tasks.importing.wrapping import Fronted, with_back, with_front
from tasks.scoring.predictor import Predictor
from tasks.training.classes import order_classes

PIXELS = "{!r} is given pixels from 0 to 255; say divide = 255 where it learnt from 0 to 1"


def import_graph(
    progress: Progress, original: Original, model_file: ModelFile, snapshot: Snapshot, split: SplitSpec,
    digests: Digests, folder: Path,
) -> Imported:  # fmt: skip
    """Graph and contract in `folder`, after the graph was tried on rows of the data.

    Raises InputError where it can't be fed with them or read as the model file says, DiffersError where its answers
    are not those recorded, OutsideError when the disk refuses.
    """
    if digest_of(original.file, progress) != original.sha256:
        raise InputError(f"{original.file}: was changed while it was imported; start again")
    where, (model, notes) = str(original.file), original.read()
    feeding = plan_inputs(model, model_file, original.spec, original.missing)
    answer = _answer(model, model_file, original, snapshot)
    assigned = assign_rows(snapshot, split)
    tried = _tried(model, feeding, answer, snapshot, assigned == TEST, where)
    progress()
    check_logits(tried.values, answer, where)
    width = 1 if answer.meaning == "label" else width_of(tried.values)
    decision = _decision(answer, model_file, snapshot, assigned, width)
    names = output_names(feeding.columns, bool(decision.classes))
    source = tried.fronted.source
    wrapped = with_back(tried.fronted, lambda nodes: read_answer(nodes, answer, source, width, decision, names), where)
    graph = wrapped.SerializeToString(deterministic=True)
    sha256 = hashlib.sha256(graph).hexdigest()
    statistics = _statistics(snapshot, assigned, feeding.columns, progress)
    decides = Decides(decision.classes, decision.threshold)
    contract = contract_of(model_file, snapshot.task, split, digests, statistics, decides, sha256)
    write_graph(folder, graph, contract)
    predictor = Predictor.load(folder, sha256)
    test = masked_batches(snapshot, assigned == TEST, list(feeding.columns))
    rows = check_answers(predictor, test, answer, where, progress)
    moved = moved_by_others(predictor, model, tried.feed, where)
    section = graph_section(model_file)
    answers = section.recorded or (str(original.answers) if original.answers else None)
    asked = not section.recorded
    recorded = compare_recorded(predictor, answers, section.tolerance, progress, asked) if answers else None
    facts = facts_of(model, original, model_file, (*notes, *tried.notes, *moved))
    return Imported(folder, sha256, len(graph), rows, recorded, facts)


def _answer(model: ModelProto, model_file: ModelFile, original: Original, snapshot: Snapshot) -> Answer:
    found = find_answer(model, graph_section(model_file), snapshot.task)
    if found.problems or found.answer is None:
        raise InputError(*(f"{original.spec}: {problem}" for problem in found.problems))
    return found.answer


@dataclass(frozen=True)
class _Tried:
    """A graph that was shown to answer rows of the data."""

    fronted: Fronted
    values: NDArray[Any]
    """Its answers for some of them."""
    feed: Arrays
    """These rows."""
    notes: tuple[str, ...]
    """What was changed in it for that."""


def _tried(
    model: ModelProto, feeding: Feeding, answer: Answer, snapshot: Snapshot, test: NDArray[np.bool_], where: str
) -> _Tried:
    places = np.unique(np.linspace(0, int(test.sum()) - 1, FEW).astype(np.int64))
    feed = feed_of(chosen_rows(snapshot, test, places), feeding.columns)
    as_given = ModelProto()
    as_given.CopyFrom(model)
    ports = [feed.port for feed in feeding.feeds if feed.columns]
    fixed = fixed_batch(ports)
    if fixed:
        free_batch(model, [port.name for port in ports], fixed)
    fronted = with_front(model, feeding.feeds, answer, where)
    values = try_graph(fronted, as_given, fixed, answer, feeding.feeds, feed, where)
    pixels = tuple(PIXELS.format(feed.port.name) for feed in feeding.feeds if _whole_pixels(feed))
    freed = (f"made for batches of {fixed}, takes any number of rows now; each is answered as before",) if fixed else ()
    return _Tried(fronted, values, feed, (*freed, *pixels))


def _whole_pixels(feed: Feed) -> bool:
    """Whether it is given pixels as they are in files, although it would take fractions."""
    how = feed.how
    return "image" in feed.kinds and feed.port.type in FLOATS and how.divide == 1 and not (how.mean or how.std)


def _decision(answer: Answer, model_file: ModelFile, snapshot: Snapshot, assigned: Assignment, width: int) -> Decision:
    target, task = model_file.target, snapshot.task
    known = order_classes(target, snapshot.table([target.column]), assigned == TRAIN, task)
    names = [canonical_word(name) for name in known]
    return decide(answer, graph_section(model_file), task, names, width, choose_threshold(target.cost))


def _statistics(
    snapshot: Snapshot, assigned: Assignment, columns: dict[str, ColumnSettings], progress: Progress
) -> dict[str, Statistics]:
    """What the rows that the model was trained on look like."""

    def values(name: str) -> Iterator[pa.Array]:
        for rows in masked_batches(snapshot, assigned == TRAIN, [name]):
            progress()
            yield as_array(rows.column(name))

    return {name: KINDS[settings.kind].fit(values(name), settings) for name, settings in columns.items()}


def facts_of(model: ModelProto, original: Original, model_file: ModelFile, notes: tuple[str, ...]) -> Facts:
    """What the graph consists of, for the record."""
    made_by = f"{model.producer_name} {model.producer_version}".strip() or "unknown"
    return Facts(
        original.file.name,
        original.sha256,
        graph_section(model_file).framework or original.converter or made_by,
        {shown(domain): version for domain, version in opsets_of(model).items()},
        operators_of(model),
        sum(int(np.prod(tensor.dims)) for tensor in tensors_of(model)),
        notes,
    )

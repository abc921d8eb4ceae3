"""Fitted pipelines of scikit-learn: made to ONNX, and asked themselves, since their converter may err."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from models.classes import typed
from models.columns import ColumnSettings
from models.columns.cells import as_array, canonical_word, plain
from models.contract import free_name
from models.errors import InputError
from models.graphsection import TEXTS
from models.modelfile import ModelFile
from tasks.data.checks import check_batch
from tasks.data.sources import read_batches, resolve
from tasks.importing.encoders import MISSING, categories_of, first_of, is_missing, names_of, own_values

ROWS = 500
"""That a pipeline is asked about."""
NUMBERS = ("number", "boolean")


def columns_of(model_file: ModelFile) -> dict[str, ColumnSettings]:
    """The columns that the pipeline takes."""
    unused = model_file.graph.unused if model_file.graph else ()
    return {name: settings for name, settings in model_file.columns.items() if name not in unused}


def input_types(pipeline: Any, model_file: ModelFile) -> list[tuple[str, Any]]:
    """Inputs of the graph: one a column where the pipeline knows its columns by name, else one for all of them.

    Raises InputError for columns that the pipeline was fitted on and the model file does not have, or of another kind.
    """
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    columns, names = columns_of(model_file), names_of(pipeline)
    if names is not None:
        absent = [name for name in names if name not in columns]
        if absent:
            raise InputError(f"columns: the pipeline was fitted on {absent[0]!r}, which [columns] does not have")
        return [(name, _type_of(name, columns)) for name in names]
    text = all(settings.kind in TEXTS for settings in columns.values())
    width = len(columns)
    return [("input", StringTensorType([None, width]) if text else FloatTensorType([None, width]))]


def _type_of(name: str, columns: Mapping[str, ColumnSettings]) -> Any:
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    makes: Mapping[str, Callable[[list[int | None]], Any]] = {
        **dict.fromkeys(NUMBERS, FloatTensorType),
        **dict.fromkeys(TEXTS, StringTensorType),
    }
    kind = columns[name].kind
    if kind not in makes:
        raise InputError(f"columns.{name!r}: a {kind}, which skl2onnx has no type for; convert the pipeline yourself")
    return makes[kind]([None, 1])


def with_columns_joined(pipeline: Any) -> Any:
    """The pipeline itself where it takes its columns apart by name, else behind a step that joins them in its order.

    The converter has an input for each column, and most estimators take one of all.
    """
    names = names_of(pipeline)
    if names is None or len(names) == 1 or hasattr(first_of(pipeline), "transformers_"):
        return pipeline
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    blank = pd.DataFrame(np.zeros((1, len(names)), np.float32), columns=list(names))
    joined = ColumnTransformer([("joined", "passthrough", list(names))]).fit(blank)
    return Pipeline([("columns", joined), ("fitted", pipeline)])


def record_answers(pipeline: Any, model_file: ModelFile, path: Path) -> Path | None:
    """The file at `path` with rows of the model file's sources and what the pipeline answers for them.

    They are rows of the sources that are to be judged, where some are declared so; those with a missing value only if
    the pipeline takes it, or what the model file says for it. None where there is no such row.
    """
    columns = columns_of(model_file)
    raw, parsed = _rows(model_file, columns)
    try:
        found = _answers(pipeline, _asked(pipeline, parsed, model_file), model_file)
    except Exception:
        # What a pipeline raises for a missing value has no type of its own.
        complete = np.ones(len(raw), dtype=bool)
        for name in columns:
            complete &= parsed.column(name).is_valid().to_numpy(zero_copy_only=False)
        raw, parsed = raw.filter(pa.array(complete)), parsed.filter(pa.array(complete))
        if not len(raw):
            return None
        found = _answers(pipeline, _asked(pipeline, parsed, model_file), model_file)
    for name, values in found.items():
        raw = raw.append_column(free_name(name, set(columns)), pa.array(values))
    pq.write_table(raw, path)
    return path


def implied_missing(pipeline: Any, model_file: ModelFile) -> dict[str, str]:
    """What the converted graph has for a missing value of columns of texts, where the model file says nothing of it."""
    return {
        name: MISSING
        for name, values in categories_of(pipeline).items()
        if name in model_file.columns and model_file.columns[name].kind in TEXTS and any(map(is_missing, values))
    }


def _rows(model_file: ModelFile, columns: Mapping[str, ColumnSettings]) -> tuple[pa.Table, pa.Table]:
    """Some rows as they are, without those that would be rejects, and the same parsed."""
    judged = [source for source in model_file.sources if source.split == "test"] or model_file.sources
    batch = next(read_batches(resolve(judged[0].uri)[0], set(columns))).part(0, ROWS)
    checked = check_batch(batch, columns, model_file.data.missing)
    kept = np.isin(batch.rows, checked.rows)
    return batch.table.select(list(columns)).filter(pa.array(kept)), checked.table


def _asked(pipeline: Any, parsed: pa.Table, model_file: ModelFile) -> Any:
    """The rows in the form that the pipeline was fitted on; numbers with the digits that the graph will see."""
    import pandas as pd

    columns, learnt, values = columns_of(model_file), categories_of(pipeline), {}
    for name, settings in columns.items():
        array, missing = plain(as_array(parsed.column(name))), _stated_missing(name, settings, model_file)
        if settings.kind in TEXTS:
            own = own_values(learnt.get(name, ()))
            texts = pd.Series([own.get(text, text) for text in array.to_pylist()], dtype=object)
            values[name] = texts.where(array.is_valid().to_numpy(zero_copy_only=False), missing)
        else:
            numbers = np.asarray(array.cast(pa.float64())).astype(np.float32)
            values[name] = pd.Series(np.where(np.isnan(numbers), np.float32(missing), numbers))
    frame = pd.DataFrame(values)
    names = names_of(pipeline)
    if names is not None:
        return frame[names]
    alone = len(columns) == 1 and next(iter(columns.values())).kind in TEXTS
    return next(iter(values.values())).tolist() if alone else frame.to_numpy()


def _stated_missing(name: str, settings: ColumnSettings, model_file: ModelFile) -> Any:
    """What the model file says for a missing value of the column; not a number if nothing, as pandas has it."""
    graph = model_file.graph
    inputs = graph.inputs.values() if graph else ()
    stated = next((how.missing for how in inputs if name in how.columns and how.missing is not None), None)
    if stated is None and graph and settings.kind not in TEXTS:
        stated = graph.missing
    return np.nan if stated is None else stated


def _answers(pipeline: Any, rows: Any, model_file: ModelFile) -> dict[str, NDArray[Any] | list[str]]:
    """What the pipeline says, as predictions are named."""
    classes = getattr(pipeline, "classes_", None)
    if classes is None:
        return {"value": np.asarray(pipeline.predict(rows), dtype=np.float64).reshape(-1)}
    own = [canonical_word(name.item() if hasattr(name, "item") else name) for name in classes]
    named = list(model_file.graph.classes) if model_file.graph and model_file.graph.classes else own
    if hasattr(pipeline, "predict_proba"):
        found = np.asarray(pipeline.predict_proba(rows), dtype=np.float64)
        return {f"probability_{name}": found[:, place] for place, name in enumerate(typed(named))}
    place = {name: at for at, name in enumerate(own)}
    said = [canonical_word(label.item() if hasattr(label, "item") else label) for label in pipeline.predict(rows)]
    return {"label": [named[place[label]] for label in said]}

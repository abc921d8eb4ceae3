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

ROWS = 500
"""That a pipeline is asked about."""
NUMBERS = ("number", "boolean")


def columns_of(model_file: ModelFile) -> dict[str, ColumnSettings]:
    """The columns that the pipeline takes."""
    unused = model_file.graph.unused if model_file.graph else ()
    return {name: settings for name, settings in model_file.columns.items() if name not in unused}


def names_of(pipeline: Any) -> list[str] | None:
    """Names of the columns that the pipeline takes, without those that its first step drops; None where it has none."""
    names = getattr(pipeline, "feature_names_in_", None)
    if names is None:
        return None
    taken: set[str] = set()
    for _, made, columns in getattr(_first_of(pipeline), "transformers_", [("", "", list(names))]):
        listed = [columns] if isinstance(columns, str) else columns
        if isinstance(listed, slice) or not all(isinstance(column, str) for column in listed):
            return list(names)
        taken.update(listed if not isinstance(made, str) or made != "drop" else ())
    return [name for name in names if name in taken]


def _first_of(pipeline: Any) -> Any:
    return pipeline.steps[0][1] if hasattr(pipeline, "steps") else pipeline


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
    if names is None or len(names) == 1 or hasattr(_first_of(pipeline), "transformers_"):
        return pipeline
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline

    blank = pd.DataFrame(np.zeros((1, len(names)), np.float32), columns=list(names))
    joined = ColumnTransformer([("joined", "passthrough", list(names))]).fit(blank)
    return Pipeline([("columns", joined), ("fitted", pipeline)])


def record_answers(pipeline: Any, model_file: ModelFile, path: Path) -> Path | None:
    """The file at `path` with rows of the model file's sources and what the pipeline answers for them.

    They are rows of the sources that are to be judged, where some are declared so, without any missing value: what
    stands for one is the model file's choice. None where there is no such row.
    """
    columns = columns_of(model_file)
    raw, parsed = _rows(model_file, columns)
    complete = np.ones(len(raw), dtype=bool)
    for name in columns:
        complete &= parsed.column(name).is_valid().to_numpy(zero_copy_only=False)
    raw, parsed = raw.filter(pa.array(complete)), parsed.filter(pa.array(complete))
    if not len(raw):
        return None
    for name, values in _answers(pipeline, _asked(pipeline, parsed, columns), model_file).items():
        raw = raw.append_column(free_name(name, set(columns)), pa.array(values))
    pq.write_table(raw, path)
    return path


def _rows(model_file: ModelFile, columns: Mapping[str, ColumnSettings]) -> tuple[pa.Table, pa.Table]:
    """Some rows as they are, without those that would be rejects, and the same parsed."""
    judged = [source for source in model_file.sources if source.split == "test"] or model_file.sources
    batch = next(read_batches(resolve(judged[0].uri)[0], set(columns))).part(0, ROWS)
    checked = check_batch(batch, columns, model_file.data.missing)
    kept = np.isin(batch.rows, checked.rows)
    return batch.table.select(list(columns)).filter(pa.array(kept)), checked.table


def _asked(pipeline: Any, parsed: pa.Table, columns: Mapping[str, ColumnSettings]) -> Any:
    """The rows in the form that the pipeline was fitted on; numbers with the digits that the graph will see."""
    import pandas as pd

    values = {}
    for name, settings in columns.items():
        array = plain(as_array(parsed.column(name)))
        text = settings.kind in TEXTS
        values[name] = array.to_pylist() if text else np.asarray(array.cast(pa.float64())).astype(np.float32)
    frame = pd.DataFrame(values)
    names = names_of(pipeline)
    if names is not None:
        return frame[names]
    alone = len(columns) == 1 and next(iter(columns.values())).kind in TEXTS
    return next(iter(values.values())) if alone else frame.to_numpy()


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

"""A plain `mlflow.pyfunc.PythonModel` around the graph, called in a loop over chunks of pandas."""

import logging
import warnings
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import onnxruntime as ort
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK = 65_536


class GraphModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """Feeds the columns of a frame to the graph."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def load_context(self, context: Any) -> None:
        """Starts the session."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        self.session = ort.InferenceSession(context.artifacts["graph"], options, providers=["CPUExecutionProvider"])

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """A frame of labels and probabilities."""
        feed = {
            given.name: model_input[given.name].to_numpy(np.float32 if given.type == "tensor(float)" else object)
            for given in self.session.get_inputs()
        }
        index, probabilities = self.session.run(["class_index", "probabilities"], feed)
        columns = {f"probability_{i}": values for i, values in enumerate(probabilities.T)}
        return pd.DataFrame({"label": index, **columns}, index=model_input.index)


def load(graph: Path, threads: int, folder: Path) -> Any:
    """The model, saved to `folder` and loaded from there."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="mlflow")
    mlflow.pyfunc.save_model(
        folder, python_model=GraphModel(threads), artifacts={"graph": str(graph)}, pip_requirements=[]
    )
    return mlflow.pyfunc.load_model(str(folder))


def score(model: Any, data: Path, output: Path) -> None:
    """All rows of a Parquet file, with their predictions, in another."""
    writer = None
    with pq.ParquetFile(data) as opened:
        for batch in opened.iter_batches(CHUNK):
            frame = batch.to_pandas()
            scored = pa.Table.from_pandas(pd.concat([frame, model.predict(frame)], axis=1), preserve_index=False)
            writer = writer or pq.ParquetWriter(output, scored.schema)
            writer.write_table(scored)
    if writer:
        writer.close()

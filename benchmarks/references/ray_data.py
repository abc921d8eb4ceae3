"""Ray Data's `map_batches` with the same graph."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

CHUNK = 8192
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


class Scorer:
    """Holds a session in each of Ray's workers."""

    def __init__(self, graph: str) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch with its predictions."""
        feed = {
            given.name: batch[given.name].astype(np.float32 if given.type == "tensor(float)" else object)
            for given in self.session.get_inputs()
        }
        index, probabilities = self.session.run(["class_index", "probabilities"], feed)
        return {**batch, "label": index, **{f"probability_{i}": values for i, values in enumerate(probabilities.T)}}


@contextmanager
def started(threads: int) -> Iterator[None]:
    """Ray on this machine, with as many workers as there are threads; says nothing and reports nothing."""
    os.environ.update(QUIET)
    import ray

    ray.init(num_cpus=threads, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()


def score(graph: Path, data: Path, output: Path, threads: int) -> None:
    """All rows of a Parquet file, with their predictions, in a new folder of others."""
    import ray

    scored = ray.data.read_parquet(str(data)).map_batches(
        Scorer,
        fn_constructor_args=[str(graph)],
        batch_size=CHUNK,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=max(1, threads - 1)),
    )
    scored.write_parquet(str(output))

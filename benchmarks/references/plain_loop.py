"""A straightforward loop that reads, scores and writes, and feeds the strings to the graph."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK = 65_536


def score(session: ort.InferenceSession, data: Path, output: Path) -> None:
    """All rows of a Parquet file, with their predictions, in another."""
    writer = None
    with pq.ParquetFile(data) as opened:
        for batch in opened.iter_batches(CHUNK):
            feed = {
                given.name: batch.column(given.name)
                .to_numpy(zero_copy_only=False)
                .astype(np.float32 if given.type == "tensor(float)" else object)
                for given in session.get_inputs()
            }
            index, probabilities = session.run(["class_index", "probabilities"], feed)
            scored = pa.Table.from_batches([batch]).append_column("label", pa.array(index))
            for i, values in enumerate(probabilities.T):
                scored = scored.append_column(f"probability_{i}", pa.array(values))
            writer = writer or pq.ParquetWriter(output, scored.schema)
            writer.write_table(scored)
    if writer:
        writer.close()

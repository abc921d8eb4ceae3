"""Trains, exports and judges in a process of its own and tells the memory that took.

python -m benchmarks.measuring.memory FILE HOME
"""

import json
import sys
from pathlib import Path

from benchmarks.measuring.resident import peak_bytes
from models.modelfile import read_model_file
from tasks.data.rows import assign_rows, masked_batches
from tasks.data.snapshot import ingest, open_snapshot
from tasks.data.splits import TEST, fit_split
from tasks.evaluation.judgement import judge_graph
from tasks.export.export import export_model
from tasks.export.exported import Digests
from tasks.training.fit import fit_model
from tasks.training.job import plan_job


def main(path: Path, home: Path) -> None:
    """Prints the bytes that were resident at most from the start to the end of each step."""
    model_file = read_model_file(path)
    data = ingest(model_file, home)
    peaks = {"ingestion": peak_bytes()}
    job, snapshot = plan_job(model_file, data, home), open_snapshot(data.manifest)
    split = fit_split(model_file, snapshot)
    fitted = fit_model(model_file, snapshot, split, job.checkpoint, job.weights)
    peaks["training"] = peak_bytes()
    test = masked_batches(snapshot, assign_rows(snapshot, split) == TEST, list(model_file.columns))
    digests = Digests(data.digest, model_file.digest(), job.code)
    exported = export_model(job.weights, model_file, snapshot.task, split, digests, test, job.package)
    peaks["export"] = peak_bytes()
    judge_graph(job, data, split, fitted, exported)
    peaks["judgement"] = peak_bytes()
    print(json.dumps(peaks))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

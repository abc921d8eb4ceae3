"""Prefect tasks of this package. What exports loads torch: a run that finds nothing to do doesn't wait for it."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.contract import SplitSpec
from tasks.data.rows import assign_rows, masked_batches
from tasks.data.snapshot import open_snapshot
from tasks.data.splits import TEST
from tasks.export.exported import Digests, Exported
from tasks.registry import runs
from tasks.training.job import Job


@task(name="export to ONNX", cache_policy=NO_CACHE)
def export_graph(job: Job, split: SplitSpec, run_id: str) -> Exported:
    """Graph and contract in the job's folder, equal to the network on all test rows."""
    from tasks.export import export

    snapshot = open_snapshot(job.snapshot)
    digests = Digests(job.snapshot_digest, job.model_file.digest(), job.code)
    test = masked_batches(snapshot, assign_rows(snapshot, split) == TEST, list(job.model_file.columns))
    exported = export.export_model(job.weights, job.model_file, snapshot.task, split, digests, test, job.package)
    runs.log_metrics(run_id, {"parity": exported.parity.difference, "graph_bytes": exported.size})
    return exported

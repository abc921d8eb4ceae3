"""Prefect tasks of this package."""

import json

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.contract import SplitSpec
from models.modelfile import ModelFile
from tasks.data.snapshot import Ingested, open_snapshot
from tasks.data.splits import fit_split
from tasks.export.exported import Digests
from tasks.importing.confined import Limits, confined
from tasks.importing.imported import Imported
from tasks.importing.job import ImportJob
from tasks.importing.original import Original
from tasks.importing.package import import_graph
from tasks.policy import TRIED_AGAIN
from tasks.registry import record, runs
from tasks.registry.record import Made, Origin
from tasks.registry.versions import Version

FILE, FILE_SHA256 = "original.file", "original.sha256"
FRAMEWORK, RECORDED, CHANGED = "framework", "recorded", "changed"
"""Tags of a version."""
LONGEST_TAG = 5000
TRIED = "while it is tried"


@task(name="split", cache_policy=NO_CACHE)
def split_rows(model_file: ModelFile, data: Ingested) -> SplitSpec:
    """How the snapshot's rows are assigned."""
    return fit_split(model_file, open_snapshot(data.manifest))


@task(name="open run", cache_policy=NO_CACHE, **TRIED_AGAIN)
def open_import_run(job: ImportJob, data: Ingested, origin: Origin) -> str:
    """The MLflow run of the import; that of an attempt that was interrupted."""
    run_id = record.open_run(job.model_file, origin, data, job.home, job.interrupted_run(), "import")
    job.remember_run(run_id)
    return run_id


@task(name="wrap graph", cache_policy=NO_CACHE)
def wrap_graph(job: ImportJob, original: Original, split: SplitSpec, run_id: str, limits: Limits) -> Imported:
    """Graph and contract in the job's folder, tried on rows of the data and compared with recorded answers.

    That is done in a process of its own, within the limits.
    """
    digests = Digests(job.snapshot_digest, job.model_file.digest(), job.code)
    snapshot = open_snapshot(job.snapshot)
    imported = confined(
        import_graph, str(original.file), TRIED, limits,
        original, job.model_file, snapshot, split, digests, job.package,
    )  # fmt: skip
    facts = imported.facts
    job.results.mkdir(parents=True, exist_ok=True)
    (job.results / "graph.json").write_text(json.dumps(facts.as_dict(), indent=1, ensure_ascii=False), encoding="utf-8")
    runs.log_params(run_id, facts.parameters_of_run())
    found = {"graph_bytes": imported.size, "parameters": facts.parameters}
    runs.log_metrics(run_id, {**found, **(imported.recorded.metrics() if imported.recorded else {})})
    return imported


@task(name="register", cache_policy=NO_CACHE, **TRIED_AGAIN)
def register_import(
    job: ImportJob, imported: Imported, metrics: dict[str, float], origin: Origin, run_id: str
) -> Version:
    """The wrapped graph as challenger, with its report and figures on the run."""
    facts, compared = imported.facts, imported.recorded
    said = compared.line() if compared else "not compared with recorded answers"
    tags = {
        FILE: facts.file,
        FILE_SHA256: facts.file_sha256,
        FRAMEWORK: facts.framework,
        RECORDED: said,
        **({CHANGED: "; ".join(facts.notes)[:LONGEST_TAG]} if facts.notes else {}),
    }
    about = f"Made elsewhere, by {facts.framework}; {said}. "
    return record.register_made(job, imported, Made("imported", imported.rows, tags, about), metrics, origin, run_id)

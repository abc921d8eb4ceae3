"""Prefect tasks of this package. What judges loads scikit-learn: a run that finds nothing to do doesn't wait for it."""

from prefect import task
from prefect.cache_policies import NO_CACHE

from models.contract import SplitSpec
from tasks.data.snapshot import Ingested
from tasks.export.exported import Packaged
from tasks.training.fitted import Fitted
from tasks.training.job import Job


@task(name="evaluate", cache_policy=NO_CACHE)
def evaluate_graph(
    job: Job, data: Ingested, split: SplitSpec, fitted: Fitted | None, exported: Packaged
) -> dict[str, float]:
    """The graph's metrics on the test rows; report and figures are in the job's folder."""
    from tasks.evaluation.judgement import judge_graph

    return judge_graph(job, data, split, fitted, exported)

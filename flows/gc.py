"""What nobody needs any more is removed."""

from collections.abc import Sequence

from prefect import flow

from flows.environment import state_folder
from flows.locks import promotion_lock
from tasks.retention.collect import Collected, let_go
from tasks.retention.records import Rule


@flow(name="gc", flow_run_name="gc older than {older_than:g} days", timeout_seconds=24 * 3600)
def gc(models: Sequence[str] = (), older_than: float = 30, keep_versions: int = 5) -> Collected:
    """Removes snapshots, trainings, runs and versions that nobody needs; what an alias needs stays.

    Args:
        models: Only these; all if none is given.
        older_than: Days for which everything is kept.
        keep_versions: How many of the newest versions without an alias are kept of each model.
    """
    return let_go(Rule(older_than, keep_versions, frozenset(models)), state_folder(), promotion_lock)

"""One promotion of a model at a time, across processes and machines of one Prefect server."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime

from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists

from models.errors import RefusedError
from tasks.registry.history import whoami
from tasks.registry.promotion import held_by, hold
from tasks.registry.versions import require_model

LEASE_SECONDS = 60
"""A killed promotion blocks the next one for no longer."""
PATIENCE_SECONDS = 1


@contextmanager
def promotion_lock(model: str) -> Iterator[None]:
    """Holds the model's promotion. Raises RefusedError that says who holds it when somebody else does."""
    require_model(model)
    name = f"promote-{model}"
    # Of two that make a missing limit at once, one is told that it exists.
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.upsert_global_concurrency_limit_by_name(name, 1)
    with ExitStack() as held:
        try:
            held.enter_context(
                concurrency(name, timeout_seconds=PATIENCE_SECONDS, strict=True, lease_duration=LEASE_SECONDS)
            )
        except TimeoutError:
            who = held_by(model)
            raise RefusedError(f"{model}: a promotion is under way, held by {who}; try again when it is done") from None
        hold(model, f"{whoami()} since {datetime.now(UTC):%H:%M:%S} UTC")
        yield

"""One promotion of a model at a time, across processes and machines of one Prefect server."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from http import HTTPStatus

from httpx import HTTPStatusError
from prefect.client.orchestration import get_client
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists

from models.errors import OutsideError, RefusedError
from tasks.registry.history import whoami
from tasks.registry.promotion import held_by, holding
from tasks.registry.versions import require_model

LEASE_SECONDS = 60
"""A killed promotion blocks the next one for no longer."""


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
            # No retry and no time limit: the server's first answer tells, and a slow server is not a busy promotion.
            held.enter_context(concurrency(name, max_retries=0, strict=True, lease_duration=LEASE_SECONDS))
        except ConcurrencySlotAcquisitionError as error:
            if not _is_taken(error):
                raise OutsideError(f"{model}: Prefect could not lock the promotion ({error}); try again") from error
            who = held_by(model)
            raise RefusedError(f"{model}: a promotion is under way, held by {who}; try again when it is done") from None
        with holding(model, f"{whoami()} since {datetime.now(UTC):%H:%M:%S} UTC"):
            yield


def _is_taken(error: ConcurrencySlotAcquisitionError) -> bool:
    """Whether the server said that the only slot is taken, rather than something going wrong."""
    cause = error.__cause__
    return isinstance(cause, HTTPStatusError) and cause.response.status_code == HTTPStatus.LOCKED

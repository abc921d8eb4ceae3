"""What a command needs before it runs a flow."""

from collections.abc import Iterator
from contextlib import contextmanager

from flows.environment import prepare
from flows.loading import loading


@contextmanager
def prefect_ready() -> Iterator[None]:
    """Settings, and a Prefect server to run the flow that is imported in the block; one may start meanwhile."""
    prepare()
    from flows.temporary_server import prefect_server

    with prefect_server(), loading():
        yield
        # Opening the tracking store takes a second, in which the server starts as well.
        from tasks.registry.connection import connect, plain_errors

        with plain_errors("opening the tracking store"):
            connect()

"""The process of a Prefect server that another process has started: `python -m flows.serve_prefect DESCRIPTOR`."""

import os
import socket
import sys
import threading

from flows.loading import loading

LINGERING_SECONDS = 5
"""A page that is open in a browser keeps a connection open, which delays the server's end no longer."""


def serve(descriptor: int) -> None:
    """Serves Prefect's API on the inherited socket until standard input ends, as it does when the parent is gone."""
    with loading():
        import uvicorn
        from prefect.server.api.server import create_app

        # Not an "ephemeral" one, which would never take back the lease of a promotion that was killed.
        settings = uvicorn.Config(
            create_app(final=True), log_level="error", lifespan="on", timeout_graceful_shutdown=LINGERING_SECONDS
        )
        server = uvicorn.Server(settings)

    def end_with_parent() -> None:
        sys.stdin.buffer.read()
        server.should_exit = True

    threading.Thread(target=end_with_parent, daemon=True).start()
    server.run(sockets=[socket.socket(fileno=descriptor)])
    # All is written by now; the interpreter would take another second to take itself apart.
    os._exit(0)


if __name__ == "__main__":
    serve(int(sys.argv[1]))

"""HTTP as uvicorn speaks it, with a limit on what comes before the body."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request line and headers go on beyond the limit."""

    head_bytes = 64 << 10

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head: int | None = 0
        """Bytes of an unfinished head; None while a body comes."""

    def data_received(self, data: bytes) -> None:
        """Some bytes of the connection."""
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > self.head_bytes:
                self.transport.close()

    def on_headers_complete(self) -> None:
        """The head has ended within the limit, or all of it came with one read, which has a limit of its own."""
        self._head = None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next head may begin."""
        self._head = 0
        super().on_message_complete()


def bounded(head_bytes: int) -> type[BoundedProtocol]:
    """The protocol with that limit."""
    return type("BoundedProtocol", (BoundedProtocol,), {"head_bytes": head_bytes})

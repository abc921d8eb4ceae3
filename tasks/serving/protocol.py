"""HTTP as uvicorn speaks it, with a limit on what comes before the body."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request line and headers go on beyond the limit."""

    head_bytes = 64 << 10

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head, self._head, self._ended = True, 0, 0

    def data_received(self, data: bytes) -> None:
        """Some bytes of the connection. Those that a head shares with the end of a message are not counted."""
        ended = self._ended
        super().data_received(data)
        if not self._in_head or self._ended != ended:
            self._head = 0
            return
        self._head += len(data)
        if self._head > self.head_bytes:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The body begins."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next head may begin."""
        self._in_head = True
        self._ended += 1
        super().on_message_complete()


def bounded(head_bytes: int) -> type[BoundedProtocol]:
    """The protocol with that limit."""
    return type("BoundedProtocol", (BoundedProtocol,), {"head_bytes": head_bytes})

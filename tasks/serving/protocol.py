"""HTTP as uvicorn speaks it, with limits on what comes before and behind the body, and on callers' time."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request line and headers are too long or do not come, or that nobody reads."""

    head_bytes = 64 << 10
    seconds = 30.0
    """Until a head is there, and until what waits to be sent is taken."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head, self._ended, self._bodies = True, 0, 0
        self._apart = 0
        """Bytes in a row that belong to no body: of a head, or of the trailers behind a body in chunks."""
        self._clock: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Somebody is there, and has to say what for."""
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._stop_clock()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More waits to be sent than is kept ready; closing would wait for it as well."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Most of it was taken, or nobody is there any more."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def data_received(self, data: bytes) -> None:
        """Some bytes of the connection. Those that a head shares with other parts of messages are not counted."""
        before = self._ended, self._bodies
        if self._in_head:
            self._start_clock()
        super().data_received(data)
        self._apart = 0 if before != (self._ended, self._bodies) else self._apart + len(data)
        if self._apart > self.head_bytes:
            self.transport.close()

    def on_headers_complete(self) -> None:
        """The body begins."""
        self._in_head = False
        self._stop_clock()
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what stands behind the body is let go."""
        if self._in_head:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        """A piece of the body, which has limits of its own."""
        self._bodies += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next head may begin."""
        self._in_head = True
        self._ended += 1
        super().on_message_complete()

    def _start_clock(self) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(self.seconds, self.transport.close)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None


def bounded(head_bytes: int, seconds: float) -> type[BoundedProtocol]:
    """The protocol with these limits."""
    return type("BoundedProtocol", (BoundedProtocol,), {"head_bytes": head_bytes, "seconds": seconds})

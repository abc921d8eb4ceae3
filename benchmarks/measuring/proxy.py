"""A port that forwards to another and can be gone for a while."""

import socket
import threading
import time
from contextlib import suppress

from benchmarks.measuring.prefect_server import free_port

BLOCK = 1 << 16


class Proxy:
    """Connections to `port` end at `target`."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, free_port()
        self._open: list[socket.socket] = []
        self._listen()

    def vanish(self, seconds: float) -> None:
        """Ends all connections and refuses new ones for that long."""
        self.close()
        time.sleep(seconds)
        self._listen()

    def close(self) -> None:
        """Ends all connections and refuses new ones."""
        left, self._open = self._open, []
        for each in (self._listener, *left):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _listen(self) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                self._open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=_forward, args=pair, daemon=True).start()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while block := source.recv(BLOCK):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)

"""Ports of this machine to listen on."""

import socket

from models.errors import InputError, OutsideError

TRIED = 100


def listener_on(given: int | None, usual: int, option: str) -> socket.socket:
    """A socket of 127.0.0.1 that listens on the given port, else on the usual one or the next that is free.

    Raises InputError when the given one can't be had, OutsideError when none is free.
    """
    if given is not None:
        return _listen(given, f"{option} {given}")
    for port in range(usual, usual + TRIED):
        try:
            return _listen(port, f"port {port}")
        except InputError:
            continue
    raise OutsideError(f"ports {usual} to {usual + TRIED - 1}: none is free; choose one with {option}")


def port_of(listener: socket.socket) -> int:
    """The port that it listens on."""
    port: int = listener.getsockname()[1]
    return port


def _listen(port: int, what: str) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        reason = (error.strerror or str(error)).lower().partition(" (while")[0]
        raise InputError(f"{what}: {reason}; choose another one, or leave it out to take the next free one") from None

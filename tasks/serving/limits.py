"""What a server takes on, so that no caller can exhaust it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Of one process; what is beyond them is refused, and costs no memory."""

    body_bytes: int = 16 << 20
    """Of a request, also when unpacked."""
    bodies: int = 8
    """As large ones as that, which are held at once."""
    head_bytes: int = 64 << 10
    """Of its first line and headers."""
    rows: int = 2_000
    """Of a request."""
    input_bytes: int = 64 << 20
    """Of the graph inputs of a request: pixels, samples, windows."""
    seconds: float = 30.0
    """Until a body is there, until an answer is taken, and that requests in progress are given when the server ends."""
    requests: int = 512
    """In progress; others are asked to come again."""

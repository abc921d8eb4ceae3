"""Contents behind URLs: tried twice, and given up where a server takes for ever."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, InvalidURL
from socket import SHUT_RDWR
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import HTTPHandler, HTTPSHandler, Request, build_opener

SILENCE = 10.0
"""Seconds that a server may say nothing."""
DEADLINE = 120.0
"""Seconds for all of a file, tries included: a server that drips bytes is never silent."""
PAUSE = 0.5
"""Seconds before the second try."""
CHUNK = 1 << 20
PASSING = frozenset({408, 429, *range(500, 600)})
"""Answers that may be others a moment later."""
NO_ANSWER = "the URL does not answer"
IN_URLS = "%/:?#[]@!$&'()*+,;=~"
"""Signs that mean something in a URL; others but letters and digits are written as their codes."""


def is_url(path: str) -> bool:
    """Whether the path is read from a web server."""
    return path[:8].lower().startswith(("http://", "https://"))


def download(url: str, largest: int) -> tuple[bytes | None, str | None]:
    """Content of at most `largest` bytes, or the reason why there is none; what may pass is tried once more."""
    until = time.monotonic() + DEADLINE
    content, reason, passing = _try(url, largest, until)
    if passing and time.monotonic() + PAUSE < until:
        time.sleep(PAUSE)
        content, reason, _ = _try(url, largest, until)
    return content, reason


def _try(url: str, largest: int, until: float) -> tuple[bytes | None, str | None, bool]:
    """Content or reason, and whether the reason may pass."""
    try:
        asked = Request(_written(url), headers={"User-Agent": "perennial"})
        watch = _Watch()
        with _cut_off(watch, until), build_opener(watch).open(asked, timeout=SILENCE) as answer:
            content = _body(answer, largest, until)
    except HTTPError as error:
        return None, f"the URL answers {error.code}", error.code in PASSING
    except (InvalidURL, ValueError):
        return None, NO_ANSWER, False
    except (HTTPException, OSError):
        return None, NO_ANSWER, True
    return (content, None, False) if len(content) <= largest else (None, "too large a file", False)


def _written(url: str) -> str:
    """The URL in ASCII: the host's name by IDNA, the rest by percent codes."""
    parts = urlsplit(url)
    return quote(urlunsplit(parts._replace(netloc=parts.netloc.encode("idna").decode())), safe=IN_URLS)


def _body(answer: HTTPResponse, largest: int, until: float) -> bytes:
    content, more = bytearray(), True
    while more and len(content) <= largest:
        chunk = answer.read1(min(CHUNK, largest + 1 - len(content)))
        if time.monotonic() > until:
            raise TimeoutError
        content += chunk
        more = bool(chunk)
    if answer.length and not more:
        raise ConnectionError(f"{answer.length} bytes are missing")
    return bytes(content)


class _Watch(HTTPHandler, HTTPSHandler):
    """Opens URLs, and knows the connection that was made last: redirections make several."""

    connection: HTTPConnection | None = None

    def do_open(self, http_class: Any, req: Request, **more: Any) -> Any:
        """As its base does."""

        def connect(*args: Any, **options: Any) -> HTTPConnection:
            self.connection = http_class(*args, **options)
            return self.connection

        return super().do_open(connect, req, **more)


@contextmanager
def _cut_off(watch: _Watch, until: float) -> Iterator[None]:
    """Ends the connection at the deadline while its head is read, where no time can be looked at in between."""

    def cut() -> None:
        sock = watch.connection.sock if watch.connection else None
        if sock:
            try:
                sock.shutdown(SHUT_RDWR)
            except OSError:
                return  # It was closed a moment ago.

    timer = threading.Timer(max(until - time.monotonic(), 0), cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()

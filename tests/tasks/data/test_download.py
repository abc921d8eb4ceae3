"""What URLs lead to; nothing endless, and servers that fail."""

import http.server
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.data import download, fetching
from tasks.data.fetching import GIVEN_UP, SILENT_FILES
from tests.tasks.data.fetched import UNREADABLE, fetched, put

ASKED: Counter[str] = Counter()


class _Answers(http.server.BaseHTTPRequestHandler):
    """Tells the path it was asked for; /gone is not there, /odd speaks another language, /silent says nothing.

    /later and /broken answer well when they are asked again; /drip and /head never end.
    """

    def do_GET(self) -> None:
        ASKED[self.path] += 1
        if self.path in ("/drip", "/head"):
            self._drip()
        elif self.path == "/wait" and ASKED[self.path] == 1:
            self.send_error(429)
        elif self.path == "/busy" or (self.path == "/later" and ASKED[self.path] == 1):
            self.send_error(503)
        elif self.path == "/broken" and ASKED[self.path] == 1:
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n/bro")
        elif self.path == "/odd":
            self.wfile.write(b"HI THERE\r\n\r\n")
        elif self.path == "/silent":
            time.sleep(1)
        elif self.path == "/gone":
            self.send_error(404)
        elif self.path == "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        else:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.path.encode())

    def _drip(self) -> None:
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" if self.path == "/drip" else b"HTTP/1.0 200 ")
        for _ in range(100):
            try:
                self.wfile.write(b"x")
            except OSError:
                return
            time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """None, between two tries."""
    monkeypatch.setattr(download, "PAUSE", 0.0)
    ASKED.clear()


def test_schemes_are_known_in_capitals_too(folder: Path, site: str) -> None:
    put(folder / "a.png", b"a")
    shouted = [site.replace("http", "HTTP") + "/a", site.replace("http", "Http") + "/a", f"FILE://{folder}/a.png"]
    assert fetched(folder, *shouted) == [b"/a", b"/a", b"a"]


@pytest.mark.parametrize("path", ["/drip", "/head"])
def test_a_url_that_drips_is_given_up(folder: Path, site: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "DEADLINE", 0.3)
    started = time.perf_counter()
    assert fetched(folder, site + path) == ["the URL does not answer"]
    assert time.perf_counter() - started < 2
    assert ASKED[path] == 1, "no time was left for another try"


def test_what_may_pass_is_tried_once_more(folder: Path, site: str) -> None:
    paths = ["/later", "/broken", "/wait", "/busy", "/gone"]
    found = fetched(folder, *(site + path for path in paths))
    assert found == [b"/later", b"/broken", b"/wait", "the URL answers 503", "the URL answers 404"]
    assert [ASKED[path] for path in paths] == [2, 2, 2, 2, 1]


def test_urls_are_fetched_and_their_errors_told(folder: Path, site: str) -> None:
    paths = [f"{site}/a.png", f"{site}/gone", f"{site}/a.png?x=1&y=%20"]
    assert fetched(folder, *paths) == [b"/a.png", "the URL answers 404", b"/a.png?x=1&y=%20"]


def test_spaces_and_letters_of_any_script_in_urls_are_written_as_browsers_do(folder: Path, site: str) -> None:
    assert fetched(folder, f"{site}/a b.png", f"{site}/ä.png") == [b"/a%20b.png", b"/%C3%A4.png"]


def test_a_url_that_does_not_answer_is_a_reason(folder: Path, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "SILENCE", 0.2)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    urls = [f"http://127.0.0.1:{port}/a.png", f"{site}/silent", f"{site}/odd", "http://", "http://[::1", "http://x:y/z"]
    assert fetched(folder, *urls) == ["the URL does not answer"] * len(urls)


def test_a_server_that_never_answers_is_given_up_and_others_are_not(folder: Path, site: str) -> None:
    dead, many = site + "/odd", SILENT_FILES * 8
    found = fetched(folder, *[dead] * many)
    assert found[:SILENT_FILES] == ["the URL does not answer"] * SILENT_FILES
    assert found[-1] == GIVEN_UP
    assert ASKED["/odd"] < 2 * many
    asked = ASKED["/odd"]
    assert fetched(folder, site + "/a") == [b"/a"], "each run begins anew"
    mixed = [site + "/odd", site + "/a"] * SILENT_FILES * 2
    assert GIVEN_UP not in fetched(folder, *mixed)
    assert ASKED["/odd"] > asked


def test_files_of_this_machine_are_no_server_that_could_be_given_up(folder: Path) -> None:
    (folder / "round").symlink_to("round")
    good = put(folder / "a.png", b"a")
    uris = [f"file://{folder}/round"] * SILENT_FILES * 10
    assert fetched(folder, *uris, f"FILE://{good}") == [UNREADABLE] * len(uris) + [b"a"]


def test_hosts_in_any_script_are_asked_by_their_registered_names() -> None:
    assert (
        download._written("https://Bücher.example:8/ä b?x=ü") == "https://xn--bcher-kva.example:8/%C3%A4%20b?x=%C3%BC"
    )
    assert download._written("http://user@[::1]:8/a") == "http://user@[::1]:8/a"


def test_a_url_leads_to_no_file_of_this_machine(folder: Path, site: str) -> None:
    (found,) = fetched(folder, f"{site}/elsewhere")
    assert found in ("the URL answers 302", "the URL does not answer")


def test_a_url_that_never_ends_is_too_large(folder: Path, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "LARGEST_FILE", 5)
    assert fetched(folder, f"{site}/a", f"{site}/abcdef") == [b"/a", "too large a file"]

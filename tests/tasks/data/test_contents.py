"""What a column's paths and URLs lead to: contents, or a reason; nothing outside of the folder, and nothing endless."""

import http.server
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import fs

from models.columns import KINDS, ColumnSettings
from tasks.data import contents
from tasks.data.batches import Malformed, RawBatch, SourceFile
from tasks.data.contents import fetch, row_bytes, with_contents

IMAGE = KINDS["image"].settings(size=8)
ABSENT, OUTSIDE, UNREADABLE, NO_FILE = "no such file", "outside the folder", "the file can't be read", "not a file"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


def put(path: Path, content: bytes = b"content") -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return str(path)


def fetched(folder: Path, *paths: str | None) -> list[bytes | str | None]:
    """For each path its content, or the reason why there is none."""
    found = fetch(pa.array(paths, pa.string()), str(folder), ("?",)).to_pylist()
    assert all(cell["content"] is None or cell["failure"] is None for cell in found)
    return [cell["content"] if cell["failure"] is None else cell["failure"] for cell in found]


def test_relative_paths_begin_at_the_folder(folder: Path) -> None:
    put(folder / "a.png", b"a")
    put(folder / "deep" / "er" / "b.png", b"b")
    assert fetched(folder, "a.png", "deep/er/b.png", "./a.png", "deep/../a.png") == [b"a", b"b", b"a", b"a"]


@pytest.mark.parametrize("name", ["with space.png", 'it\'s "q".png', "größe-µ.png", "日本.png", "a%20b.png", "#?&.png"])
def test_names_are_taken_as_they_are(folder: Path, name: str) -> None:
    put(folder / name, name.encode())
    assert fetched(folder, name, str(folder / name)) == [name.encode()] * 2


def test_absolute_paths_lead_into_the_folder_or_nowhere(folder: Path) -> None:
    inside, outside = put(folder / "a.png", b"a"), put(folder.parent / "secret", b"s")
    put(folder.parent / "data-2" / "b.png")
    beside = str(folder.parent / "data-2" / "b.png")
    assert fetched(folder, inside, outside, beside, "/etc/passwd") == [b"a", OUTSIDE, OUTSIDE, OUTSIDE]


def test_no_path_climbs_out_of_the_folder(folder: Path) -> None:
    put(folder.parent / "secret", b"s")
    climbing = ["../secret", "x/../../secret", "./../data/../secret", "..", ".", f"{folder}/../secret"]
    assert fetched(folder, *climbing) == [OUTSIDE] * len(climbing)


@pytest.mark.parametrize("written", ["{}/../data", "{}/", "{}/./", "{}/deep/.."])
def test_the_folder_may_be_written_in_any_way(folder: Path, written: str) -> None:
    put(folder / "a.png", b"a")
    put(folder.parent / "secret")
    assert fetched(Path(written.format(folder)), "a.png", "../secret") == [b"a", OUTSIDE]
    found = fetch(pa.array(["a.png", "../secret"]), written.format(folder), ()).to_pylist()
    assert [cell["failure"] for cell in found] == [None, OUTSIDE]


def test_what_is_not_there_or_no_file_is_a_reason(folder: Path) -> None:
    put(folder / "a.png")
    (folder / "deep").mkdir()
    long = "x" * 5000
    assert fetched(folder, "b.png", "c/d.png", "deep", "a.png/b.png", "a\0.png", long) == [
        ABSENT,
        ABSENT,
        NO_FILE,
        UNREADABLE,
        ABSENT,
        UNREADABLE,
    ]


def test_an_empty_file_is_empty_content(folder: Path) -> None:
    put(folder / "a.png", b"")
    assert fetched(folder, "a.png") == [b""]


def test_missing_marks_are_neither_content_nor_failure(folder: Path) -> None:
    put(folder / "a.png", b"a")
    assert fetched(folder, None, "", "  ", "?", " a.png ") == [None, None, None, None, b"a"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_reason(folder: Path) -> None:
    path = put(folder / "a.png")
    Path(path).chmod(0)
    assert fetched(folder, "a.png") == ["not allowed to read the file"]


def test_a_pipe_is_no_file_and_nobody_waits_for_it(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    found: list[bytes | str | None] = []
    asking = threading.Thread(target=lambda: found.extend(fetched(folder, "pipe")), daemon=True)
    asking.start()
    asking.join(5)
    if asking.is_alive():
        os.close(os.open(folder / "pipe", os.O_WRONLY))
    assert found == [NO_FILE]


def test_a_device_is_no_file_and_is_not_read() -> None:
    """/dev/zero has no end."""
    started = time.perf_counter()
    assert fetched(Path("/dev"), "zero", "null", "urandom") == [NO_FILE] * 3
    assert time.perf_counter() - started < 2


def test_a_file_that_is_too_large_is_a_reason(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "LARGEST_FILE", 3)
    put(folder / "a.png", b"abc")
    put(folder / "b.png", b"abcd")
    assert fetched(folder, "a.png", "b.png") == [b"abc", "too large a file"]


def test_uris_of_local_files_keep_to_the_folder_too(folder: Path) -> None:
    inside, outside = put(folder / "a b.png", b"a"), put(folder.parent / "secret")
    uris = [f"file://{inside.replace(' ', '%20')}", f"file://{outside}", f"file://{folder}/../secret"]
    assert fetched(folder, *uris) == [b"a", OUTSIDE, OUTSIDE]


@pytest.mark.parametrize(
    "uri", ["nonsense://a/b", "://", "file://", "file://relative", "s3:/x", "HTTP://x/y", "data:,x"]
)
def test_uris_that_lead_nowhere_are_a_reason(folder: Path, uri: str) -> None:
    (found,) = fetched(folder, uri)
    assert found in (ABSENT, UNREADABLE, OUTSIDE, "the URL does not answer")


class _Answers(http.server.BaseHTTPRequestHandler):
    """Tells the path it was asked for; /gone is not there, /odd speaks another language, /silent says nothing."""

    def do_GET(self) -> None:
        if self.path == "/odd":
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


def test_urls_are_fetched_and_their_errors_told(folder: Path, site: str) -> None:
    paths = [f"{site}/a.png", f"{site}/gone", f"{site}/a.png?x=1&y=%20"]
    assert fetched(folder, *paths) == [b"/a.png", "the URL answers 404", b"/a.png?x=1&y=%20"]


def test_spaces_and_letters_of_any_script_in_urls_are_written_as_browsers_do(folder: Path, site: str) -> None:
    assert fetched(folder, f"{site}/a b.png", f"{site}/ä.png") == [b"/a%20b.png", b"/%C3%A4.png"]


def test_a_url_that_does_not_answer_is_a_reason(folder: Path, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "SECONDS", 0.2)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    urls = [f"http://127.0.0.1:{port}/a.png", f"{site}/silent", f"{site}/odd", "http://", "http://[::1", "http://x:y/z"]
    assert fetched(folder, *urls) == ["the URL does not answer"] * len(urls)


def test_a_url_leads_to_no_file_of_this_machine(folder: Path, site: str) -> None:
    (found,) = fetched(folder, f"{site}/elsewhere")
    assert found in ("the URL answers 302", "the URL does not answer")


def test_a_url_that_never_ends_is_too_large(folder: Path, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "LARGEST_FILE", 5)
    assert fetched(folder, f"{site}/a", f"{site}/abcdef") == [b"/a", "too large a file"]


def table_file(folder: Path) -> SourceFile:
    return SourceFile("in", str(folder / "in.csv"), fs.LocalFileSystem(), "csv", {}, 1)


def gathered(
    folder: Path, batches: Sequence[RawBatch], columns: dict[str, ColumnSettings] | None = None
) -> list[RawBatch]:
    return list(with_contents(iter(batches), table_file(folder), columns or {"p": IMAGE}, ("?",)))


def batch(paths: pa.Array, start: int = 1, **more: object) -> RawBatch:
    rows = np.arange(start, start + len(paths), dtype=np.int64)
    return RawBatch("in.csv", rows, pa.table({"p": paths, "n": rows}), **more)  # type: ignore[arg-type]


def test_without_columns_of_files_batches_pass_untouched(folder: Path) -> None:
    given = batch(pa.array(["a.png"]))
    (found,) = gathered(folder, [given], {"n": KINDS["number"].settings()})
    assert found is given


@pytest.mark.parametrize("large", [pa.binary(), pa.large_binary(), pa.null()])
def test_contents_that_are_in_the_table_stay_there(folder: Path, large: pa.DataType) -> None:
    cells = pa.nulls(2) if pa.types.is_null(large) else pa.array([b"1", None], large)
    (found,) = gathered(folder, [batch(cells)])
    assert found.gathered == {} and found.table["p"].combine_chunks().equals(cells)


@pytest.mark.parametrize("texts", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_texts_of_any_width_are_paths(folder: Path, texts: pa.DataType) -> None:
    put(folder / "a.png", b"a")
    (found,) = gathered(folder, [batch(pa.array(["a.png", "b.png", None]).cast(texts))])
    assert found.gathered["p"].to_pylist() == [
        {"content": b"a", "failure": None},
        {"content": None, "failure": ABSENT},
        {"content": None, "failure": None},
    ]


def test_a_folder_of_its_own_is_beside_the_table(folder: Path) -> None:
    put(folder / "pictures" / "a.png", b"a")
    put(folder / "b.png")
    columns: dict[str, ColumnSettings] = {"p": KINDS["image"].settings(size=8, folder="pictures")}
    (found,) = gathered(folder, [batch(pa.array(["a.png", "../b.png"]))], columns)
    assert found.gathered["p"].to_pylist() == [
        {"content": b"a", "failure": None},
        {"content": None, "failure": OUTSIDE},
    ]


def test_large_batches_are_cut_and_lose_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "ROWS_AT_ONCE", 2)
    for number in range(1, 8):
        put(folder / f"{number}.png", str(number).encode())
    bad = Malformed(6, "1,2,3", "too many fields")
    other = pa.array([b"x", b"y", b"z", b"u", b"v"])
    first = batch(pa.array([f"{n}.png" for n in range(1, 6)]), malformed=(bad,), skipped=3, gathered={"w": other})
    found = gathered(folder, [first, batch(pa.array(["6.png", "7.png"]), start=7)])
    assert [piece.rows.tolist() for piece in found] == [[1, 2], [3, 4], [5], [7, 8]]
    assert [cell["content"] for piece in found for cell in piece.gathered["p"].to_pylist()] == [
        str(n).encode() for n in range(1, 8)
    ]
    assert [value for piece in found[:3] for value in piece.gathered["w"].to_pylist()] == other.to_pylist()
    assert [piece.malformed for piece in found] == [(bad,), (), (), ()]
    assert [piece.skipped for piece in found] == [3, 0, 0, 0]


def test_a_batch_of_malformed_rows_alone_is_not_lost(folder: Path) -> None:
    bad = Malformed(1, "1,2,3", "too many fields")
    (found,) = gathered(folder, [batch(pa.array([], pa.string()), malformed=(bad,))])
    assert found.malformed == (bad,) and len(found.rows) == 0


def test_the_larger_a_row_the_fewer_are_fetched_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row has 8 x 8 x 3 bytes."""
    assert row_bytes({"p": IMAGE, "n": KINDS["number"].settings()}) == 192
    monkeypatch.setattr(contents, "BYTES_AT_ONCE", 3 * 192)
    found = gathered(folder, [batch(pa.array([f"{n}.png" for n in range(7)]))])
    assert [len(piece.rows) for piece in found] == [3, 3, 1]


def test_a_row_larger_than_all_that_is_fetched_at_once_comes_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contents, "BYTES_AT_ONCE", 1)
    assert [len(piece.rows) for piece in gathered(folder, [batch(pa.array(["a", "b"]))])] == [1, 1]

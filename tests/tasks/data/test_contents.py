"""What a column's paths and URLs lead to: contents, or a reason; nothing outside of the folder, and nothing endless."""

import http.server
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import fs

from models.columns import KINDS, ColumnSettings
from tasks.data import contents, download, fetching
from tasks.data.batches import Malformed, RawBatch, SourceFile
from tasks.data.contents import row_bytes, with_contents
from tasks.data.fetching import GIVEN_UP, SILENT_FILES, Hosts, Place, fetch

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
    batches = iter([batch(pa.array(paths, pa.string()))])
    pieces = with_contents(batches, table_file(folder), {"p": IMAGE}, ("?",))
    found = [cell for piece in pieces for cell in piece.gathered["p"].to_pylist()]
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
    place = Place.at(fs.LocalFileSystem(), written.format(folder))
    assert [fetch(path, place, Hosts())[1] for path in ("a.png", "../secret")] == [None, OUTSIDE]


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
    monkeypatch.setattr(fetching, "LARGEST_FILE", 3)
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


def test_links_may_lead_anywhere_but_out_of_the_folder(folder: Path) -> None:
    put(folder.parent / "secret" / "s.png", b"s")
    put(folder / "deep" / "a.png", b"a")
    links = {"out.png": "../secret/s.png", "out": "../secret", "in.png": "deep/a.png", "in": "deep", "round": "round"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    paths = ["out.png", "out/s.png", str(folder / "out.png"), f"file://{folder}/out.png", "out/none.png"]
    assert fetched(folder, *paths) == [OUTSIDE] * len(paths)
    assert fetched(folder, "in.png", "in/a.png", "in/../deep/a.png", "round") == [b"a", b"a", b"a", UNREADABLE]


def test_a_folder_that_is_a_link_is_what_it_leads_to(folder: Path) -> None:
    put(folder / "a.png", b"a")
    (folder.parent / "link").symlink_to(folder)
    assert fetched(folder.parent / "link", "a.png", str(folder / "a.png")) == [b"a", b"a"]


def test_a_bucket_is_opened_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "bucket" / "a b" / "ä.png", b"a")
    put(tmp_path / "bucket" / "other.png", b"b")
    asked: list[str] = []

    class Stores:
        @staticmethod
        def from_uri(uri: str) -> tuple[fs.FileSystem, str]:
            asked.append(uri)
            return fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "bucket"

    place = Place.at(fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem()), "bucket/a b")
    monkeypatch.setattr(fetching.fs, "FileSystem", Stores)
    fetching._opened.cache_clear()
    paths = [
        "s3://bucket/a%20b/%C3%A4.png?region=x",
        "S3://bucket/a b/ä.png?region=x",
        "s3://bucket/other.png?region=x",
    ]
    assert [fetch(path, place, Hosts()) for path in paths] == [(b"a", None), (b"a", None), (b"b", None)]
    assert fetch("../other.png", place, Hosts()) == (None, OUTSIDE), "a path is no URI"
    assert asked == ["s3://bucket?region=x"]
    fetch("s3://bucket/a%20b/%C3%A4.png?region=y", place, Hosts())
    fetching._opened.cache_clear()
    assert len(asked) == 2


def test_a_table_in_a_store_opens_no_file_of_this_machine(tmp_path: Path) -> None:
    secret = put(tmp_path / "bucket" / "secret")
    place = Place.at(fs.SubTreeFileSystem("/", fs.LocalFileSystem()), str(tmp_path / "bucket"))
    assert fetch("secret", place, Hosts()) == (b"content", None)
    assert fetch(f"file://{secret}", place, Hosts()) == (None, OUTSIDE)


def test_paths_of_stores_are_read_as_arrow_reads_them() -> None:
    options = "?region=eu&endpoint_override=localhost:1"
    for uri in (
        f"s3://b/k%20x/y.png{options}",
        "gs://anonymous@b/k/%C3%A4",
        "abfs://c@acct.dfs.core.windows.net/a%20b",
    ):
        assert fetching._located(uri)[1] == fs.FileSystem.from_uri(uri)[1]


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


def test_pieces_are_cut_by_the_bytes_of_their_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "BYTES_AT_ONCE", 10_000)
    sizes = [4000, 4000, 4000, 20_000, 1, 9_999, 1, 0]
    for number, size in enumerate(sizes):
        put(folder / f"{number}.png", b"x" * size)
    found = gathered(folder, [batch(pa.array([f"{n}.png" for n in range(8)]))])
    assert [piece.rows.tolist() for piece in found] == [[1, 2], [3], [4], [5, 6], [7, 8]]
    assert [len(cell["content"]) for piece in found for cell in piece.gathered["p"].to_pylist()] == sizes


def test_files_of_several_columns_count_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "BYTES_AT_ONCE", 10_000)
    put(folder / "a.png", b"a" * 3000)
    both = batch(pa.array(["a.png"] * 4))
    both = replace(both, table=both.table.append_column("q", pa.array(["a.png", None, "a.png", "b.png"])))
    found = gathered(folder, [both], {"p": IMAGE, "q": IMAGE})
    assert [piece.rows.tolist() for piece in found] == [[1, 2], [3, 4]]
    assert [cell["failure"] for cell in found[1].gathered["q"].to_pylist()] == [None, ABSENT]


def test_large_files_are_fetched_few_ahead(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []

    def slowly(path: str, *_: object) -> tuple[bytes, None]:
        started.append(path)
        return b"x" * 20_000, None

    monkeypatch.setattr(contents, "BYTES_AT_ONCE", 10_000)
    monkeypatch.setattr(contents, "fetch", slowly)
    pieces = with_contents(iter([batch(pa.array(map(str, range(100))))]), table_file(folder), {"p": IMAGE}, ())
    assert len(next(pieces).rows) == 1
    time.sleep(0.1)
    assert len(started) <= contents.WORKERS + 1


def test_as_many_files_are_fetched_at_once_as_there_are_workers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(contents.WORKERS)

    def waiting(path: str, *_: object) -> tuple[bytes, None]:
        together.wait(10)
        return path.encode(), None

    monkeypatch.setattr(contents, "fetch", waiting)
    names = [str(number) for number in range(5 * contents.WORKERS)]
    found = gathered(folder, [batch(pa.array(names))])
    assert [cell["content"].decode() for piece in found for cell in piece.gathered["p"].to_pylist()] == names


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

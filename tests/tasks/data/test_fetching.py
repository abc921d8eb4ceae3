"""What paths and URIs of a column lead to; nothing outside of the folder."""

import os
import threading
import time
from pathlib import Path

import pytest
from pyarrow import fs

from tasks.data import fetching
from tasks.data.fetching import Hosts, Place, fetch
from tests.tasks.data.fetched import ABSENT, NO_FILE, OUTSIDE, UNREADABLE, fetched, put


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
        assert fetching._place_of(uri)[1] == fs.FileSystem.from_uri(uri)[1]

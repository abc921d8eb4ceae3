"""Rows of databases: in the order of a key, pinned when a run begins."""

import datetime
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from adbc_driver_manager import AdbcStatusCode, DatabaseError

from models.errors import InputError, OutsideError, UnreachableError
from tasks.data.batches import BATCH_ROWS, RawBatch, SourceFile
from tasks.data.database import locate, plain_error, quoted, table_of, without_user
from tasks.data.fingerprint import ChangedError
from tasks.data.query import Asked, bound, find_query, pin
from tasks.data.sources import peek, read_batches, stops
from tests.servers import PostgresServer

EVERY_TYPE = """CREATE TABLE every (k integer, small smallint, real real, exact numeric(12,3), words text,
    padded char(5), yes boolean, at timestamp, zoned timestamptz, day date, id uuid, raw bytea,
    object jsonb, nothing integer)"""
A_ROW = """INSERT INTO every VALUES (1, 2, 1.5, 12345.678, 'ä''b', 'ab', true, '2024-05-01 10:00',
    '2024-05-01 10:00+02', '2024-05-01', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00ff', '{"a": 1}', NULL)"""


def pinned(uri: str, most: int, **asked: str) -> SourceFile:
    file = find_query(uri, Asked(**asked))
    return bound(file, pin(file, most))


def all_rows(file: SourceFile, column: str) -> list[object]:
    return [value for batch in read_batches(file, [column]) for value in batch.table[column].to_pylist()]


@pytest.fixture
def sqlite(tmp_path: Path) -> Callable[[str], str]:
    """Runs a script in a database; its URI."""

    def run(script: str) -> str:
        with closing(sqlite3.connect(tmp_path / "in.db")) as database:
            database.executescript(script)
        return f"sqlite:///{tmp_path / 'in.db'}"

    return run


def test_values_of_every_type(postgres_server: PostgresServer) -> None:
    postgres_server.psql(f"DROP TABLE IF EXISTS every; {EVERY_TYPE}; {A_ROW}")
    (batch,) = read_batches(pinned(f"{postgres_server.uri}#public.every", 10, key="k"))
    utc = datetime.UTC
    assert batch.table.to_pylist() == [
        {
            "k": 1, "small": 2, "real": 1.5, "exact": 12345.678, "words": "ä'b", "padded": "ab", "yes": True,
            "at": datetime.datetime(2024, 5, 1, 10), "zoned": datetime.datetime(2024, 5, 1, 8, tzinfo=utc),
            "day": datetime.date(2024, 5, 1), "id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "raw": b"\x00\xff",
            "object": '{"a": 1}', "nothing": None,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bigint", "n * 7 - 300"),
        ("text", "chr((n * 37) % 26 + 97) || CASE WHEN n % 2 = 0 THEN 'B' ELSE 'b' END || n"),
        ('text COLLATE "C"', "chr((n * 37) % 26 + 65) || '\\' || n || ''''"),
        ("varchar(20)", "'Z_' || n"),
        ("char(9)", "'v' || n"),
        ("numeric", "n::numeric * 100000000000000000000.001"),
        ("double precision", "sqrt(n)"),
        ("uuid", "md5(n::text)::uuid"),
        ("date", "date '2024-01-01' + n"),
        ("timestamp", "timestamp '2024-01-01' + n * interval '0.000001 s'"),
        ("timestamptz", "timestamptz '2024-01-01 00:00+03' + n * interval '7 minutes'"),
    ],
)
def test_keys_of_every_type(postgres_server: PostgresServer, kind: str, value: str) -> None:
    postgres_server.psql(
        f"DROP TABLE IF EXISTS keyed; CREATE TABLE keyed (key {kind}, n integer); "
        f"INSERT INTO keyed SELECT {value}, n FROM generate_series(1, 100) n ORDER BY md5(n::text)"
    )
    file = pinned(f"{postgres_server.uri}#keyed", 30, key="key")
    assert stops(file, 30) == [30, 60, 90, 100]
    wanted = postgres_server.psql("SELECT n FROM keyed ORDER BY key").splitlines()
    assert [str(n) for n in all_rows(file, "n")] == wanted
    batches = list(read_batches(file, ["n"], first=61))
    assert [row for batch in batches for row in batch.rows] == list(range(61, 101))
    postgres_server.psql(
        "DELETE FROM keyed WHERE n % 10 = 5 AND key > (SELECT key FROM keyed ORDER BY key OFFSET 60 LIMIT 1)"
    )
    between = read_batches(file, ["n"], first=31, last=60)
    assert [row for batch in between for row in batch.rows] == list(range(31, 61)), "later rows are not looked at"


def test_batches_do_not_depend_on_the_server(postgres_server: PostgresServer) -> None:
    query = "SELECT n, repeat('x', 300) AS words FROM generate_series(1, 150000) n"
    batches = list(read_batches(pinned(postgres_server.uri, 1 << 20, query=query, key="n")))
    assert [len(batch.rows) for batch in batches] == [BATCH_ROWS, BATCH_ROWS, 150_000 - 2 * BATCH_ROWS]
    assert [int(batch.rows[0]) for batch in batches] == [1, BATCH_ROWS + 1, 2 * BATCH_ROWS + 1]


def test_rows_behind_the_bounds_wait_for_another_run(postgres_server: PostgresServer) -> None:
    postgres_server.psql("DROP TABLE IF EXISTS grown; CREATE TABLE grown AS SELECT n FROM generate_series(1, 50) n")
    file = pinned(f"{postgres_server.uri}#grown", 20, key="n")
    postgres_server.psql("INSERT INTO grown SELECT n FROM generate_series(51, 70) n; INSERT INTO grown VALUES (0)")
    assert all_rows(file, "n") == list(range(1, 51))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("DELETE FROM changed WHERE n = 30", r"the count of rows from n 20 to 40 was 20 and is 19"),
        ("INSERT INTO changed VALUES (30.5, now())", r"the count of rows from n 20 to 40 was 20 and is 21"),
        ("UPDATE changed SET at = '2030-01-01' WHERE n = 30", r"the at from n 20 to 40 was .* and is .*2030-01-01"),
        ("UPDATE changed SET at = NULL WHERE n = 31", r"the at from n 20 to 40 was .* and is "),
    ],
)
@pytest.mark.parametrize("versioned", [True, False])
def test_a_change_inside_the_bounds_is_noticed(
    postgres_server: PostgresServer, change: str, says: str, versioned: bool
) -> None:
    postgres_server.psql(
        "DROP TABLE IF EXISTS changed; CREATE TABLE changed AS SELECT n::numeric AS n, timestamp '2024-01-01' + "
        "n * interval '1 day' AS at FROM generate_series(1, 50) n"
    )
    asked = {"key": "n", "version_column": "at"} if versioned else {"key": "n"}
    file = pinned(f"{postgres_server.uri}#changed", 20, **asked)
    postgres_server.psql(change)
    seen: list[RawBatch] = []
    if not versioned and "UPDATE" in change:
        assert len(all_rows(file, "n")) == 50
        return
    with pytest.raises(ChangedError, match=says):
        seen.extend(read_batches(file, ["n"]))
    assert [int(batch.rows[-1]) for batch in seen][:1] == [20]


def test_a_key_must_order_and_tell_apart(postgres_server: PostgresServer, sqlite: Callable[[str], str]) -> None:
    postgres_server.psql(
        "DROP TABLE IF EXISTS bad; CREATE TABLE bad (id integer PRIMARY KEY, twice text, gaps integer, list integer[]"
        "); INSERT INTO bad VALUES (1, 'a', 1, '{1}'), (2, 'b', NULL, '{1}'), (3, 'a', 2, '{1}')"
    )
    uri = f"{postgres_server.uri}#bad"
    with pytest.raises(InputError, match=r"--key 'twice' holds a more than once, as 1 rows do"):
        pinned(uri, 10, key="twice")
    with pytest.raises(InputError, match=r"--key 'gaps' is null in 1 rows"):
        pinned(uri, 10, key="gaps")
    with pytest.raises(InputError, match=r"--key 'list' is of type _int4"):
        pinned(uri, 10, key="list")
    with pytest.raises(InputError, match=r"no column 'idd' for --key; did you mean 'id'\?"):
        pinned(uri, 10, key="idd")
    with pytest.raises(InputError, match=r"with --key name a column .*, such as 'id', its primary key"):
        pinned(uri, 10)
    local = sqlite("CREATE TABLE bad (id integer primary key, twice); INSERT INTO bad VALUES (1, 'x'), (2, 'x')")
    with pytest.raises(InputError, match=r"--key 'twice' holds 'x' more than once"):
        pinned(f"{local}#bad", 10, key="twice")
    with pytest.raises(InputError, match=r"such as 'id', its primary key"):
        pinned(f"{local}#bad", 10)


def test_what_is_not_there_is_one_plain_line(postgres_server: PostgresServer, tmp_path: Path) -> None:
    postgres_server.psql("CREATE TABLE IF NOT EXISTS customers (id integer); DELETE FROM customers")
    uri, asked = postgres_server.uri, {"key": "id"}
    lines = {
        f"{uri}#custmers": r"#custmers: no such table; did you mean 'customers'\?",
        f"{uri}#customers": r"#customers: no rows",
        uri: r"give a table, as .*#table, or --query, and not both",
        f"sqlite:///{tmp_path}/no.db#t": r"no.db: no such database",
        "postgresql://127.0.0.1:x/db#t": "the port is no number",
    }
    for where, line in lines.items():
        with pytest.raises(InputError, match=line) as error:
            pinned(where, 10, **asked)
        assert "\n" not in str(error.value)
    with pytest.raises(InputError, match=r"the database says: syntax error at or near"):
        pinned(uri, 10, query="SELEC 1", key="id")
    with pytest.raises(UnreachableError, match=r"127.0.0.1:1/db: can't be reached \(.*Connection refused"):
        pinned("postgresql://127.0.0.1:1/db#t", 10, **asked)
    with pytest.raises(OutsideError, match=r'the server refuses \(database "nothing" does not exist\)'):
        pinned(uri.removesuffix("postgres") + "nothing#t", 10, **asked)


def test_a_query_cannot_write(postgres_server: PostgresServer) -> None:
    postgres_server.psql("DROP SEQUENCE IF EXISTS counter; CREATE SEQUENCE counter")
    with pytest.raises(OutsideError, match="read-only transaction"):
        pinned(postgres_server.uri, 10, query="SELECT nextval('counter') AS id", key="id")


def test_a_server_that_goes_away_is_unreachable(postgres_server: PostgresServer) -> None:
    query = "SELECT n, repeat('x', 500) AS words FROM generate_series(1, 300000) n"
    file = pinned(postgres_server.uri, 100_000, query=query, key="n")
    batches = read_batches(file, ["n", "words"])
    next(batches)
    postgres_server.stop()
    try:
        with pytest.raises(UnreachableError, match=r"the server has gone away|can't be reached"):
            list(batches)
    finally:
        postgres_server.start()
    assert next(int(batch.rows[0]) for batch in read_batches(file, ["n"], first=200_001)) == 200_001


def test_a_value_that_cannot_be_computed_is_no_lost_server(postgres_server: PostgresServer) -> None:
    query = "SELECT n, 10 / (n - 5) AS quotient FROM generate_series(1, 10) n"
    file = pinned(postgres_server.uri, 10, query=query, key="n")
    with pytest.raises(InputError, match="division by zero") as error:
        list(read_batches(file))
    assert not isinstance(error.value, ChangedError)


def test_mixed_columns_of_sqlite_are_texts(sqlite: Callable[[str], str]) -> None:
    rows = ",".join(f"({n}, NULL, {n}, {n}, NULL)" for n in range(1, 3001))
    uri = sqlite(
        "CREATE TABLE mixed (id, late, number, other, empty); "
        f"INSERT INTO mixed VALUES {rows}, (4000, 2.5, 1.5, 'much', NULL)"
    )
    file = pinned(f"{uri}#mixed", 2000, key="id")
    assert dict(zip(peek(file).schema.names, map(str, peek(file).schema.types), strict=True)) == {
        "id": "int64", "late": "double", "number": "double", "other": "string", "empty": "string",
    }  # fmt: skip
    assert all_rows(file, "other")[-2:] == ["3000", "much"]
    assert all_rows(file, "number")[-2:] == [3000.0, 1.5]
    assert all_rows(file, "late")[-2:] == [None, 2.5]
    assert len(all_rows(file, "empty")) == 3001


def test_keys_of_sqlite(sqlite: Callable[[str], str]) -> None:
    uri = sqlite(
        "CREATE TABLE t (k text collate nocase, n); INSERT INTO t VALUES ('b', 2), ('A', 1), ('c''', 3), ('D', 4)"
    )
    assert all_rows(pinned(f"{uri}#t", 1, key="k"), "n") == [1, 2, 3, 4]
    file = pinned(f"{uri}#t", 3, key="k", version_column="n")
    sqlite("UPDATE t SET n = 9 WHERE k = 'a'")
    with pytest.raises(ChangedError, match=r"the n from k 'A' to 'c'''"):
        all_rows(file, "n")


def test_a_column_that_becomes_another_is_noticed(sqlite: Callable[[str], str]) -> None:
    uri = sqlite("CREATE TABLE t (k, n); INSERT INTO t VALUES (1, 2), (2, 3)")
    file = pinned(f"{uri}#t", 10, key="k")
    sqlite("UPDATE t SET n = 'x' WHERE k = 2")
    with pytest.raises(ChangedError, match="column 'n' holds string, and held int64 when the run began"):
        all_rows(file, "n")


def test_a_reader_that_is_left_closes_everything(postgres_server: PostgresServer) -> None:
    file = pinned(postgres_server.uri, 100_000, query="SELECT n FROM generate_series(1, 200000) n", key="n")
    batches = read_batches(file, ["n"])
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    open_ones = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'perennial reads' AND state <> 'idle'"
    assert postgres_server.psql(open_ones) == "0"


def test_addresses_read_as_they_are_shown(tmp_path: Path) -> None:
    for uri in (f"sqlite:///{tmp_path}/a%2541%23 ü.db#t%25", "postgresql://h/d#s%2Et.a%2541 ü"):
        database, fragment = locate(uri)
        table = table_of(database, fragment)
        again = table_of(*locate(table.shown))
        assert (again.sql, again.database.shown) == (table.sql, database.shown)
        assert again.shown == table.shown
    assert locate(f"sqlite:///{tmp_path}/a%2541%23 ü.db")[0].path.name == "a%41# ü.db"


def test_names_are_quoted(postgres_server: PostgresServer, sqlite: Callable[[str], str]) -> None:
    name, column = 'x"; DROP TABLE kept; --', "Größe \"a\" 'b'"
    for uri, run in ((postgres_server.uri, postgres_server.psql), (sqlite(""), sqlite)):
        create = f"CREATE TABLE {quoted(name)} ({quoted(column)} integer); INSERT INTO {quoted(name)} VALUES (1), (2);"
        run("DROP TABLE IF EXISTS kept; CREATE TABLE kept (id integer)")
        run(f"DROP TABLE IF EXISTS {quoted(name)}; {create}")
        assert all_rows(pinned(f"{uri}#{name}", 1, key=column), column) == [1, 2]
        run("DROP TABLE kept")


def test_a_key_with_a_zero_byte_is_named(sqlite: Callable[[str], str]) -> None:
    uri = sqlite("CREATE TABLE t (id); INSERT INTO t VALUES ('b'), ('a' || char(0) || '1'), ('a' || char(0) || '2')")
    with pytest.raises(InputError, match=r"#t: --key 'id' holds 'a\\x001', and rows can't be divided by texts with a"):
        pinned(f"{uri}#t", 2, key="id")


def test_a_forged_bound_is_not_run(sqlite: Callable[[str], str]) -> None:
    uri = sqlite("CREATE TABLE t (id); INSERT INTO t VALUES (1)")
    file = find_query(f"{uri}#t", Asked(key="id"))
    forged = bound(file, {"first": "1", "ranges": [[1, "1 OR 1 = 1", 0, None]]})
    with pytest.raises(InputError, match="the ledger holds the key '1 OR 1 = 1', which is none"):
        all_rows(forged, "id")


def test_credentials_are_never_shown() -> None:
    for uri in (
        "postgresql://me:canary@127.0.0.1:1/db#t",
        "postgresql://me:can%61ry@127.0.0.1:1/db?password=canary#t",
        "postgresql://me:c@nary:canary@127.0.0.1:1/db#t",
        "postgresql://127.0.0.1:1/db?user=me&password=canary#t",
    ):
        database, fragment = locate(uri)
        shown = [repr(database), table_of(database, fragment).shown, without_user(uri)]
        with pytest.raises(OutsideError) as error:
            find_query(uri, Asked(key="id"))
        for text in (*shown, str(error.value)):
            assert "canary" not in text and "nary" not in text and "me:" not in text
        assert without_user(uri) == "postgresql://127.0.0.1:1/db#t"
        assert "canary" in locate(without_user(uri))[0].uri or "c%40nary" in locate(without_user(uri))[0].uri


def test_each_address_keeps_its_own_user(postgres_server: PostgresServer) -> None:
    postgres_server.psql("DROP TABLE IF EXISTS mine; CREATE TABLE mine (id integer); INSERT INTO mine VALUES (1)")
    postgres_server.psql("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN")
    reads = postgres_server.uri.replace("postgres@", "reader@")
    shown = [without_user(uri) for uri in (f"{reads}#mine", f"{postgres_server.uri}#out", reads)]
    users = [urlsplit(locate(uri)[0].uri).username for uri in (*shown, f"{postgres_server.uri}#mine")]
    assert users == ["reader", "postgres", "reader", "postgres"]
    with pytest.raises(OutsideError, match="permission denied for table mine"):
        find_query(shown[0], Asked(key="id"))
    nobody = [without_user(uri) for uri in ("postgresql://h9/db#a", "postgresql://me@h9/db#b", "postgresql://h9/db#a")]
    assert [urlsplit(locate(uri)[0].uri).username for uri in nobody] == [None, "me", None]


def test_long_names_are_refused() -> None:
    with pytest.raises(InputError, match=r"has 64 bytes, and PostgreSQL takes 63"):
        table_of(locate("postgresql://h/db")[0], "ä" * 32)
    assert replace(table_of(locate("postgresql://h/db")[0], "a.b%2Ec")).sql == '"a"."b.c"'


@pytest.mark.parametrize(
    "said", ['FATAL:  password authentication failed for user "eve"', "fe_sendauth: no password supplied"]
)
def test_a_server_that_wants_another_password_is_no_outage(said: str) -> None:
    error = DatabaseError(
        f'connection to server at "127.0.0.1", port 5432 failed: {said}', status_code=AdbcStatusCode.IO
    )
    found = plain_error(locate("postgresql://db/base")[0], error, "db")
    assert type(found) is OutsideError
    assert (
        str(found)
        == f"db: the server refuses ({said.partition(':')[2].strip()}); set PGUSER and PGPASSWORD or PGPASSFILE"
    )

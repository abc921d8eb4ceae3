"""Databases: what their URIs mean, connections through ADBC, quoting, and their errors as plain lines."""

import re
import string
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

import pyarrow as pa
from adbc_driver_manager import DatabaseError, DataError
from adbc_driver_manager.dbapi import Connection

from models.errors import InputError, OutsideError, PerennialError, UnreachableError
from tasks.addresses import without_credentials

Dialect: TypeAlias = Literal["postgresql", "sqlite"]
SCHEMES: dict[str, Dialect] = {"postgresql": "postgresql", "postgres": "postgresql", "sqlite": "sqlite"}
MAKING_TABLES = 7011365
"""Key of an advisory lock."""
IDENTIFIER = 63
"""Bytes of a name in PostgreSQL, which cuts longer ones without a word."""
WAIT = "10"
"""Seconds for a server to answer."""
SHOWN_SETTINGS = ("host", "port", "dbname")
SESSION = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "standard_conforming_strings": "on",
    "default_transaction_isolation": "repeatable read",
}
"""Settings on which texts of values depend, and that a transaction sees one state of the database."""
PASSING = ("08", "40", "55P03", "57")
"""Beginnings of PostgreSQL's codes for what is over when it is tried again: connection, conflict, lock, shutdown."""
OUTSIDE = ("28", "53", "58", "42501", "25006")
"""Those for what is neither wrong in the query nor over soon: log-in, full disk, system, rights, read-only."""
REFUSAL = re.compile(r"(?:FATAL:|fe_sendauth:)(.*)")
STARTING = ("starting up", "shutting down", "recovery mode", "too many", "remaining connection slots")
NOISE = re.compile(
    r"^(?:[A-Z_]+: |\[[A-Za-z]+\] |Failed to (?:prepare query|connect): |Execution error \[\w+\]: |ERROR: +)+"
)
SMALL_LETTERS = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_USERS: dict[str, dict[str, str]] = {}
"""By shown URI, and what stands behind its "#", the one with its user, for this process alone: whatever is stored or
handed on has none."""


@dataclass(frozen=True)
class Database:
    """A database, under an address that may be shown."""

    dialect: Dialect
    shown: str
    """Its URI without user, password and settings."""
    uri: str = field(repr=False, compare=False)
    """With all that connecting takes."""

    @property
    def path(self) -> Path:
        """The file of an SQLite database."""
        return Path(self.uri)

    def folded(self, name: str) -> str:
        """The same for all names that the database takes for one: SQLite does not tell ASCII's capitals apart."""
        return name.translate(SMALL_LETTERS) if self.dialect == "sqlite" else name


@dataclass(frozen=True)
class Table:
    """A table of a database."""

    database: Database
    schema: str | None
    """None where the server's search path decides, and in SQLite."""
    name: str

    @property
    def shown(self) -> str:
        """Its URI, without credentials."""
        names = ".".join(_escaped(name, "%.") for name in (self.schema, self.name) if name)
        return f"{self.database.shown}#{names}"

    def beside(self, suffix: str) -> "Table":
        """The table whose name goes on with `suffix`."""
        return replace(self, name=self.name + suffix)

    @property
    def sql(self) -> str:
        """Its quoted name."""
        return ".".join(quoted(name) for name in (self.schema, self.name) if name)


def is_database(uri: str) -> bool:
    """Whether an input or output is one of a database."""
    return uri.partition("://")[0].lower() in SCHEMES and "://" in uri


def without_user(uri: str) -> str:
    """The URI as it may be shown and stored; this process still connects with the user and password in it."""
    if not is_database(uri):
        return uri
    database, fragment = _located(uri)
    shown = f"{database.shown}#{fragment}" if fragment else database.shown
    known = _USERS.setdefault(database.shown, {})
    if _connects_otherwise(database):
        known[fragment] = database.uri
    else:
        # What was given without a user is not to connect with that of another table.
        known.setdefault(fragment, database.uri)
    return shown


def locate(uri: str) -> tuple[Database, str]:
    """The database, and what stands behind "#". Raises InputError for what is no such URI."""
    database, fragment = _located(uri)
    if _connects_otherwise(database):
        return database, fragment
    known = _USERS.get(database.shown, {})
    common = database.uri if len(set(known.values())) != 1 else next(iter(known.values()))
    return replace(database, uri=known.get(fragment, common)), fragment


def _connects_otherwise(database: Database) -> bool:
    """Whether its URI holds a user, a password or settings, which the one that is shown does not."""
    return database.uri != _located(database.shown)[0].uri


def table_of(database: Database, fragment: str) -> Table:
    """The table of a fragment, `table` or `schema.table`; %2E stands for a dot in a name. Raises InputError."""
    names = [unquote(name) for name in fragment.split(".")]
    if len(names) > (2 if database.dialect == "postgresql" else 1) or not all(names):
        raise InputError(f"{database.shown}#{fragment}: no name of a table; give table, or schema.table in PostgreSQL")
    for name in names:
        require_name(database, name)
    return Table(database, names[0] if len(names) == 2 else None, names[-1])


def require_name(database: Database, name: str) -> None:
    """Passes names that the database keeps as they are. Raises InputError for others."""
    if "\0" in name:
        raise InputError(f"{database.shown}: {name!r}: a name can't hold a zero byte")
    size = len(name.encode())
    if database.dialect == "postgresql" and size > IDENTIFIER:
        raise InputError(
            f"{database.shown}: the name {name!r} has {size} bytes, and PostgreSQL takes {IDENTIFIER}; shorten it"
        )


def quoted(name: str) -> str:
    """The name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """The text as an SQL literal, where backslashes stand for themselves (see `SESSION`)."""
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def connected(database: Database, label: str, writes: bool = False) -> Iterator[Connection]:
    """A connection, closed after the block, whose statements are one transaction until it is committed.

    `label` is how the server lists it. Raises UnreachableError, or OutsideError where it refuses.
    """
    with closing(connect(database, label, writes)) as connection:
        yield connection


def connect(database: Database, label: str, writes: bool = False) -> Connection:
    """As `connected`, to be closed by the caller."""
    with plain_errors(database):
        if database.dialect == "sqlite":
            return _open(database, writes)
        from adbc_driver_postgresql.dbapi import connect as connect_postgresql

        connection: Connection = connect_postgresql(database.uri)
        settings = SESSION | {"application_name": label[:IDENTIFIER]}
        settings |= {} if writes else {"default_transaction_read_only": "on"}
        setting = ", ".join(f"set_config({literal(k)}, {literal(v)}, false)" for k, v in settings.items())
        rows(connection, f"SELECT {setting}")
        connection.commit()
        return connection


def _open(database: Database, writes: bool) -> Connection:
    from adbc_driver_sqlite.dbapi import connect as connect_sqlite

    if not writes and not database.path.is_file():
        raise InputError(f"{database.shown}: no such database")
    if not database.path.parent.is_dir():
        raise InputError(f"{database.shown}: there is no folder {database.path.parent}")
    opened: Connection = connect_sqlite(f"file:{quote(str(database.path))}?mode={'rwc' if writes else 'ro'}")
    return opened


def rows(connection: Connection, sql: str, parameters: tuple[Any, ...] = ()) -> list[dict[str, Any]]:
    """All rows of a small result."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters=parameters or None)
        found: list[dict[str, Any]] = cursor.fetch_arrow_table().to_pylist()
        return found


def run(connection: Connection, *statements: str) -> None:
    """Executes statements without results."""
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


def answers(connection: Connection) -> bool:
    """Whether the server is still there."""
    try:
        connection.rollback()
        rows(connection, "SELECT 1")
    except (DatabaseError, OSError):
        return False
    return True


@contextmanager
def plain_errors(database: Database, of: str | None = None) -> Iterator[None]:
    """Errors of the driver become UnreachableError, OutsideError, or InputError with what the database says.

    `of` names what is worked with; else it is the database.
    """
    try:
        yield
    except (DatabaseError, pa.ArrowException, OSError) as error:
        raise plain_error(database, error, of or database.shown) from None


def plain_error(database: Database, error: Exception, of: str) -> PerennialError:
    """What a driver's error comes to."""
    says = _said(database, error)
    code = getattr(error, "sqlstate", None) or ""
    refuses = REFUSAL.search(says)
    if refuses and not code and not any(word in says for word in STARTING):
        advice = "; set PGUSER and PGPASSWORD or PGPASSFILE" if "password" in says or "role" in says else ""
        return OutsideError(f"{of}: the server refuses ({refuses[1].strip()}){advice}")
    if code.startswith(PASSING) or (not code and _is_gone(database, error, says)):
        return UnreachableError(f"{of}: can't be reached ({says})")
    if code.startswith(OUTSIDE) or any(word in says for word in ("readonly", "disk is full", "unable to open")):
        return OutsideError(f"{of}: the database refuses ({says})")
    return InputError(f"{of}: the database says: {says}")


def _is_gone(database: Database, error: Exception, says: str) -> bool:
    if database.dialect == "sqlite":
        return "locked" in says or "busy" in says
    return not isinstance(error, DataError) and any(word in says for word in ("onnect", "server", "SSL"))


def _said(database: Database, error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    text = without_credentials(NOISE.sub("", lines[0]).removesuffix(".").strip())
    for secret in _secrets(database.uri) if database.dialect == "postgresql" else ():
        text = text.replace(secret, "***")
    return text


def _secrets(uri: str) -> Iterator[str]:
    parts = urlsplit(uri)
    for secret in (parts.password, dict(parse_qsl(parts.query)).get("password")):
        if secret:
            yield from (secret, unquote(secret))


def _located(uri: str) -> tuple[Database, str]:
    scheme, _, rest = uri.partition("://")
    dialect = SCHEMES[scheme.lower()]
    address, _, fragment = rest.partition("#")
    if dialect == "sqlite":
        named = unquote(address.removeprefix("/"))
        if not named or not address.startswith("/") or named.endswith("/"):
            raise InputError(
                f"{uri}: names no file; write sqlite:///file.db#table, or four strokes before a path from the root"
            )
        path = str(Path(named).expanduser().resolve())
        return Database("sqlite", f"sqlite:///{_escaped(path, '%#')}", path), fragment
    parts = urlsplit(f"postgresql://{address}")
    try:
        host = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        raise InputError(
            "postgresql://...: the port is no number; in a user or password write %3A for :, %2F for /, %23 for #, "
            "%40 for @, or leave them to PGUSER and PGPASSWORD"
        ) from None
    settings = parse_qsl(parts.query)
    kept = urlencode([(name, value) for name, value in settings if name in SHOWN_SETTINGS])
    waiting = [] if any(name == "connect_timeout" for name, _ in settings) else [("connect_timeout", WAIT)]
    netloc = parts.netloc.rpartition("@")[2]
    if parts.username is not None:
        # Here the last @ counts, and for the driver the first one.
        names = [unquote(name) for name in (parts.username, parts.password) if name is not None]
        netloc = f"{':'.join(quote(name, safe='') for name in names)}@{netloc}"
    whole = parts._replace(netloc=netloc, query=urlencode(settings + waiting)).geturl()
    return Database("postgresql", f"postgresql://{host}{parts.path}{'?' if kept else ''}{kept}", whole), fragment


def _escaped(text: str, letters: str) -> str:
    """Readable, but for what has a meaning in the URI."""
    return "".join(f"%{ord(letter):02X}" if letter in letters else letter for letter in text)


@contextmanager
def alone_in_making_tables(connection: Connection, database: Database) -> Iterator[None]:
    """In PostgreSQL two that find a table missing at once would collide; the lock outlives no connection."""
    if database.dialect != "postgresql":
        yield
        return
    rows(connection, f"SELECT CAST(pg_advisory_lock({MAKING_TABLES}) AS text)")
    # What others have made meanwhile is seen by a transaction that begins now.
    connection.commit()
    yield
    rows(connection, f"SELECT CAST(pg_advisory_unlock({MAKING_TABLES}) AS text)")
    connection.commit()

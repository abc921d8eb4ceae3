"""The [[actions]] of a model file: which predictions are acted upon, and where their rows go."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, field_validator, model_validator

from models.classes import Classes
from models.condition import condition_problems, outputs_of, parse_condition
from models.sections import LONGEST_PATH, Section

Carriage = Literal["http", "folder", "table"]
STORES = ("s3", "gs", "gcs", "abfs", "abfss", "file")
DATABASES = ("postgresql", "sqlite")
IDENTITY = ("model", "model_version", "run_id", "source", "row")
"""Columns that go along with every row."""
ADDED = ("action", "idempotency_key")
"""What an endpoint is told besides."""
ADVICE = "take it out; credentials come from the environment"
SECRET = re.compile(
    r"password|passwd|secret|token|credential|signature|(api|access|account|private|shared|subscription)[-_]?key"
    r"|^(key|code|pwd|pass|auth|authorization|bearer|sas|sig)$",
    re.IGNORECASE,
)
"""Names of settings behind a '?' whose values give access."""
OURS = ("perennial_deliveries", "perennial_ledger")
"""Tables that tell what is delivered and scored."""
TABLE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)?")
VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")


class Action(Section):
    """Rows whose prediction meets a condition, and where they go."""

    name: str = Field(pattern=r"^\w[\w-]{0,99}$")
    when: str = Field(max_length=4000, description="condition on the prediction columns")
    to: str = Field(max_length=LONGEST_PATH, description="folder, http(s) address, or database#table")
    columns: tuple[str, ...] | None = Field(
        None, description="columns of the input and of the predictions that are sent; the predictions' if not given"
    )
    retries: int = Field(5, ge=0, le=100, description="tries after the first one that failed")
    timeout: float = Field(10.0, gt=0, le=3600, description="http only: seconds")
    token_env: str | None = Field(None, description="http only: environment variable that holds a bearer token")

    @field_validator("when")
    @classmethod
    def _a_condition(cls, when: str) -> str:
        parse_condition(when)
        return when

    @field_validator("columns")
    @classmethod
    def _own_columns(cls, columns: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in columns or ():
            if name in IDENTITY + ADDED:
                raise ValueError(f"{name!r} goes along by itself; remove it")
        return columns and tuple(dict.fromkeys(columns))

    # The whole section is looked at, since pydantic tells the value that a single key has, which may be a secret.
    @model_validator(mode="after")
    def _a_place_without_secrets(self) -> "Action":
        problems = [*_place_problems(self.to), *self._http_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _http_problems(self) -> Iterator[str]:
        if self.token_env is not None and not VARIABLE.fullmatch(self.token_env):
            yield "token_env: give the name of an environment variable, in capitals, and never the token itself"
        for key in ("timeout", "token_env"):
            if self.carriage != "http" and getattr(self, key) != type(self).model_fields[key].default:
                yield f"{key}: for http(s) addresses only; remove it"

    @property
    def carriage(self) -> Carriage:
        """How rows get there."""
        scheme = _scheme(self.to)
        return "http" if scheme in ("http", "https") else "table" if scheme in DATABASES else "folder"

    def placed(self, folder: Path) -> "Action":
        """The action with a relative folder, or file of SQLite, beginning at `folder`."""
        scheme = _scheme(self.to)
        if scheme == "sqlite":
            path, _, table = self.to.partition(":///")[2].partition("#")
            return self.model_copy(update={"to": f"sqlite:///{(folder / path).resolve()}#{table}"})
        return self if scheme else self.model_copy(update={"to": str((folder / self.to).resolve())})


def _scheme(place: str) -> str:
    return place.partition("://")[0].lower() if "://" in place else ""


def _place_problems(place: str) -> Iterator[str]:
    """Lines about an address that leads nowhere or holds a secret; none of them shows it."""
    scheme = _scheme(place)
    if not place.strip() or "\0" in place:
        yield "to: give a folder, an http(s) address, or a database and its table"
    if not scheme:
        return
    try:
        parts = urlsplit(place)
        user, password, host, _ = parts.username, parts.password, parts.hostname, parts.port
    except ValueError:
        yield "to: not an address; look at its brackets and port"
        return
    if password is not None or (user is not None and scheme not in DATABASES):
        yield f"to: the address holds a user or password; {ADVICE}"
    if any(SECRET.search(key.strip()) for key, _ in parse_qsl(parts.query.replace(";", "&"), keep_blank_values=True)):
        yield f"to: the address holds a secret behind its '?'; {ADVICE}"
    yield from _address_problems(scheme, host, parts.path, parts.fragment)


def _address_problems(scheme: str, host: str | None, path: str, fragment: str) -> Iterator[str]:
    if scheme not in ("http", "https", *STORES, *DATABASES):
        yield f"to: {scheme!r} is no place that rows go to; known are http, https, {', '.join(STORES + DATABASES)}"
    elif scheme in DATABASES and not TABLE.fullmatch(fragment):
        yield "to: name the table behind a '#', as in sqlite:///shop.db#refunds"
    elif scheme in DATABASES and fragment.rpartition(".")[2].lower() in OURS:
        yield f"to: the table {fragment} tells what was done, and takes no rows; choose another table"
    elif scheme == "sqlite" and (host or path in ("", "/")):
        yield "to: give a file behind three strokes, as in sqlite:///shop.db#refunds"
    elif scheme in ("http", "https", "postgresql") and not host:
        yield "to: the address names no host"
    elif scheme in ("http", "https") and not _may_be_called(host or ""):
        yield "to: no host can be called so; between its dots are 1 to 63 letters, digits and '-'"


def _may_be_called(host: str) -> bool:
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def action_problems(actions: Sequence[Action], classes: Classes) -> Iterator[str]:
    """A line for each name, class and type in a condition that predictions of these classes don't have.

    A regression has no classes.
    """
    for action in actions:
        for problem in condition_problems(parse_condition(action.when), classes):
            yield f"actions.{action.name}.when: {problem}"


def sent_columns(action: Action, classes: Classes) -> tuple[str, ...]:
    """What is sent of each row, besides what names the row and its version."""
    return outputs_of(classes) if action.columns is None else action.columns


def repeated_names(actions: Sequence[object]) -> Iterator[str]:
    """A line for each name that an earlier action has; `actions` are as the file gives them."""
    names = [action.get("name") for action in actions if isinstance(action, dict)]
    for name in dict.fromkeys(name for name in names if isinstance(name, str) and names.count(name) > 1):
        yield f"actions: {names.count(name)} are called {name!r}; rename all but one"

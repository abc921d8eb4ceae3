"""What a command leaves on the screen: lines for people, one JSON object for machines, errors as plain lines."""

import json
import os
import shutil
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.errors import InputError, OutsideError, PerennialError
from tasks.addresses import without_credentials

CLIENTS_OF_PREFECT = ("httpx", "httpcore")
LITTLE = 5_000_000
"""Bytes of free disk with which a database may not be able to write any more."""

if TYPE_CHECKING:
    from flows.results import OnRows, Promoted, Retrained, Trained


def show(result: Any, as_json: bool, lines: Sequence[str]) -> None:
    """Prints the lines; with --json, the result alone as one line."""
    print(
        json.dumps(_plain(result) if is_dataclass(result) else result, default=_plain) if as_json else "\n".join(lines)
    )


def tell_error(error: Exception, debug: bool, as_json: bool) -> int:
    """The exit code, after the error was told: one line a problem, or its traceback when debugging.

    An error that nobody planned counts as outside: nobody's input was wrong, and 1 would be read as a judgement.
    """
    code = error.exit_code if isinstance(error, PerennialError) else OutsideError.exit_code
    problems = _problems(error)
    if debug:
        traceback.print_exception(error)
    else:
        print("\n".join(problems), file=sys.stderr)
    show_problems(problems, code, as_json)
    return code


def show_problems(problems: Sequence[str], code: int, as_json: bool) -> None:
    """With --json, the problems as the last line of standard output."""
    if as_json:
        print(json.dumps({"error": list(problems), "exit_code": code}))


@contextmanager
def without_warnings(debug: bool) -> Iterator[None]:
    """Warnings that libraries address to programmers stay off the screen, except when debugging."""
    with warnings.catch_warnings():
        if not debug:
            # Not a filter: libraries set their own when they are imported.
            warnings.showwarning = _ignore
        yield


def rows_line(data: "OnRows") -> list[str]:
    """One line about rejected rows, where there are any."""
    if not data.rejected:
        return []
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in data.reject_reasons.items())
    return [f"{data.rows:,} of {data.read:,} rows used, {data.rejected:,} rejected ({reasons}): {data.rejects}"]


def trained_lines(trained: "Trained") -> list[str]:
    """The new version, how good it is, and what to do next."""
    figures = [f"  {name.replace('_', ' ')}: {value:.4f}" for name, value in trained.metrics.items()]
    head = f"{trained.model} version {trained.version} is trained and waits as challenger; on unseen rows:"
    return [head, *figures, f"next: perennial promote {trained.model}"]


def verdict_lines(verdict: "Promoted | Retrained") -> list[str]:
    """Who was judged and how, then a line a reason; that nothing changed where there was nothing to judge."""
    who = f"{verdict.model} version {verdict.version}"
    heads = {
        "yes": f"{who} is champion now:",
        "no": f"{who} is refused:",
        "undecided": f"{who} stays challenger, the judgement is undecided:",
        "waiting": f"{who} passes its gates and waits for approval:",
        "unchanged": f"unchanged: {who} was made from the same data, model file and code",
        "skipped": f"skipped, {who} stays the newest:",
    }
    approve = (
        f"next: perennial promote {verdict.model} --version {verdict.version} --approve REASON   (or --reject REASON)"
    )
    asks = [approve] if verdict.outcome == "waiting" else []
    return [heads[verdict.outcome], *(f"  {reason}" for reason in verdict.reasons), *asks]


def _problems(error: Exception) -> list[str]:
    if isinstance(error, InputError):
        return list(error.problems)
    if isinstance(error, PerennialError):
        return [str(error)]
    first = without_credentials(next(iter(str(error).splitlines()), ""))
    if any(base.__module__.partition(".")[0] in CLIENTS_OF_PREFECT for base in type(error).__mro__):
        return [_of_prefect(getattr(getattr(error, "response", None), "status_code", None), first)]
    return [f"unexpected {type(error).__name__}: {first}; run it again with --debug to see where"]


def _of_prefect(status: int | None, first: str) -> str:
    """`status` is that of an answer; None where there was none."""
    server = f"Prefect at {without_credentials(os.environ.get('PREFECT_API_URL', 'its address'))}"
    if status == HTTPStatus.UNAUTHORIZED:
        return f"{server} asks for user and password; set PREFECT_API_AUTH_STRING to USER:PASSWORD"
    what = f"failed (status {status})" if status else f"can't be reached ({first})"
    return f"{server} {what}; {_little_room() or '`perennial history` tells what was done before'}"


def _little_room() -> str:
    """That the state folder's disk is full, on which a server of this machine fails without saying why."""
    home = Path(os.environ.get("PERENNIAL_HOME", ""))
    free = shutil.disk_usage(home).free if home.is_dir() else LITTLE
    return f"only {free / 1e6:.1f} MB are left on the disk of {home}: make room" if free < LITTLE else ""


def _plain(value: Any) -> Any:
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else str(value)


def _ignore(*_: object, **__: object) -> None:
    return

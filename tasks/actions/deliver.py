"""Delivering what the outbox holds: at least once, and not again what has a receipt."""

import errno
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models.actions import Action
from models.errors import InputError, OutsideError, PerennialError
from tasks.actions.circuit import Circuit, Pace, Trial
from tasks.actions.endpoint import Endpoint, token_of
from tasks.actions.journal import Journal, locked
from tasks.actions.letters import Answer, Carrier, Letter, Parcel
from tasks.actions.whole import Folder, OpenTable, Table

PACE = Pace()


class UnreconciledError(PerennialError):
    """Receipts and dead letters are not those of the rows."""


@dataclass(frozen=True)
class Delivered:
    """What became of the rows that an action has taken; `selected` is the sum of the others."""

    action: str
    selected: int
    delivered: int
    dead: int


@dataclass(frozen=True)
class _Outcome:
    letter: Letter
    answer: Answer
    attempts: int

    def entry(self) -> dict[str, Any]:
        """Of the journal of receipts, or of dead letters, which hold the letter as well."""
        told = {
            "key": self.letter.key,
            "rows": self.letter.rows,
            "status": self.answer.status,
            "attempts": self.attempts,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if self.answer.delivered:
            return told
        return told | {"reason": self.answer.reason, "letter": json.loads(self.letter.body)}


def require_tokens(actions: Iterable[Action]) -> None:
    """Passes when every token that an action needs is in the environment. Raises InputError for each that is not."""
    problems: list[str] = []
    for action in actions:
        try:
            token_of(action)
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(*problems)


def deliver(
    action: Action,
    parcels: Sequence[Parcel],
    run_id: str,
    open_table: OpenTable,
    *,
    again: bool = False,
    on_rows: Callable[[int], None] | None = None,
    pace: Pace = PACE,
) -> Delivered:
    """Delivers each row of the parcels that has neither a receipt nor, unless `again`, a dead letter.

    A process that is killed may leave letters which arrived and have no receipt: they are sent again under the same
    key, so a receiver that knows its keys acts once. `on_rows` is told the rows done. Raises InputError when a token is
    missing, OutsideError when a journal can't be written or another process delivers the same; that nothing can be
    delivered raises nothing, but is told by dead letters.
    """
    with _sender(action, run_id, open_table, pace) as sender:
        return _total(action, [_deliver_parcel(sender, parcel, again, on_rows) for parcel in parcels])


def _total(action: Action, counts: Sequence[Delivered]) -> Delivered:
    return Delivered(
        action.name,
        sum(count.selected for count in counts),
        sum(count.delivered for count in counts),
        sum(count.dead for count in counts),
    )


def _deliver_parcel(sender: "_Sender", parcel: Parcel, again: bool, on_rows: Callable[[int], None] | None) -> Delivered:
    try:
        with locked(parcel.receipts):
            receipts, dead = Journal(parcel.receipts), Journal(parcel.dead)
            done = receipts.rows.keys() if again else receipts.rows.keys() | dead.rows.keys()
            for outcomes in sender.send(parcel, frozenset(done)):
                receipts.append([outcome.entry() for outcome in outcomes if outcome.answer.delivered])
                dead.append([outcome.entry() for outcome in outcomes if not outcome.answer.delivered])
                if on_rows:
                    on_rows(sum(outcome.letter.rows for outcome in outcomes))
            left = frozenset(dead.rows.keys() - receipts.rows.keys())
            if dead.rows and (again or len(left) < len(dead.rows)):
                dead.keep(left)
            return _reconciled(sender.action, parcel, receipts, dead)
    except pa.ArrowInvalid as error:
        raise OutsideError(f"{parcel.outbox}: damaged ({str(error).splitlines()[0]}); score these rows again") from None
    except OSError as error:
        what = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
        where = error.filename or parcel.outbox.parent
        raise OutsideError(f"{where}: {what}; start again, and what has a receipt is not sent twice") from None


def _reconciled(action: Action, parcel: Parcel, receipts: Journal, dead: Journal) -> Delivered:
    """The counts. Raises UnreconciledError when they don't add up."""
    selected = int(pq.read_metadata(parcel.outbox).num_rows)
    told = Delivered(action.name, selected, sum(receipts.rows.values()), sum(dead.rows.values()))
    if told.delivered + told.dead != selected:
        raise UnreconciledError(
            f"{parcel.outbox}: {selected} rows, but {told.delivered} have receipts and {told.dead} are dead letters; "
            "the files are not of one run"
        )
    return told


@contextmanager
def _sender(action: Action, run_id: str, open_table: OpenTable, pace: Pace) -> Iterator["_Sender"]:
    sender = _Sender(action, _carrier(action, run_id, open_table, pace), pace)
    try:
        yield sender
    finally:
        sender.close()


def _carrier(action: Action, run_id: str, open_table: OpenTable, pace: Pace) -> Carrier:
    if action.carriage == "http":
        return Endpoint(action, run_id, pace.threads)
    return Folder(action, run_id) if action.carriage == "folder" else Table(action, run_id, open_table)


class _Sender:
    """Sends the letters of one action, several at once, each as often as it takes."""

    def __init__(self, action: Action, carrier: Carrier, pace: Pace) -> None:
        self.action = action
        self._carrier, self._pace = carrier, pace
        self._circuit = Circuit(pace)
        self._pool = ThreadPoolExecutor(pace.threads)

    def send(self, parcel: Parcel, done: frozenset[str]) -> Iterator[list[_Outcome]]:
        """What came of the letters, as it comes; only so many are on their way that memory stays small."""
        waiting: set[Future[_Outcome]] = set()
        for letter in self._carrier.letters(parcel, done):
            waiting.add(self._pool.submit(self._try, letter, parcel))
            if len(waiting) >= 2 * self._pace.threads:
                ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield [future.result() for future in ended]
        while waiting:
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield [future.result() for future in ended]

    def _try(self, letter: Letter, parcel: Parcel) -> _Outcome:
        attempts = failures = 0
        while (trial := self._circuit.enter()) is not Trial.NONE:
            answer = self._carrier.send(letter, parcel)
            self._circuit.tell(trial, answer)
            attempts += 1
            failures += trial is Trial.USUAL
            if not answer.passing or failures > self.action.retries:
                return _Outcome(letter, answer, attempts)
            self._circuit.pause(max(self._pace.pause(failures - 1), min(answer.wait, self._pace.asked)))
        return _Outcome(letter, self._circuit.verdict(), attempts)

    def close(self) -> None:
        """Lets go of threads and connections, also in the middle of a pause."""
        self._circuit.end()
        self._pool.shutdown(cancel_futures=True)
        self._carrier.close()

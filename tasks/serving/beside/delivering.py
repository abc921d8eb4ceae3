"""Delivering what live decisions lead to: segments become parcels, delivered as those of batch scoring are."""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from models.actions import Action
from tasks.actions.circuit import Pace
from tasks.actions.deliver import Delivered, UnreconciledError, deliver
from tasks.actions.journal import mend, read_rows
from tasks.actions.letters import Parcel
from tasks.actions.outbox import write_outbox
from tasks.actions.whole import OpenTable
from tasks.aside import HeldError, flush_to_disk, held
from tasks.serving.beside.boxes import NEW
from tasks.serving.beside.damaged import LINES, set_aside, take_back
from tasks.serving.beside.decisions import together
from tasks.serving.beside.segments import ENDING, left_segments, read_pieces

LOG = logging.getLogger("perennial.serve")
LIVE = Pace(silences=3, probes=1 << 40)
"""As in batch scoring, but a place that does not answer is waited for as long as it takes."""
LOOK_SECONDS, TROUBLE_SECONDS, HELD_SECONDS, OLD_SECONDS = 0.1, 5.0, 0.5, 60.0
TOLD_SECONDS = 60.0
"""Between lines that say the same."""
GATHER_SECONDS = 5.0
"""In which rows come together that go to a folder or a table, where a parcel is a file or a transaction."""
AT_ONCE = 4
"""Lots of parcels: rows that are refused for a while keep no later ones from being delivered."""
MOST_SEGMENTS = 500
"""Of a parcel."""
MOST_SEEN = 100_000
"""Rows of an action that are known when they come again."""
LOCK = ".deliverer.lock"
Named: TypeAlias = tuple[str, int]
"""The id of a request and the number of a row within it."""


class Delivery:
    """One action of one folder, as long as no other process delivers it."""

    def __init__(self, folder: Path, action: Action, run_id: str, open_table: OpenTable, again: bool) -> None:
        """`again` has dead letters sent once more, and looks whether what was damaged was mended, at first."""
        self._folder, self._action, self._run_id = folder, action, run_id
        self._open_table = open_table
        self._redelivers, self._again = again, set[Path]()
        self._settled: set[Path] = set()
        """Parcels with dead letters, which wait for somebody to look at them."""
        self._whole: set[Path] = set()
        """Parcels that were read."""
        self._failed: dict[Path, float] = {}
        """Parcels whose delivery an error has ended, which are delivered alone, and when."""
        self._seen: OrderedDict[Named, None] = OrderedDict()
        self._rolled = -GATHER_SECONDS
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._busy: dict[Future[Delivered], list[Parcel]] = {}
        self._told, self._told_at = "", 0.0

    def run(self, asked_to_end: Callable[[], bool]) -> None:
        """Delivers until it is asked to end and nothing is left."""
        while True:
            try:
                with held(self._folder / LOCK, "delivers"):
                    self._go_on(asked_to_end)
                    return
            except HeldError:
                # The server that has it delivers our rows too.
                if asked_to_end():
                    return
                time.sleep(HELD_SECONDS)
            except OSError as error:
                self._tell(error)
                if asked_to_end():
                    return
                time.sleep(TROUBLE_SECONDS)

    def _go_on(self, asked_to_end: Callable[[], bool]) -> None:
        recovered = False
        while True:
            ending, begun = asked_to_end(), False
            try:
                if not recovered:
                    self._recover()
                    recovered = True
                begun = len(self._busy) < AT_ONCE and self._begin(ending)
            except Exception as error:
                # Whatever it is: without this thread nothing of the action would be delivered.
                self._tell(error)
                if not ending:
                    time.sleep(TROUBLE_SECONDS)
            if self._busy:
                done, _ = wait(self._busy, LOOK_SECONDS, FIRST_COMPLETED)
                for future in done:
                    self._finish(future)
            elif ending and not begun:
                return
            else:
                time.sleep(LOOK_SECONDS)

    def _begin(self, ending: bool) -> bool:
        """Whether there are parcels that nobody delivers yet, which are delivered now."""
        if ending or self._action.carriage == "http" or time.monotonic() - self._rolled >= GATHER_SECONDS:
            self._rolled = time.monotonic()
            self._roll()
        busy = {parcel.outbox for parcels in self._busy.values() for parcel in parcels}
        found = [
            parcel
            for parcel in self._parcels()
            if parcel.outbox not in busy | self._settled
            and self._failed.get(parcel.outbox, 0.0) <= time.monotonic()
            and (parcel.outbox in self._whole or self._look_into(parcel) is not None)
        ]
        # One that fails would keep those that are delivered with it from arriving.
        fresh = [parcel for parcel in found if parcel.outbox not in self._failed]
        alone = [parcel for parcel in found if parcel.outbox in self._failed][:1]
        for parcels in filter(None, (fresh, alone)):
            again = not self._again.isdisjoint(parcel.outbox for parcel in parcels)
            work = partial(deliver, self._action, parcels, self._run_id, self._open_table, again=again, pace=LIVE)
            self._busy[self._pool.submit(work)] = parcels
        return bool(found)

    def _look_into(self, parcel: Parcel) -> list[Named] | None:
        """Each row's request and number; None where the parcel can't be delivered now.

        One that is damaged is set aside, as are damaged lines of its journals.
        """
        try:
            with pq.ParquetFile(parcel.outbox, page_checksum_verification=True) as file:
                rows = file.read()
            if not _names_rows(rows):
                raise ValueError("it has no column of requests, or none of their rows")
            found = _named(rows)
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, MemoryError) or getattr(error, "errno", None) is not None:
                # The machine's, and not the file's.
                self._fail([parcel], error)
            else:
                self._set_aside(parcel, str(error))
            return None
        for journal in (parcel.receipts, parcel.dead):
            aside = journal.with_suffix(LINES)
            lines = mend(journal, aside)
            if lines:
                LOG.error(
                    "%s: %d lines are damaged; they are kept in %s, and what they told is sent again",
                    journal, lines, aside.name,
                )  # fmt: skip
        self._whole.add(parcel.outbox)
        return found

    def _set_aside(self, parcel: Parcel, why: str) -> None:
        set_aside(parcel.outbox, why.strip().splitlines()[0], (parcel.receipts, parcel.dead))

    def _finish(self, future: "Future[Delivered]") -> None:
        parcels = self._busy.pop(future)
        try:
            told = future.result()
            if told.dead:
                self._tell_dead(told)
            for parcel in parcels:
                self._take_away(parcel)
                self._failed.pop(parcel.outbox, None)
                self._again.discard(parcel.outbox)
        except Exception as error:
            self._fail(parcels, error)

    def _fail(self, parcels: Sequence[Parcel], error: Exception) -> None:
        """Has them looked at anew, and delivered one by one, each again after a while."""
        alone = len(parcels) == 1
        self._whole -= {parcel.outbox for parcel in parcels}
        if alone:
            try:
                if isinstance(error, UnreconciledError):
                    self._set_aside(parcels[0], str(error))
                    return
            except OSError as refused:
                error = refused
            self._tell(error)
        until = time.monotonic() + (TROUBLE_SECONDS if alone else 0.0)
        self._failed |= {parcel.outbox: until for parcel in parcels}

    def _take_away(self, parcel: Parcel) -> None:
        self._whole.discard(parcel.outbox)
        if read_rows(parcel.dead):
            self._settled.add(parcel.outbox)
            return
        # What tells that all has arrived goes last.
        for path in (parcel.outbox, parcel.dead, parcel.receipts):
            path.unlink(missing_ok=True)

    def _tell(self, error: Exception) -> None:
        """Tells what is wrong, the same once a minute; all is tried again later."""
        text = (str(error) or repr(error)).splitlines()[0]
        if text != self._told or time.monotonic() - self._told_at > TOLD_SECONDS:
            self._told, self._told_at = text, time.monotonic()
            LOG.error("actions.%s: %s", self._action.name, text)

    def _parcels(self) -> list[Parcel]:
        boxes = sorted(self._folder.glob("[!.]*.parquet"))
        return [
            Parcel(box.stem, box, box.with_suffix(".receipts.jsonl"), box.with_suffix(".dead.jsonl")) for box in boxes
        ]

    def _tell_dead(self, told: Delivered) -> None:
        LOG.error(
            "actions.%s: %d rows could not be delivered; the reasons are in %s/*.dead.jsonl, and --redeliver sends "
            "them again at the next start", self._action.name, told.dead, self._folder,
        )  # fmt: skip

    def _recover(self) -> None:
        """Takes away what a killed process has left half done, and learns which rows are there already."""
        if self._redelivers:
            take_back(self._folder)
            self._again = {parcel.outbox for parcel in self._parcels()}
        for path in self._folder.glob(".*.partial"):
            path.unlink(missing_ok=True)
        for path in (self._folder / NEW).glob(f".*{ENDING}"):
            # Nothing was ever written to it, unless somebody is about to.
            if time.time() - path.stat().st_mtime > OLD_SECONDS:
                path.unlink(missing_ok=True)
        for path in self._folder.glob("*.receipts.jsonl"):
            if not path.with_name(path.name.replace(".receipts.jsonl", ".parquet")).exists():
                path.unlink()
        for parcel in self._parcels():
            self._remember(self._look_into(parcel) or ())

    def _roll(self) -> None:
        """Makes parcels of the segments that are there; a kill meanwhile leaves rows in both, which are known then."""
        with left_segments(self._folder / NEW, MOST_SEGMENTS, self._tell) as segments:
            pieces = dict(self._readable(segments))
            whole = [table for each in pieces.values() for table in each if table is not None and _names_rows(table)]
            for rows in together(whole):
                new = self._unseen(rows)
                if new:
                    self._write_parcel(rows.take(pa.array([*new.values()])))
                    self._remember(new)
            for path, each in pieces.items():
                self._leave(path, sum(table is None or not _names_rows(table) for table in each))
            if pieces:
                flush_to_disk(self._folder / NEW)
        while len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)

    def _readable(self, segments: Sequence[Path]) -> Iterator[tuple[Path, list[pa.Table | None]]]:
        """With what is in them; one that the disk does not give is told, and keeps no other from being taken."""
        for path in segments:
            try:
                yield path, read_pieces(path)
            except OSError as error:
                self._tell(error)

    def _leave(self, segment: Path, damaged: int) -> None:
        """What could be read of it is in parcels now."""
        if damaged:
            set_aside(segment, f"{damaged} pieces can't be read, which may be what a killed process had begun to write")
        else:
            segment.unlink()

    def _write_parcel(self, rows: pa.Table) -> None:
        name = f"{time.time_ns():020d}-{uuid4().hex[:8]}"
        aside = self._folder / f".{name}.partial"
        write_outbox(aside, rows)
        aside.replace(self._folder / f"{name}.parquet")
        flush_to_disk(self._folder)

    def _unseen(self, rows: pa.Table) -> dict[Named, int]:
        """The position of each row that is the first of its request and number, as far as is known."""
        found: dict[Named, int] = {}
        for place, named in enumerate(_named(rows)):
            if named not in self._seen:
                found.setdefault(named, place)
        return found

    def _remember(self, named: Iterable[Named]) -> None:
        self._seen |= dict.fromkeys(named)


def _names_rows(rows: pa.Table) -> bool:
    """Whether the table tells of which request each row is."""
    kinds = dict(zip(rows.schema.names, rows.schema.types, strict=True))
    source, row = kinds.get("source", pa.null()), kinds.get("row", pa.null())
    return bool(pa.types.is_string(source) and pa.types.is_integer(row))


def _named(rows: pa.Table) -> list[Named]:
    return list(zip(rows["source"].to_pylist(), rows["row"].to_pylist(), strict=True))

"""Delivering what live decisions lead to: segments become parcels, delivered as those of batch scoring are."""

import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from models.actions import Action
from models.errors import PerennialError
from tasks.actions.circuit import Pace
from tasks.actions.deliver import Delivered, deliver
from tasks.actions.journal import read_rows
from tasks.actions.letters import Parcel
from tasks.actions.outbox import ACTIONS_FILE, write_outbox
from tasks.actions.whole import OpenTable
from tasks.aside import HeldError, flush_to_disk, held
from tasks.serving.beside.decisions import NEW, together
from tasks.serving.beside.segments import ENDING, left_segments, read_segment

LOG = logging.getLogger("perennial.serve")
LIVE = Pace(silences=3, probes=1 << 40)
"""As in batch scoring, but a place that does not answer is waited for as long as it takes."""
LOOK_SECONDS, TROUBLE_SECONDS, HELD_SECONDS, OLD_SECONDS = 0.1, 5.0, 0.5, 60.0
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


def read_actions(box: Path) -> list[Action]:
    """What is delivered from a folder; nothing before it is begun."""
    try:
        told = json.loads((box / ACTIONS_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return [Action.model_validate(each) for each in told]


class Delivery:
    """One action of one folder, as long as no other process delivers it."""

    def __init__(self, folder: Path, action: Action, run_id: str, open_table: OpenTable, again: bool) -> None:
        """`again` has dead letters sent once more, at first."""
        self._folder, self._action, self._run_id = folder, action, run_id
        self._open_table, self._again = open_table, again
        self._settled: set[Path] = set()
        """Parcels with dead letters, which wait for somebody to look at them."""
        self._seen: OrderedDict[Named, None] = OrderedDict()
        self._rolled = -GATHER_SECONDS
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._busy: dict[Future[Delivered], list[Parcel]] = {}

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

    def _go_on(self, asked_to_end: Callable[[], bool]) -> None:
        recovered, again = False, self._again
        while True:
            ending, begun = asked_to_end(), False
            try:
                if not recovered:
                    self._recover()
                    recovered = True
                begun = len(self._busy) < AT_ONCE and self._begin(again, ending)
                again = again and not begun
            except (PerennialError, OSError) as error:
                self._rest(error, asked_to_end)
            if self._busy:
                done, _ = wait(self._busy, LOOK_SECONDS, FIRST_COMPLETED)
                for future in done:
                    self._finish(future, asked_to_end)
            elif ending and not begun:
                return
            else:
                time.sleep(LOOK_SECONDS)

    def _begin(self, again: bool, ending: bool) -> bool:
        """Whether there are parcels that nobody delivers yet, which are delivered now."""
        if ending or self._action.carriage == "http" or time.monotonic() - self._rolled >= GATHER_SECONDS:
            self._rolled = time.monotonic()
            self._roll()
        busy = {parcel.outbox for parcels in self._busy.values() for parcel in parcels}
        parcels = [parcel for parcel in self._parcels() if parcel.outbox not in busy | self._settled]
        if parcels:
            work = partial(deliver, self._action, parcels, self._run_id, self._open_table, again=again, pace=LIVE)
            self._busy[self._pool.submit(work)] = parcels
        return bool(parcels)

    def _finish(self, future: "Future[Delivered]", asked_to_end: Callable[[], bool]) -> None:
        parcels = self._busy.pop(future)
        try:
            told = future.result()
            if told.dead:
                self._tell_dead(told)
            for parcel in parcels:
                self._take_away(parcel)
        except (PerennialError, OSError) as error:
            self._rest(error, asked_to_end)

    def _take_away(self, parcel: Parcel) -> None:
        if read_rows(parcel.dead):
            self._settled.add(parcel.outbox)
            return
        # What tells that all has arrived goes last.
        for path in (parcel.outbox, parcel.dead, parcel.receipts):
            path.unlink(missing_ok=True)

    def _rest(self, error: Exception, asked_to_end: Callable[[], bool]) -> None:
        """Tells what is wrong, and tries again later."""
        LOG.error("actions.%s: %s", self._action.name, error)
        if not asked_to_end():
            time.sleep(TROUBLE_SECONDS)

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
            self._remember(self._unseen(pq.read_table(parcel.outbox, columns=["source", "row"])))

    def _roll(self) -> None:
        """Makes parcels of the segments that are there; a kill meanwhile leaves rows in both, which are known then."""
        with left_segments(self._folder / NEW, MOST_SEGMENTS) as segments:
            for rows in together([table for path in segments for table in read_segment(path)]):
                new = self._unseen(rows)
                if new:
                    self._write_parcel(rows.take(pa.array([*new.values()])))
                    self._remember(new)
            for path in segments:
                path.unlink()
            if segments:
                flush_to_disk(self._folder / NEW)
        while len(self._seen) > MOST_SEEN:
            self._seen.popitem(last=False)

    def _write_parcel(self, rows: pa.Table) -> None:
        name = f"{time.time_ns():020d}-{uuid4().hex[:8]}"
        aside = self._folder / f".{name}.partial"
        write_outbox(aside, rows)
        aside.replace(self._folder / f"{name}.parquet")
        flush_to_disk(self._folder)

    def _unseen(self, rows: pa.Table) -> dict[Named, int]:
        """The position of each row that is the first of its request and number, as far as is known."""
        found: dict[Named, int] = {}
        for place, named in enumerate(zip(rows["source"].to_pylist(), rows["row"].to_pylist(), strict=True)):
            if named not in self._seen:
                found.setdefault(named, place)
        return found

    def _remember(self, named: Iterable[Named]) -> None:
        self._seen |= dict.fromkeys(named)

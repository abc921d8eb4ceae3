"""From what was asked to predictions: reading, batching, and those who look on."""

import asyncio
import time
from collections.abc import Sequence

from tasks.scoring.output import no_predictions
from tasks.scoring.rows import RowsError
from tasks.serving.asking import Answered, Asked, Observer
from tasks.serving.limits import Limits
from tasks.serving.models import Live
from tasks.serving.problem import bad_request, bad_rows

FEW = 256
"""Rows of plain cells that are read in the event loop itself."""


class Service:
    """Answers requests of any protocol."""

    def __init__(self, limits: Limits, observers: Sequence[Observer] = ()) -> None:
        self.limits, self._observers = limits, tuple(observers)

    async def answer(self, live: Live, asked: Asked) -> Answered:
        """The predictions of the rows, by the version that answers now. Raises RequestError."""
        served, count = live.served, len(asked.rows)
        if count > self.limits.rows:
            raise bad_request(f"{count:,} rows are more than {self.limits.rows:,}; send them in several requests")
        if not count:
            return Answered(asked, served, no_predictions(served.contract), time.time())
        try:
            if served.reader.plain and count <= FEW:
                feed = asked.rows.read(served.reader)
            else:
                feed = await asyncio.to_thread(asked.rows.read, served.reader)
        except RowsError as error:
            for observer in self._observers:
                observer.refused(served, asked, error.findings)
            raise bad_rows(error.findings) from None
        predictions = await live.batcher.predict(served, feed, count)
        answered = Answered(asked, served, predictions, time.time())
        for observer in self._observers:
            await observer.answered(answered)
        return answered

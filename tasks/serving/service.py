"""From what was asked to predictions: reading, batching, and those who look on."""

import asyncio
import time
from collections.abc import Sequence
from http import HTTPStatus

from tasks.scoring.output import no_predictions
from tasks.scoring.rows import RowsError
from tasks.serving.asking import Answered, Asked, Observer
from tasks.serving.limits import Limits
from tasks.serving.models import Live
from tasks.serving.problem import RequestError, bad_request, bad_rows

FEW = 256
"""Rows of plain cells that are read in the event loop itself."""
SMALL_AT_ONCE, LARGE_AT_ONCE = 64, 4
"""Requests of few rows with pictures, sound or texts, and requests of more rows, that are read at the same time."""


class Service:
    """Answers requests of any protocol."""

    def __init__(self, limits: Limits, observers: Sequence[Observer] = ()) -> None:
        self.limits, self._observers = limits, tuple(observers)
        self._small, self._large = asyncio.Semaphore(SMALL_AT_ONCE), asyncio.Semaphore(LARGE_AT_ONCE)

    async def answer(self, live: Live, asked: Asked) -> Answered:
        """The predictions of the rows. Raises RequestError."""
        served, count = live.served, len(asked.rows)
        if count > self.limits.rows:
            raise bad_request(f"{count:,} rows are more than {self.limits.rows:,}; send them in several requests")
        if not count:
            return Answered(asked, served, no_predictions(served.contract), time.time())
        if count * served.reader.row_bytes > self.limits.input_bytes:
            most = self.limits.input_bytes // served.reader.row_bytes
            text = f"{count:,} rows are more than the {most:,} that this model takes at once; send several requests"
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)
        try:
            if served.reader.plain and count <= FEW:
                predictions = await live.batcher.predict(served, asked.rows.read(served.reader), count)
            else:
                async with self._small if count <= FEW else self._large:
                    feed = await asyncio.to_thread(asked.rows.read, served.reader)
                    predictions = await live.batcher.predict(served, feed, count)
        except RowsError as error:
            for observer in self._observers:
                observer.refused(served, asked, error.findings)
            raise bad_rows(error.findings) from None
        answered = Answered(asked, served, predictions, time.time())
        for observer in self._observers:
            await observer.answered(answered)
        return answered

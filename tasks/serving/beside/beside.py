"""All that goes on beside the answers of one process."""

from collections.abc import Sequence
from pathlib import Path

from tasks.serving.asking import Observer
from tasks.serving.beside.acting import Acting
from tasks.serving.beside.damaged import count_damaged
from tasks.serving.beside.endpoints import Endpoints
from tasks.serving.beside.log import RequestLog
from tasks.serving.beside.onlooker import Onlooker
from tasks.serving.beside.telling import Telling
from tasks.serving.worker_settings import Logging


class Beside:
    """What is asked for of it, started."""

    def __init__(self, endpoints: str, log: Logging | None = None, actions: str | None = None) -> None:
        """`endpoints` is the folder that the processes of the server share, `actions` that of live decisions."""
        self.telling = Telling(Path(endpoints))
        self._onlooker = Onlooker(RequestLog(log) if log else None, Endpoints(Path(endpoints)))
        self._actions = Path(actions) if actions else None
        self._acting = Acting(self._actions) if self._actions else None
        # What can't be acted upon is no answer, and not logged as one.
        self.observers: Sequence[Observer] = (*([self._acting] if self._acting else []), self._onlooker)

    def damaged(self) -> int:
        """Files of live decisions that were set aside, of all that are served from this folder."""
        return count_damaged(self._actions) if self._actions else 0

    def close(self) -> None:
        """Ends, after all is written that was seen."""
        if self._acting:
            self._acting.close()
        self._onlooker.close()
        self.telling.close()

"""A process that delivers what live decisions lead to; it may be killed at any instant.

python -m tasks.serving.beside.deliverer ORDERS   ORDERS is `Orders` as JSON
"""

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from models.actions import Action
from models.errors import InputError
from tasks.actions.outbox import ACTIONS_FILE, NewerError, read_actions
from tasks.actions.tabletarget import open_table
from tasks.serving.beside.boxes import NEW
from tasks.serving.beside.courier import Orders
from tasks.serving.beside.damaged import set_aside
from tasks.serving.beside.delivering import Delivery

LOG = logging.getLogger("perennial.serve")
ADVICE = "serve a version with the same actions, and they are delivered"
LOOK_SECONDS = 0.5
GRACE_SECONDS = 5.0
"""In which what is left is delivered once the server ends; the rest waits for its next start."""


def run(orders: Orders) -> None:
    """Delivers until the process is asked to end, or the one that started it has ended."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    deliveries = Deliveries(orders, ended.is_set)
    while not ended.wait(LOOK_SECONDS if deliveries.threads else 0.05) and os.getppid() == orders.parent:
        deliveries.look()
    ended.set()
    deliveries.look()
    until = time.monotonic() + GRACE_SECONDS
    for thread in deliveries.threads.values():
        thread.join(max(0.0, until - time.monotonic()))
    # Threads that wait for a place that does not answer have all that they need on the disk.
    os._exit(0)


class Deliveries:
    """A thread for each action that anything is delivered for."""

    def __init__(self, orders: Orders, asked_to_end: Callable[[], bool]) -> None:
        self.threads: dict[Path, threading.Thread] = {}
        self._orders, self._asked_to_end = orders, asked_to_end
        self._told: set[str] = set()

    def look(self) -> None:
        """Starts a thread for each action that has none; what is wrong in one folder keeps no other one from it."""
        for model, run_id in self._orders.models.items():
            try:
                boxes = sorted(path for path in (Path(self._orders.folder) / model).glob("[!.]*") if path.is_dir())
            except OSError as error:
                self._tell(f"{model}: {error.strerror or error}")
                continue
            for box in boxes:
                self._begin(box, run_id)

    def _begin(self, box: Path, run_id: str) -> None:
        try:
            for action in self._actions_of(box):
                folder = box / action.name
                if folder not in self.threads and folder.is_dir():
                    delivery = Delivery(folder, action, run_id, open_table, self._orders.again)
                    thread = threading.Thread(target=delivery.run, args=(self._asked_to_end,), daemon=True)
                    self.threads[folder] = thread
                    thread.start()
        except Exception as error:
            self._tell(f"{box}: nothing is delivered from it now: {error}")

    def _actions_of(self, box: Path) -> list[Action]:
        """None where they can't be read; the rows of the folder stay, and go on once they can be."""
        try:
            return read_actions(box)
        except FileNotFoundError:
            if any(box.glob(f"*/{NEW}/[!.]*.rows")) or any(box.glob("*/[!.]*.parquet")):
                self._tell(f"{box}: rows wait there, and {ACTIONS_FILE}, which says where they go, is gone; {ADVICE}")
        except NewerError as error:
            self._tell(f"{error}; its rows wait")
        except InputError as error:
            set_aside(box / ACTIONS_FILE, str(error).removeprefix(f"{box / ACTIONS_FILE}: damaged: "))
        return []

    def _tell(self, line: str) -> None:
        """Once."""
        if line not in self._told:
            self._told.add(line)
            LOG.error("%s", line)


def main(words: list[str]) -> int:
    """The exit code."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    run(Orders(**json.loads(words[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

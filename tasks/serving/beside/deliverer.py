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
from pathlib import Path

from tasks.actions.tabletarget import open_table
from tasks.serving.beside.courier import Orders
from tasks.serving.beside.delivering import Delivery, read_actions

LOOK_SECONDS = 0.5
GRACE_SECONDS = 5.0
"""In which what is left is delivered once the server ends; the rest waits for its next start."""


def run(orders: Orders) -> None:
    """Delivers until the process is asked to end, or the one that started it has ended."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threads: dict[Path, threading.Thread] = {}
    while not ended.wait(LOOK_SECONDS if threads else 0.05) and os.getppid() == orders.parent:
        _begin(orders, threads, ended)
    ended.set()
    _begin(orders, threads, ended)
    until = time.monotonic() + GRACE_SECONDS
    for thread in threads.values():
        thread.join(max(0.0, until - time.monotonic()))
    # Threads that wait for a place that does not answer have all that they need on the disk.
    os._exit(0)


def _begin(orders: Orders, threads: dict[Path, threading.Thread], ended: threading.Event) -> None:
    """Starts a thread for each action that has none."""
    for model, run_id in orders.models.items():
        above = Path(orders.folder) / model
        for box in sorted(path for path in above.glob("[!.]*") if path.is_dir()):
            for action in read_actions(box):
                folder = box / action.name
                if folder not in threads and folder.is_dir():
                    delivery = Delivery(folder, action, run_id, open_table, orders.again)
                    thread = threading.Thread(target=delivery.run, args=(ended.is_set,), daemon=True)
                    threads[folder] = thread
                    thread.start()


def main(words: list[str]) -> int:
    """The exit code."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    run(Orders(**json.loads(words[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A process that answers requests on a socket which the server that started it has opened.

python -m tasks.serving.worker SETTINGS      serves; SETTINGS is `Settings` as JSON
python -m tasks.serving.worker check WANTED  ends with 0 where the version answers; WANTED is `Wanted` as JSON
"""

import gc
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import orjson
import uvicorn

from models.errors import PerennialError
from tasks.serving.app import make_app
from tasks.serving.batcher import Batcher
from tasks.serving.beside.beside import Beside
from tasks.serving.metrics import Metrics
from tasks.serving.models import Models
from tasks.serving.protocol import bounded
from tasks.serving.served import Served
from tasks.serving.service import Service
from tasks.serving.wanted import Wanted
from tasks.serving.worker_settings import READY, Settings

TOKEN = "PERENNIAL_SERVE_TOKEN"
PARENT_SECONDS, WANTED_SECONDS = 1.0, 0.01
KEEP_ALIVE_SECONDS = 75
GARBAGE = (50_000, 20, 50)
"""Objects, and rounds, between looks for garbage in circles: parsed requests hold many objects and no circles."""
SWITCH_SECONDS = 0.0005
"""After which a thread gives way to the event loop; Python's own ten times that are what a single row takes."""


class Server(uvicorn.Server):
    """Says when it takes requests."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, then tells the process that waits for it."""
        await super().startup(sockets)
        print(READY, flush=True)


def serve(settings: Settings) -> None:
    """Answers until it is asked to end, or the process that started it has ended."""
    listener = socket.socket(fileno=settings.descriptor)
    metrics = Metrics(Path(settings.metrics))
    models = Models(
        Path(settings.wanted),
        lambda: Batcher(settings.batch_rows, settings.batch_wait),
        lambda name, version: metrics.untaken.labels(name, version).inc(),
    )
    _end_with(settings.parent)
    while not models.changed():
        time.sleep(WANTED_SECONDS)
    models.take()
    # What is loaded stays: the collector need not look through it again and again, while requests wait.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)
    sys.setswitchinterval(SWITCH_SECONDS)
    beside = Beside(settings.endpoints, settings.log, settings.actions)
    service = Service(settings.limits, (*beside.observers, metrics))
    app = make_app(models, service, metrics, os.environ.get(TOKEN) or None, beside)
    limits = settings.limits
    config = uvicorn.Config(
        app, loop="uvloop", http=bounded(limits.head_bytes, limits.seconds), lifespan="on", access_log=False,
        log_config=None, server_header=False, timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=int(limits.seconds),
    )  # fmt: skip
    Server(config).run(sockets=[listener])


def _end_with(parent: int) -> None:
    """Asks this process to end once its parent is another one: killed, that one can't do so itself."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(PARENT_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def main(words: list[str]) -> int:
    """The exit code."""
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    # What is wrong with a form is told to who has sent it; anybody could fill the log with it.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    try:
        if words[0] == "check":
            wanted = Wanted(**orjson.loads(words[1]))
            Served.load("the model", wanted)
        else:
            serve(Settings.read(words[0]))
    except PerennialError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

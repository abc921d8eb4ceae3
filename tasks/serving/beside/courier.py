"""The process that delivers, as the server sees it: started where there is something to deliver, and ended last."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from models.contract import Contract
from models.errors import InputError
from tasks.serving.beside.names import folder_name, run_id_of

LOG = logging.getLogger("perennial.serve")
END_SECONDS, AGAIN_SECONDS = 10.0, 5.0


@dataclass(frozen=True)
class Orders:
    """What the process is given."""

    folder: str
    """Of all models' live decisions."""
    parent: int
    """The process that started it, with which it ends."""
    models: Mapping[str, str]
    """Folders of the models that are served, and what stands for a run in keys and names."""
    again: bool
    """Whether dead letters are sent once more."""


class Courier:
    """Delivers what actions on live decisions take; does nothing without a folder."""

    def __init__(self, folder: Path | None, again: bool = False) -> None:
        """`folder` is that of all models' live decisions; `again` has dead letters sent once more."""
        self._folder, self._again = folder, again
        self._models: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._started = -AGAIN_SECONDS

    def begin(self, contracts: Sequence[Contract]) -> None:
        """Takes what is left of earlier decisions by these models. Raises InputError where a token is missing."""
        if self._folder is None:
            return
        problems = dict.fromkeys(filter(None, map(self.refusal_of, contracts)))
        if problems:
            raise InputError(*problems)
        self._models = {folder_name(contract.name): run_id_of(contract.name) for contract in contracts}
        if self._anything_in(self._folder):
            # Late: it loads what sends.
            from tasks.serving.beside.boxes import restore_boxes

            restore_boxes(self._folder, contracts)
        self.look()

    def _anything_in(self, folder: Path) -> bool:
        return any((folder / model).is_dir() for model in self._models)

    def refusal_of(self, contract: Contract) -> str:
        """Why the version's actions can't be taken or delivered, such as for want of a token; "" where they can."""
        if self._folder is None or not contract.actions:
            return ""
        # Late: it loads what sends.
        from tasks.actions.deliver import require_tokens
        from tasks.actions.select import Actions

        try:
            Actions(contract.actions, contract.classes)
            require_tokens(contract.actions)
        except InputError as error:
            return str(error)
        return ""

    def look(self) -> None:
        """Starts the process where there is something to deliver and it does not run."""
        if self._folder is None or (self._process and self._process.poll() is None):
            return
        folder, now = self._folder, time.monotonic()
        if now - self._started < AGAIN_SECONDS or not self._anything_in(folder):
            return
        if self._process:
            LOG.error("the process that delivers ended with %s and is started anew", self._process.returncode)
        self._started = now
        orders = Orders(str(folder), os.getpid(), self._models, self._again)
        command = [sys.executable, "-m", "tasks.serving.beside.deliverer", json.dumps(asdict(orders))]
        self._process = subprocess.Popen(command)
        self._again = False

    def end(self) -> None:
        """Gives it some seconds for what is left."""
        self.look()
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()

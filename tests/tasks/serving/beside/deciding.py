"""A version whose decisions are acted upon, and a server of it in processes of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from models.actions import Action
from models.contract import Contract, write_contract
from tests.small import ROOT
from tests.tasks.serving.versions import write_classifier


def write_acting(folder: Path, *actions: Action, name: str = "sorted") -> Contract:
    """The classifier by hand, with actions."""
    contract = write_classifier(folder, name).model_copy(update={"actions": actions})
    write_contract(contract, folder)
    return contract


@dataclass(frozen=True)
class Server:
    """A server under way."""

    process: "subprocess.Popen[str]"
    address: str

    def kill(self) -> None:
        """Ends all of its processes at once, without a word."""
        for each in [*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)]:
            each.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(home: Path, *words: object) -> Iterator[Server]:
    """`perennial serve WORDS` on a free port."""
    command = [sys.executable, "-c", "from perennial import main; main()", "serve", *map(str, words)]
    process = subprocess.Popen(
        [*command, "--port", "0", "--json"], cwd=ROOT, env=os.environ | {"PERENNIAL_HOME": str(home)},
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        yield Server(process, json.loads(process.stdout.readline())["address"])
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        if process.stdout:
            process.stdout.close()

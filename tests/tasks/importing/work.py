"""Work for a process of its own; what is imported here is imported there."""

import os
import subprocess
import sys
import time
from pathlib import Path

from models.errors import InputError
from tasks.importing.confined import Progress

TAKE = """
import time
kept = []
for _ in range(100):
    kept.append(bytearray(20_000_000))
    time.sleep(0.02)
time.sleep(60)
"""
"""Two gigabytes within seconds."""


def add(_: Progress, first: int, more: int) -> int:
    print("what is printed disturbs nobody")
    return first + more


def refuse(_: Progress) -> None:
    raise InputError("one", "two")


def divide(_: Progress) -> float:
    return 1 / 0


def leave(_: Progress) -> None:
    sys.exit(0)


def signal(_: Progress, number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(60)


def steps(progress: Progress, count: int, seconds: float) -> int:
    for _ in range(count):
        time.sleep(seconds)
        progress()
    return count


def with_child(progress: Progress, path: str) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    Path(path).write_text(str(child.pid))
    progress()
    time.sleep(300)


def take(_: Progress) -> None:
    exec(TAKE, {})


def let_take(_: Progress) -> None:
    subprocess.run([sys.executable, "-c", TAKE], check=True)

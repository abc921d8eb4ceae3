"""What comes of many promotions of one model that are started at once, on the servers of `perennial up`.

make bench NAME=promotions
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from benchmarks.measuring.command import COMMAND, own_environment
from benchmarks.measuring.reporting import Figure, report, temporary_home
from benchmarks.measuring.tables import TARGET, write_table
from benchmarks.measuring.trained import new_model_file

AT_ONCE = 20
MODEL = "contended"
ROWS, NUMBERS = 1500, 4
TINY = "[network]\nmembers = 1\nwidth = 16\ndepth = 1\n\n[training]\nepochs = 2\n\n[evaluation]\nresamples = 50\n"
END_SECONDS, PATIENCE_SECONDS = 120, 600


@dataclass(frozen=True)
class Ended:
    """One `perennial promote`."""

    version: str
    code: int
    out: str
    err: str

    @property
    def is_plain(self) -> bool:
        """Whether it says what there is to say in one line, or in the lines of a verdict."""
        said = self.out + self.err
        lines = [line for line in self.err.splitlines() if line.strip()]
        expected = self.code in (0, 1) and len(lines) <= 1
        return expected and "Traceback" not in said and "unexpected" not in said


def main() -> None:
    """Versions of one model that are all as good as each other, each promoted by a process of its own."""
    with temporary_home() as home:
        environment = own_environment(home)
        data = write_table(home / "data" / "rows.parquet", ROWS, 0, NUMBERS)
        file = new_model_file([data], TARGET, MODEL, home, TINY)
        with servers(environment):
            _run(environment, [str(COMMAND), "train", str(file)])
            contenders = [sys.executable, "-m", "benchmarks.measuring.contenders", MODEL, str(AT_ONCE)]
            _run(environment | {"MLFLOW_LOGGING_LEVEL": "WARNING"}, contenders)
            started = time.perf_counter()
            ended = promote_at_once(environment)
            seconds = time.perf_counter() - started
            told = json.loads(_run(environment, [str(COMMAND), "history", MODEL, "--json"]))
    for each in ended:
        print(f"version {each.version}: {each.code} {' '.join(each.err.split()) or each.out.splitlines()[0]}")
    sys.exit(report("promotions", f"{AT_ONCE} promotions of one model at once", figures(ended, told, seconds)))


@contextmanager
def servers(environment: Mapping[str, str]) -> Iterator[None]:
    """`perennial up`, healthy for as long as the block runs. Raises RuntimeError when it does not come up."""
    with subprocess.Popen(
        [str(COMMAND), "up", "--json"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        try:
            line = process.stdout.readline() if process.stdout else ""
            if "prefect" not in line:
                raise RuntimeError("perennial up did not come up")
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(END_SECONDS)


def promote_at_once(environment: Mapping[str, str]) -> list[Ended]:
    """One process for each version, all started before the first has ended."""
    versions = [str(number + 1) for number in range(AT_ONCE)]
    processes = [
        subprocess.Popen(
            [str(COMMAND), "promote", MODEL, "--version", version], env=environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for version in versions
    ]  # fmt: skip
    said = [process.communicate(timeout=PATIENCE_SECONDS) for process in processes]
    return [Ended(v, p.returncode, *words) for v, p, words in zip(versions, processes, said, strict=True)]


def figures(ended: Sequence[Ended], told: Mapping[str, Any], seconds: float) -> list[Figure]:
    """What must hold of the processes' ends and the history that `perennial history --json` tells."""
    promoted = [each.version for each in ended if each.code == 0]
    judged = [event for event in told["events"] if event["event"] not in ("registered", "awaits approval")]
    moves = [event for event in judged if event["event"] == "promoted"]
    missing = set(promoted) ^ {event["version"] for event in moves}
    broken = sum(after["before"] != before["version"] for before, after in pairwise(moves))
    broken += len(moves) != len(promoted) or (moves[0]["before"] is not None if moves else True)
    champions = int(bool(moves) and told["champion"] == moves[-1]["version"])
    return [
        Figure("champions, the last that was promoted", float(champions), "", "higher", 1.0),
        Figure("promoted, one after the other", float(len(promoted)), "", "higher", 1.0),
        Figure("told who holds the promotion", float(sum(each.code == 1 for each in ended)), "", "lower"),
        Figure("promotions that the history lacks, or has without an end", float(len(missing)), "", "lower", 0.0),
        Figure("promotions that did not follow the champion before", float(broken), "", "lower", 0.0),
        Figure("ends that are no plain line", float(sum(not each.is_plain for each in ended)), "", "lower", 0.0),
        Figure("until the last had ended", seconds, "s", "lower"),
    ]


def _run(environment: Mapping[str, str], words: Sequence[str]) -> str:
    """What the command printed; its errors go to the screen. Raises CalledProcessError."""
    return subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()

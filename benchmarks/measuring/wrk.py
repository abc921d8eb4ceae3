"""Load by wrk, which knows nothing of us."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

SCRIPT = """
wrk.method, wrk.headers["Content-Type"] = "POST", "application/json"
wrk.body = assert(io.open("body.json")):read("*a")

function done(summary, latency)
  local failed = summary.errors
  local lost = failed.connect + failed.read + failed.write + failed.status + failed.timeout
  io.write(string.format('\\n{"requests": %d, "failed": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f}\\n',
    summary.requests, lost, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True)
class Answered:
    """What came of a load."""

    requests: int
    failed: int
    """Without an answer, or with another status than 200."""
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return (self.requests - self.failed) / self.seconds


def is_installed() -> bool:
    """Whether there is a wrk to call."""
    return shutil.which("wrk") is not None


def ask_by_wrk(url: str, body: str, connections: int, seconds: float) -> Answered:
    """POSTs the body over so many connections, by one thread of wrk, each waiting for its answer."""
    with TemporaryDirectory() as scratch:
        (Path(scratch) / "body.json").write_text(body, encoding="utf-8")
        (Path(scratch) / "post.lua").write_text(SCRIPT, encoding="utf-8")
        words = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "-s", "post.lua", url]
        said = subprocess.run(words, cwd=scratch, check=True, capture_output=True, text=True).stdout
    return Answered(**json.loads(said.strip().splitlines()[-1]))

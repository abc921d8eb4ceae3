"""A scoring run in a process of its own, that things can happen to.

python -m benchmarks.measuring.victim PACKAGE DATA OUTPUT SHARD_ROWS [KEY]
"""

import subprocess
import sys
from pathlib import Path

from models.errors import PerennialError
from tasks.scoring.batch import Stamp
from tasks.scoring.inputs import look_at
from tasks.scoring.outputs import claimed, wanted_output
from tasks.scoring.predictor import Predictor
from tasks.scoring.request import Options, Request, what_is_left
from tasks.scoring.score import score_into

PATIENCE_SECONDS = 300
STAMP = Stamp("light", "1", "bench")
"""As the command writes it, but for the run."""


def start(package: Path, data: str, output: str, shard_rows: int, key: str | None = None) -> "subprocess.Popen[str]":
    """The process, in a group of its own; what it has to say to people is its standard error."""
    words = [str(package), data, output, str(shard_rows), *([key] if key else [])]
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.measuring.victim", *words],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


def require(process: "subprocess.Popen[str]", code: int) -> list[str]:
    """The lines that the process has told. Raises RuntimeError when its exit code is another one."""
    _, told = process.communicate(timeout=PATIENCE_SECONDS)
    if process.returncode != code:
        raise RuntimeError(f"exit code {process.returncode} instead of {code}: {told}")
    return told.splitlines()


def score(
    predictor: Predictor, data: str, output: str, shard_rows: int | None, key: str | None, overwrite: bool = False
) -> None:
    """As the flow does it, without Prefect and MLflow."""
    options = Options(shard_rows=shard_rows, key=key)
    wanted, request = wanted_output(output), Request.of(f"{STAMP.model}/{STAMP.version}", [data], options, None)
    sources = look_at([data], wanted, asked=options.asked)
    with claimed(wanted, overwrite) as sink:
        what_is_left(sink, request, sources, overwrite)
        score_into(sink, predictor, sources, STAMP, request)


def main(package: Path, data: str, output: str, shard_rows: int, key: str | None = None) -> int:
    """Exit code as the command line's."""
    try:
        score(Predictor.load(package), data, output, shard_rows, key)
    except PerennialError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), *sys.argv[5:]))

"""A scoring run in a process of its own, that things can happen to.

python -m benchmarks.measuring.victim PACKAGE DATA OUTPUT SHARD_ROWS
"""

import subprocess
import sys
from pathlib import Path

from models.errors import PerennialError
from tasks.scoring.batch import Stamp
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import score_files


def start(package: Path, data: str, output: str, shard_rows: int) -> "subprocess.Popen[str]":
    """The process, in a group of its own; what it has to say to people is its standard error."""
    words = (str(package), data, output, str(shard_rows))
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.measuring.victim", *words],
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )


def main(package: Path, data: str, output: str, shard_rows: int) -> int:
    """Exit code as the command line's."""
    try:
        score_files(Predictor.load(package), [data], output, Stamp("bench", "1", "bench"), shard_rows=shard_rows)
    except PerennialError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))

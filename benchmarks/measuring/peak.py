"""Scores in a process of its own and tells the memory that took.

python -m benchmarks.measuring.peak PACKAGE DATA OUTPUT
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.measuring.resident import peak_bytes
from tasks.scoring.batch import Stamp
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import score_files


def peak_of(package: Path, data: Path, output: Path) -> int:
    """Bytes that were resident at most while the rows were scored, by a process of its own; `output` is gone then."""
    command = [sys.executable, "-m", "benchmarks.measuring.peak", str(package), str(data), str(output)]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    shutil.rmtree(output)
    return int(json.loads(told.splitlines()[-1])["bytes"])


def main(package: Path, data: str, output: Path) -> None:
    """Prints the bytes."""
    score_files(Predictor.load(package), [data], output, Stamp("bench", "1", "bench"))
    print(json.dumps({"bytes": peak_bytes()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))

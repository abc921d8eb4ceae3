"""What an image installs, one requirement a line: `python infra/packages.py worker|serving`."""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
TRAINING = {"onnxscript", "torch"}
"""What nothing needs that scores."""
BUILDING = ["setuptools>=77"]


def requirements(image: str) -> list[str]:
    """Requirements of the project that the image needs."""
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    if image == "worker":
        return [*project["dependencies"], *project["optional-dependencies"]["production"], *BUILDING]
    return [*(wanted for wanted in project["dependencies"] if _name(wanted) not in TRAINING), *BUILDING]


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~\[; ]", requirement, maxsplit=1)[0]


if __name__ == "__main__":
    if sys.argv[1:] not in (["worker"], ["serving"]):
        sys.exit("usage: python infra/packages.py worker|serving")
    print(*requirements(sys.argv[1]), sep="\n")

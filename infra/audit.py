"""Known vulnerabilities of the locked versions: `python infra/audit.py [--strict] [--service URL]`.

Asks the OSV database (https://google.github.io/osv.dev/post-v1-querybatch/) about all of them at once. Where it can't
be reached, that is said and all is well. A finding is told; with --strict it also ends with exit code 1. A change that
is being checked did not cause it, so `make lint` goes on.
"""

import json
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "requirements-ray.lock")
SERVICE = "https://api.osv.dev/v1/querybatch"
SECONDS = 10


@dataclass(frozen=True)
class Locked:
    """A package of a lock file."""

    name: str
    version: str

    @property
    def query(self) -> dict[str, Any]:
        """As OSV takes it."""
        return {"package": {"name": self.name, "ecosystem": "PyPI"}, "version": self.version}


def locked(folder: Path) -> list[Locked]:
    """All packages of the lock files in the folder."""
    lines = [line.strip() for name in LOCKS for line in (folder / name).read_text(encoding="utf-8").splitlines()]
    return [Locked(*line.split("==", 1)) for line in lines if "==" in line and not line.startswith("#")]


def findings(packages: Sequence[Locked], service: str) -> list[str]:
    """A line for each package with known vulnerabilities. Raises OSError or ValueError when there is no answer."""
    body = json.dumps({"queries": [package.query for package in packages]}).encode()
    asked = urllib.request.Request(service, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(asked, timeout=SECONDS) as answer:
        results = json.load(answer)["results"]
    return [
        f"{package.name} {package.version}: {', '.join(sorted(found['id'] for found in result['vulns']))}"
        for package, result in zip(packages, results, strict=True)
        if result.get("vulns")
    ]


def main(words: Sequence[str]) -> int:
    """The exit code, after the findings were told."""
    service = words[words.index("--service") + 1] if "--service" in words else SERVICE
    packages = locked(ROOT)
    try:
        found = findings(packages, service)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"audit of {len(packages)} packages: skipped, no answer of {service} ({error})")
        return 0
    for line in found:
        print(f"known vulnerability: {line}   (https://osv.dev/list?q=ID tells more)")
    print(f"audit of {len(packages)} packages: {len(found) or 'none'} with known vulnerabilities")
    return 1 if found and "--strict" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Ends with 0 when a server says at its health address that it is well: `python infra/healthy.py URL`."""

import sys
import urllib.request

SECONDS = 8

if __name__ == "__main__":
    with urllib.request.urlopen(sys.argv[1], timeout=SECONDS) as answer:
        sys.exit(answer.status != 200)

"""Whether servers and workers on this machine are well."""

import base64
import json
import os
import urllib.request
from datetime import datetime

from flows.servers import POOL

ANSWER_SECONDS = 2.0


def answers(url: str) -> bool:
    """Whether a server says at its health address that it is well."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS):
            return True
    except (OSError, ValueError):
        return False


def worker_reports(api: str, name: str, since: datetime) -> bool:
    """Whether the worker of that name has told Prefect, after that moment, that it is there."""
    asked = urllib.request.Request(f"{api}/work_pools/{POOL}/workers/filter", b"{}", _headers())
    try:
        with urllib.request.urlopen(asked, timeout=ANSWER_SECONDS) as answer:
            workers = json.load(answer)
    except (OSError, ValueError):
        return False
    beats = [worker["last_heartbeat_time"] for worker in workers if worker["name"] == name]
    return any(beat and datetime.fromisoformat(beat) >= since for beat in beats)


def _headers() -> dict[str, str]:
    """With the user and password that Prefect's clients use as well, where the environment has them."""
    secret = os.environ.get("PREFECT_API_AUTH_STRING")
    authorised = {"Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"} if secret else {}
    return {"Content-Type": "application/json", **authorised}

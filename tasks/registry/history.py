"""One history per model, on the registered model itself: who changed what, when, why and on which numbers."""

import getpass
import hashlib
import json
import socket
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from tasks.registry.connection import connect, plain_errors

PREFIX = "history."
SUBJECT = "perennial.model."
"""Beginning of the names of Prefect's events, and of their resource's id, which ends with the model's name."""
DECIDED = "decided."
LONGEST_TAG = 90_000
"""MLflow takes values of up to 100,000 characters."""
LONGEST_WHY = 10_000
MOST_REASONS = 60
LONGEST_REASON = 500
"""So that an event always fits a tag; the verdict's artefact has all of it."""


@dataclass(frozen=True)
class Event:
    """Something that happened to a model's versions."""

    event: str
    """registered, promoted, refused, undecided, awaits approval, rolled back, removed, settings kept, settings gone."""
    version: str
    before: str | None
    """Version that was champion before."""
    who: str
    when: str
    """ISO 8601, UTC."""
    why: str
    reasons: tuple[str, ...] = ()
    run_id: str = ""


def new_event(
    event: str,
    version: str,
    before: str | None,
    why: str,
    reasons: Sequence[str] = (),
    run_id: str = "",
    who: str | None = None,
) -> Event:
    """The event as of now, by the current user of this machine if nobody else is named."""
    kept = tuple(reason[:LONGEST_REASON] for reason in reasons[:MOST_REASONS])
    return Event(event, version, before, who or whoami(), _now(), why[:LONGEST_WHY], kept, run_id)


def as_tags(event: Event) -> dict[str, str]:
    """What was decided about the event's version, as tags of it: what, who, when, why."""
    told = {"what": event.event, "who": event.who, "when": event.when, "why": event.why}
    return {DECIDED + key: value for key, value in told.items() if value}


def record(model: str, event: Event) -> None:
    """Keeps the event; events are added, never changed, and the same event twice is kept once."""
    text = json.dumps(asdict(event), ensure_ascii=False)
    with plain_errors(f"recording the history of {model!r}"):
        client = connect()
        kept = _kept(client.get_registered_model(model).tags)
        if text not in kept.values():
            client.set_registered_model_tag(model, _key_after(max(kept, default=""), event, text), text)


def _key_after(newest: str, event: Event, text: str) -> str:
    """A key that sorts behind the newest one, also where the clock has been set back since."""
    stamp = event.when.replace(":", "-").replace("+", "_")
    last = newest.removeprefix(PREFIX).rpartition(".")[0]
    if stamp <= last[: len(stamp)]:
        stamp, number = last[: len(stamp)], int(last[len(stamp) + 1 :] or 0) + 1
        stamp += f"_{number:06d}"
    return f"{PREFIX}{stamp}.{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _kept(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in sorted(tags.items()) if key.startswith(PREFIX)}


def read_history(model: str) -> list[Event]:
    """All events of the model, in the order in which they were recorded."""
    with plain_errors(f"reading the history of {model!r}"):
        tags = connect().get_registered_model(model).tags
    return [event_of(json.loads(text)) for text in dict.fromkeys(_kept(tags).values())]


def event_of(body: dict[str, Any]) -> Event:
    """The event whose fields `dataclasses.asdict` gave."""
    return Event(**{**body, "reasons": tuple(body["reasons"])})


def whoami() -> str:
    """User and machine, as far as the system knows them."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

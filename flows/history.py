"""What happened to a model's versions, for people."""

from tasks.registry.history import Event, read_history
from tasks.registry.promotion import require_version
from tasks.registry.versions import list_versions, require_model


def history_of(model: str, version: str | None) -> list[Event]:
    """The model's events, oldest first, of one version if given. Raises InputError for unknown models and versions."""
    require_model(model)
    events = [event for event in read_history(model) if version in (None, event.version)]
    # A version that was removed still has its history.
    if version is not None and not events:
        require_version(model, version)
    return events


def holders_of(model: str) -> dict[str, str]:
    """The number of the version that is champion, previous or challenger now, by these words."""
    return {alias: version.number for version in list_versions(model) for alias in version.aliases}


def history_table(events: list[Event], holders: dict[str, str], in_full: bool) -> list[str]:
    """Lines of a table, then who is what now."""
    lines = [f"{'when':20} {'version':>7}  {'what':15} {'before':>6}  who and why"]
    for event in events:
        when = event.when[:19].replace("T", " ")
        lines.append(
            f"{when:20} {event.version:>7}  {event.event:15} {event.before or '-':>6}  {event.who}: {event.why}"
        )
        lines += [f"{'':29} {reason}" for reason in (event.reasons if in_full else event.reasons[:1])]
    now = ", ".join(f"{alias} is version {number}" for alias, number in sorted(holders.items()))
    return [*lines, f"now: {now or 'no version has an alias'}"]

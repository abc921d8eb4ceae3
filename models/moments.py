"""Cron expressions and time zones, checked where they are written rather than where they first fail."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

CRON_FIELDS = 5


def checked_cron(expression: str) -> str:
    """The expression itself. Raises ValueError unless it has five fields, each within its bounds."""
    from cronsim import CronSim, CronSimError

    count = len(expression.split())
    if count != CRON_FIELDS:
        raise ValueError(f"a cron expression has five fields, such as '0 3 * * *', but {expression!r} has {count}")
    try:
        CronSim(expression, datetime.now(UTC))
    except CronSimError as error:
        raise ValueError(f"{expression!r} is no cron expression ({str(error).lower()})") from None
    return expression


def checked_zone(name: str) -> str:
    """The name itself. Raises ValueError unless it is an IANA time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"no time zone is called {name!r}") from None
    return name

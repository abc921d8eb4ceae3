"""What nobody needs any more, for people; nothing here needs Prefect, which takes long to load."""

from collections.abc import Sequence

from flows.environment import state_folder
from tasks.retention.collect import Collected, find_forgotten
from tasks.retention.records import Rule

MEGABYTE = 1e6


def preview(models: Sequence[str], older_than: float, keep_versions: int) -> Collected:
    """What `perennial gc --apply` would remove; nothing changes."""
    return find_forgotten(Rule(older_than, keep_versions, frozenset(models)), state_folder())


def table(found: Collected) -> list[str]:
    """A line for each thing that goes, the sum, and what could not be done."""
    width = max((len(item.model) for item in found.items), default=0)
    head = (
        [f"{'kind':<9}  {'model':<{max(width, 5)}}  {'name':<12}  {'days':>7}  {'MB':>9}  why"] if found.items else []
    )
    lines = [
        f"{item.kind:<9}  {item.model:<{max(width, 5)}}  {item.name[:12]:<12}  {item.age_days:>7.1f}"
        f"  {item.bytes / MEGABYTE:>9.2f}  {item.why}"
        for item in found.items
    ]
    return [*head, *lines, _sum(found), *found.notes, *(f"problem: {problem}" for problem in found.problems)]


def _sum(found: Collected) -> str:
    what = f"{len(found.items):,} things, {found.bytes / MEGABYTE:,.2f} MB"
    if found.applied:
        return f"removed: {what}"
    return f"would go: {what}; nothing was changed, --apply removes it" if found.items else "nothing would go"

"""The [columns] section: each column read by the settings class of its own kind."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from models.columns import KINDS, ColumnSettings
from models.problems import describe_column, near_match


def settings_by_kind(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Each column's settings by its kind's own class; raises ValueError with all problems of all columns."""
    parsed: dict[str, ColumnSettings] = {}
    problems: list[str] = []
    for name, given in columns.items():
        if isinstance(given, ColumnSettings):
            parsed[name] = given
            continue
        table = {"kind": given} if isinstance(given, str) else given
        if not isinstance(table, Mapping) or not isinstance(table.get("kind"), str):
            problems.append(f"columns.{name!r}: give a kind ({', '.join(KINDS)}) or a table with one")
        elif table["kind"] not in KINDS:
            problems.append(f"columns.{name!r}: {table['kind']!r} is no kind{near_match(table['kind'], list(KINDS))}")
        else:
            settings = KINDS[table["kind"]].settings
            try:
                parsed[name] = settings.model_validate(dict(table))
            except ValidationError as error:
                problems.extend(describe_column(error, name, settings))
    if problems:
        raise ValueError("\n".join(problems))
    return parsed

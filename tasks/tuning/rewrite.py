"""A model file's text with other settings: comments, order and everything else stay as they are."""

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from models.errors import InputError
from tasks.tuning.space import SECTIONS, Value

VALUE = r"""(?P<value>"[^"]*"|'[^']*'|[^\s#]+)"""


def rewritten(text: str, values: Mapping[str, Value]) -> str:
    """The text with each setting changed, or added to its section. Raises InputError where it is no plain section."""
    lines = text.splitlines()
    for key, value in values.items():
        section, _, name = key.partition(".")
        _put(lines, section, name, json.dumps(value, ensure_ascii=False))
    result = "\n".join(lines) + "\n"
    if _meaning(result) != _expected(text, values):
        raise InputError("can't be rewritten: give [network] and [training] as sections, one setting a line")
    return result


def unsearched(text: str) -> dict[str, Any]:
    """What the file means but for the sections that are searched."""
    return {key: value for key, value in tomllib.loads(text).items() if key not in SECTIONS}


def _put(lines: list[str], section: str, name: str, value: str) -> None:
    header = next((at for at, line in enumerate(lines) if re.match(rf"\s*\[\s*{section}\s*\]", line)), None)
    if header is None:
        lines += ["", f"[{section}]", f"{name} = {value}"]
        return
    end = next((at for at in range(header + 1, len(lines)) if re.match(r"\s*\[", lines[at])), len(lines))
    setting = re.compile(rf"""(?P<before>\s*["']?{name}["']?\s*=\s*){VALUE}(?P<after>.*)""")
    for at in range(header + 1, end):
        found = setting.fullmatch(lines[at])
        if found:
            lines[at] = f"{found['before']}{value}{found['after']}"
            return
    lines.insert(header + 1, f"{name} = {value}")


def _meaning(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _expected(text: str, values: Mapping[str, Value]) -> dict[str, Any]:
    meant = tomllib.loads(text)
    for section in SECTIONS:
        own = {key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{section}.")}
        if own:
            meant[section] = {**meant.get(section, {}), **own}
    return meant

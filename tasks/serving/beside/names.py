"""Folders named for models, whatever models are called."""

import hashlib
from urllib.parse import quote

LONGEST = 150
"""Characters of a name that is kept as it is."""


def folder_name(model: str) -> str:
    """A name fit for a folder that no reader passes over, unlike that of any other model."""
    quoted = quote(model, safe=" @")
    if quoted[:1] in (".", "_", " ", "~"):
        quoted = f"%{ord(quoted[0]):02X}{quoted[1:]}"
    if len(quoted) > LONGEST:
        quoted = f"{quoted[:LONGEST]}%{hashlib.sha256(model.encode()).hexdigest()[:16]}"
    return quoted


def run_id_of(model: str) -> str:
    """Stands for a scoring run in the keys of actions: the same whenever and wherever the model is served."""
    return f"serve-{folder_name(model)}"

"""The page to try models on: it makes its form from the OpenAPI document, which it asks the server for."""

from functools import cache
from importlib.resources import files

POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:"
"""For browsers: nothing is loaded from, or sent to, anywhere else."""


@cache
def page() -> str:
    """HTML, the same whatever is served."""
    return files("tasks.serving").joinpath("page.html").read_text(encoding="utf-8")

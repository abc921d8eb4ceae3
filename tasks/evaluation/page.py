"""HTML pages from templates: no scripts, nothing loaded from elsewhere, every name in them escaped."""

from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

SHARED = "tasks.evaluation"
"""The package whose `head.html` all pages include."""


def render_page(package: str, template: str, filters: Mapping[str, Callable[..., Any]], **values: Any) -> str:
    """The template of the package, filled in."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def source(name: str) -> str:
        return files(package if name == template else SHARED).joinpath(name).read_text(encoding="utf-8")

    environment = Environment(
        loader=FunctionLoader(source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(filters)
    return environment.get_template(template).render(**values)

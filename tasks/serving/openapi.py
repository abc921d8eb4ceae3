"""The OpenAPI document of what is served: it follows the contracts of the versions that answer now."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from models.columns import ColumnSettings
from models.columns.boolean.feed import BooleanSettings
from models.columns.category.statistics import CategoryStatistics
from models.columns.kind import FileSettings
from models.columns.number.feed import LARGEST, NumberSettings
from models.columns.number.statistics import NumberStatistics
from models.columns.series.feed import SeriesSettings
from models.contract import Contract, ContractColumn
from tasks.serving.limits import Limits
from tasks.serving.plain import FORM, LONGEST_ENDPOINT
from tasks.serving.served import Served
from tasks.serving.v2 import TYPES

JSON = "application/json"
Schema = dict[str, Any]
MOST_EXAMPLES = 50


def describe(models: Mapping[str, Served], limits: Limits) -> Schema:
    """The document, version 3.1 of the specification."""
    paths: dict[str, Any] = {}
    for name, served in models.items():
        place = quote(name, safe="@")
        paths[f"/models/{place}/predict"] = {"post": _predict(name, served.contract, limits)}
        paths[f"/v2/models/{place}/infer"] = {"post": _infer(name)}
        paths[f"/v2/models/{place}"] = {"get": _get(f"What {name} takes and returns.")}
        paths[f"/models/{place}/endpoints"] = {"get": _get(f"What endpoints have sent to {name}, and its drift.")}
        paths[f"/v2/models/{place}/ready"] = {"get": _get(f"Whether {name} answers.")}
    paths |= {
        "/v2": {"get": _get("The server.")},
        "/v2/health/live": {"get": _get("Whether the process runs.", guarded=False)},
        "/v2/health/ready": {"get": _get("Whether all models answer.", guarded=False)},
        "/endpoints": {"get": _get("What the endpoints of all models have sent, and whether it has drifted.")},
        "/metrics": {"get": _get("Counts and times in Prometheus's format.", "text/plain")},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Perennial", "version": "2", "description": "Predictions of registered model versions."},
        "paths": paths,
        "components": {
            "schemas": {"Problem": _problem_schema()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def row_schema(contract: Contract) -> Schema:
    """Of one row of raw columns."""
    columns = {column.name: _cell(column.settings) | _examples(column) for column in contract.columns}
    return {"type": "object", "properties": columns, "required": list(columns)}


def example_row(contract: Contract) -> dict[str, Any]:
    """A row that can be scored: usual values of the training rows, and missing ones where there are none to show."""
    return {column.name: next(iter(_examples(column).get("examples", [])), None) for column in contract.columns}


def _predict(name: str, contract: Contract, limits: Limits) -> Schema:
    row = row_schema(contract)
    body = {
        "type": "object",
        "properties": {
            "rows": {"type": "array", "items": row, "maxItems": limits.rows},
            "endpoint": {"type": "string", "maxLength": LONGEST_ENDPOINT, "description": "The device that asks."},
        },
        "required": ["rows"],
        "additionalProperties": False,
    }
    content: Schema = {JSON: {"schema": body, "example": {"rows": [example_row(contract)]}}}
    if any(isinstance(column.settings, FileSettings) for column in contract.columns):
        content[FORM] = {"schema": {"type": "object", "properties": _form(contract)}}
    answer = {
        "type": "object",
        "properties": {
            "model": {"type": "string"},
            "version": {"type": "string"},
            "request_id": {"type": "string"},
            "predictions": {"type": "array", "items": _answer(contract)},
        },
        "required": ["model", "version", "request_id", "predictions"],
    }
    return {
        "summary": f"Predictions of {name} for rows of raw columns.",
        "requestBody": {"required": True, "content": content},
        "responses": _responses(answer),
        "security": [{}, {"token": []}],
    }


def _infer(name: str) -> Schema:
    tensor = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
            "datatype": {"type": "string", "enum": sorted(TYPES)},
            "data": {"type": "array"},
        },
        "required": ["name", "shape", "datatype", "data"],
    }
    body = {
        "type": "object",
        "properties": {"id": {"type": "string"}, "inputs": {"type": "array", "items": tensor, "minItems": 1}},
        "required": ["inputs"],
    }
    return {
        "summary": f"The same of {name}, by version 2 of the Open Inference Protocol.",
        "requestBody": {"required": True, "content": {JSON: {"schema": body}}},
        "responses": _responses({"type": "object"}),
        "security": [{}, {"token": []}],
    }


def _get(summary: str, kind: str = JSON, guarded: bool = True) -> Schema:
    return {
        "summary": summary,
        "responses": _responses({"type": "object" if kind == JSON else "string"}, kind),
        "security": [{}, {"token": []}] if guarded else [],
    }


def _responses(schema: Schema, kind: str = JSON) -> Schema:
    problem = {"content": {JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    return {
        "200": {"description": "The answer.", "content": {kind: {"schema": schema}}},
        "4XX": {"description": "The request can't be answered; the text says why.", **problem},
    }


def _problem_schema() -> Schema:
    finding = {
        "type": "object",
        "properties": {
            "column": {"type": "string"},
            "reason": {"type": "string"},
            "row": {"type": ["integer", "null"], "description": "Counted from 1."},
        },
        "required": ["column", "reason", "row"],
    }
    return {
        "type": "object",
        "properties": {
            "error": {"type": "string"},
            "request_id": {"type": "string"},
            "findings": {"type": "array", "items": finding},
        },
        "required": ["error"],
    }


def _answer(contract: Contract) -> Schema:
    if contract.task == "regression":
        return {"type": "object", "properties": {"value": {"type": "number"}}, "required": ["value"]}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    return {
        "type": "object",
        "properties": {
            "label": {"enum": list(contract.classes)},
            "probability": share,
            "probabilities": {"type": "object", "properties": {str(name): share for name in contract.classes}},
        },
        "required": ["label", "probability", "probabilities"],
    }


def _cell(settings: ColumnSettings) -> Schema:
    if isinstance(settings, NumberSettings):
        low = -LARGEST if settings.min is None else settings.min
        high = LARGEST if settings.max is None else settings.max
        # Texts that read as numbers, and truth values, are taken as they are in files.
        limits = {"minimum": max(low, -LARGEST), "maximum": min(high, LARGEST)}
        return {"type": ["number", "string", "boolean", "null"], **limits}
    if isinstance(settings, SeriesSettings):
        cells = {"type": ["number", "null"], "minimum": -LARGEST, "maximum": LARGEST}
        return {"type": ["array", "null"], "items": cells, "minItems": settings.window, "maxItems": settings.window}
    if isinstance(settings, FileSettings):
        return {"type": ["string", "null"], "contentEncoding": "base64", "description": f"File of the {settings.kind}."}
    if isinstance(settings, BooleanSettings):
        return {"type": ["boolean", "string", "number", "null"]}
    if settings.kind == "category":
        return {"type": ["string", "number", "boolean", "null"]}
    # The page gives such a field room for a long text.
    return {"type": ["string", "number", "boolean", "null"], **({"x-long": True} if settings.kind == "text" else {})}


def _form(contract: Contract) -> Schema:
    return {
        column.name: {"type": "string", "contentMediaType": "application/octet-stream"}
        if isinstance(column.settings, FileSettings)
        else {"type": "string"}
        for column in contract.columns
    }


def _examples(column: ContractColumn) -> Schema:
    """Usual values, the most usual first; none of a column whose values must not be shown, whose profile has none."""
    statistics = column.statistics
    if isinstance(statistics, NumberStatistics):
        return {"examples": [float(f"{statistics.median:.6g}")]}
    if isinstance(statistics, CategoryStatistics):
        return {"examples": list(statistics.vocabulary[:MOST_EXAMPLES])}
    return {}

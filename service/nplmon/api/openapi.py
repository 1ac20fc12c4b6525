"""The machine form of the interface: bodies and answers described by the types that carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from nplmon.api.alarm_request import AcknowledgeRequest, TestRequest
from nplmon.api.answers import ANSWERS
from nplmon.api.bodies import ARROW, JSON, NPY
from nplmon.api.calibration_request import CalibrationRequest
from nplmon.api.json_events import ChunkBody, PointsBody, ReferenceBody
from nplmon.api.monitor_settings import MonitorChange, MonitorRequest
from nplmon.api.problems import ProblemBody
from nplmon.api.scopes import rule_of
from nplmon.api.token_request import TokenRequest

if TYPE_CHECKING:
    from fastapi import FastAPI

PROBLEM_ANSWER: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A refusal",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemBody"}}},
    }
}


REQUESTS: tuple[type[BaseModel], ...] = (
    MonitorRequest,
    MonitorChange,
    CalibrationRequest,
    AcknowledgeRequest,
    TestRequest,
    TokenRequest,
)


def event_body(form: type[PointsBody]) -> dict[str, Any]:
    """Describe a route's event body."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    content = {
        NPY: binary,
        ARROW: binary,
        JSON: {"schema": {"$ref": f"#/components/schemas/{form.__name__}"}},
    }
    return {"requestBody": {"required": True, "content": content}}


def model_body(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """Describe a route's JSON body."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": required, "content": {JSON: {"schema": schema}}}}


def describe(app: FastAPI) -> None:
    """Make `app` give a description that names the schemas of all bodies and answers."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            _, components = msgspec.json.schema_components(
                [*ANSWERS, ProblemBody, PointsBody, ChunkBody, ReferenceBody],
                ref_template="#/components/schemas/{name}",
            )
            _, models = models_json_schema(
                [(model, "validation") for model in REQUESTS],
                ref_template="#/components/schemas/{model}",
            )
            components.update(models["$defs"])
            schema.setdefault("components", {}).setdefault("schemas", {}).update(components)
            ask_for_tokens(schema)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def ask_for_tokens(schema: dict[str, Any]) -> None:
    """Say in a description which scope each route asks for."""
    schema["components"]["securitySchemes"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "Where the service asks for tokens."}
    }
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            rule = rule_of(method.upper(), path)
            if rule != "open":
                operation["security"] = [{"token": [] if rule == "known" else [rule]}]

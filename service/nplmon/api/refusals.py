"""Refusals: every error that a request can end in, turned into its problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from nplmon.api import names
from nplmon.api.problems import Problem, ProblemBody, Slug, problem_response
from nplmon.broker import (
    BrokerError,
    EpochMoved,
    MonitorExists,
    PayloadLost,
    RunClosed,
    RunsOpen,
    StoreFull,
    UnknownChunk,
    UnknownMonitor,
    UnknownReference,
    UnknownRun,
)

if TYPE_CHECKING:
    from starlette.responses import Response

    from nplmon.api.context import Context

log = structlog.get_logger()


def install(app: FastAPI) -> None:
    """Make `app` answer every error with problem details."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(BrokerError, _on_broker_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_fault)


def broker_problem(error: BrokerError) -> Problem:
    """Give the problem for an error of the broker."""
    slug: Slug = "store-unreachable"
    field, value = "store", ""
    match error:
        case UnknownReference():
            slug, field, value = "unknown-reference", "reference", error.name
            remedy = "Add it with PUT /v1/references/{name}, or see GET /v1/references."
        case UnknownMonitor():
            slug, field, value = "unknown-monitor", "monitor", error.name
            remedy = "Create it with POST /v1/monitors, or see GET /v1/monitors."
        case UnknownRun():
            slug, field, value = "unknown-run", "run", error.run
            remedy = "See GET /v1/monitors/{monitor}/runs."
        case UnknownChunk() | PayloadLost():
            slug, field, value = "unknown-chunk", "chunk", error.chunk
            remedy = "Name the chunk's run, or send the chunk."
        case RunClosed():
            slug, field, value = "run-closed", "run", error.run
            remedy = "Push to another run, or reset this one."
        case MonitorExists():
            slug, field, value = "monitor-exists", "name", error.name
            remedy = "Change it with PATCH, or choose another name."
        case RunsOpen():
            slug, field, value = "runs-open", "runs", ", ".join(error.names)
            remedy = "Close these runs first."
        case EpochMoved():
            remedy = "The monitor is being changed by somebody else; try again."
        case StoreFull():
            remedy = "The store is full; give it memory or disk, or delete a monitor. Then try again."
        case _:
            remedy = "The store gave no answer; try again, a chunk with the same id."
    return Problem(slug, _sentence(str(error)), field=field, value=value or None, remedy=remedy)


def request_problem(error: dict[str, Any]) -> Problem:
    """Give the problem for FastAPI's complaint about a path, query or header value."""
    place, field = str(error["loc"][0]), str(error["loc"][-1])
    slug: Slug = "settings"
    remedy = f"Send a value of {field!r} that fits."
    if error["type"] == "string_pattern_mismatch":
        slug, remedy = "name", names.NAME_REMEDY
    elif field.lower().endswith("exposure"):
        slug = "exposure"
    return Problem(
        slug,
        f"{field} ({place}): {error['msg']}.",
        field=field,
        value=error.get("input"),
        remedy=remedy,
    )


def _on_problem(request: Request, error: Exception) -> Response:
    problem = cast("Problem", error)
    context = cast("Context", request.app.state.context)
    context.metrics.refused(request.scope, problem.slug)
    return problem.response()


def _on_broker_error(request: Request, error: Exception) -> Response:
    return _on_problem(request, broker_problem(cast("BrokerError", error)))


def _on_invalid_request(request: Request, error: Exception) -> Response:
    return _on_problem(request, request_problem(cast("RequestValidationError", error).errors()[0]))


def _on_http_exception(request: Request, error: Exception) -> Response:
    refusal = cast("HTTPException", error)
    path, method = request.url.path, request.method
    if refusal.status_code == 405:
        return _on_problem(
            request,
            Problem(
                "method-not-allowed",
                f"{method} is not allowed on {path[:100]}.",
                field="method",
                value=method,
                remedy="See /docs for what is.",
                headers=refusal.headers,
            ),
        )
    return _on_problem(
        request,
        Problem(
            "unknown-path",
            f"There is no {path[:100]}.",
            field="path",
            value=path,
            remedy="See /docs for what there is.",
        ),
    )


def _on_fault(request: Request, error: Exception) -> Response:
    """Answer a fault of ours without showing its inside; the server logs the traceback."""
    log.error("request failed", method=request.method, path=request.url.path, error=repr(error))
    body = ProblemBody(
        type="about:blank",
        title="Internal error",
        status=500,
        detail="The service failed on this request; its log tells more.",
        field="",
        value=None,
        remedy="Report it.",
    )
    return problem_response(body)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."

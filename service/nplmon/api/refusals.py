"""Refusals: every error that a request can end in, turned into its problem."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from nplmon.access import AccessError, RateLimited, Unauthorized
from nplmon.api import names
from nplmon.api.problems import Problem, ProblemBody, Slug, problem_response
from nplmon.broker import (
    AlarmChanged,
    BrokerError,
    EpochMoved,
    MonitorExists,
    MonitorOutdated,
    NoAlarm,
    NoCalibration,
    PayloadLost,
    RunClosed,
    RunsOpen,
    StoredOtherwise,
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
    app.add_exception_handler(AccessError, _on_access_error)
    app.add_exception_handler(BrokerError, _on_broker_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_fault)


_TOLD: dict[type[BrokerError], tuple[Slug, str, str, str]] = {
    UnknownReference: (
        *("unknown-reference", "reference", "name"),
        "Add it with PUT /v1/references/{name}, or see GET /v1/references.",
    ),
    UnknownMonitor: (
        *("unknown-monitor", "monitor", "name"),
        "Create it with POST /v1/monitors, or see GET /v1/monitors.",
    ),
    UnknownRun: ("unknown-run", "run", "run", "See GET /v1/monitors/{monitor}/runs."),
    UnknownChunk: ("unknown-chunk", "chunk", "chunk", "Name the chunk's run, or send the chunk."),
    PayloadLost: ("unknown-chunk", "chunk", "chunk", "Name the chunk's run, or send the chunk."),
    NoCalibration: (
        *("no-calibration", "monitor", "monitor"),
        "Ask for one with POST /v1/monitors/{monitor}/calibration.",
    ),
    RunClosed: ("run-closed", "run", "run", "Push to another run, or reset this one."),
    MonitorExists: ("monitor-exists", "name", "name", "Change it with PATCH, or choose another name."),
    MonitorOutdated: (
        *("monitor-outdated", "monitor", "name"),
        "Delete it with DELETE /v1/monitors/{monitor}, and create it again.",
    ),
    StoredOtherwise: (
        *("stored-otherwise", "store", "what"),
        "Run the version that wrote it, or reset the run with POST /v1/monitors/{monitor}/runs/{run}/reset.",
    ),
    NoAlarm: ("no-alarm", "run", "run", "There is nothing to acknowledge."),
    AlarmChanged: (
        "alarm-changed",
        "alarm",
        "level",
        "See GET /v1/monitors/{monitor}/statistic, then try again.",
    ),
    RunsOpen: ("runs-open", "runs", "names", "Close these runs first."),
}
"""Kind of error -> slug, field, the member that holds the value, remedy."""


def broker_problem(error: BrokerError) -> Problem:
    """Give the problem for an error of the broker."""
    detail = _sentence(str(error))
    if type(error) in _TOLD:
        slug, field, member, remedy = _TOLD[type(error)]
        value = getattr(error, member)
        return Problem(
            slug,
            detail,
            field=field,
            value=value if isinstance(value, str) else ", ".join(value),
            remedy=remedy,
        )
    remedy = "The store gave no answer; try again, a chunk with the same id."
    if isinstance(error, EpochMoved):
        remedy = "The monitor is being changed by somebody else; try again."
    elif isinstance(error, StoreFull):
        remedy = "The store is full; give it memory or disk, or delete a monitor. Then try again."
    return Problem("store-unreachable", detail, field="store", remedy=remedy)


def access_problem(error: AccessError) -> Problem:
    """Give the problem for a refusal of access; what was sent as a secret is not in it."""
    slug: Slug = "forbidden"
    headers = {}
    if isinstance(error, Unauthorized):
        slug = "unauthorized"
        told = f', error="{error.error}"' if error.error else ""
        headers["WWW-Authenticate"] = f'Bearer realm="nplmon"{told}'
    elif isinstance(error, RateLimited):
        slug = "rate-limited"
        headers["Retry-After"] = str(math.ceil(error.seconds))
    return Problem(
        slug, str(error), field=error.field, value=error.value, remedy=error.remedy, headers=headers
    )


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


def _on_access_error(request: Request, error: Exception) -> Response:
    return _on_problem(request, access_problem(cast("AccessError", error)))


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

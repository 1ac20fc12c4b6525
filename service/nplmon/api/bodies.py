"""Request bodies: streamed in under a limit, then read as events."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

import anyio.to_thread
from starlette.requests import ClientDisconnect

from nplmon.api.problems import Problem

if TYPE_CHECKING:
    from fastapi import Request

NPY = "application/x-npy"
ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"
EVENT_TYPES = (NPY, ARROW, JSON)

THREAD_BYTES = 1_000_000
"""Bodies above this are worked on in a thread, so that the event loop stays free."""

ResultT = TypeVar("ResultT")
ArgumentsT = TypeVarTuple("ArgumentsT")


def content_type(request: Request, allowed: tuple[str, ...] = EVENT_TYPES) -> str:
    """Give the body's media type.

    Raises
    ------
    Problem
        `content-type`, if it is not one of `allowed`, or if the body is encoded (gzip and the like).
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"identity", ""}:
        raise Problem(
            "content-type",
            f"The content encoding {encoding!r} is not understood.",
            field="Content-Encoding",
            value=encoding,
            remedy="Send the body as it is, without compression.",
        )
    given = request.headers.get("content-type", "")
    media_type = given.partition(";")[0].strip().lower()
    if media_type not in allowed:
        raise Problem(
            "content-type",
            f"The content type {given!r} is not understood here." if given else "There is no content type.",
            field="Content-Type",
            value=given,
            remedy=f"Send one of {', '.join(allowed)}.",
        )
    return media_type


async def read_body(request: Request, limit: int) -> bytearray:
    """Read a body of at most `limit` bytes.

    Raises
    ------
    Problem
        `body-too-large`, as soon as it is known and before the rest is read; `body-truncated`, if less came
        than Content-Length promised.
    """
    declared = _declared(request)
    if declared is not None and declared > limit:
        raise _too_large(declared, limit)
    body = bytearray()
    try:
        async for piece in request.stream():
            if len(body) + len(piece) > limit:
                raise _too_large(len(body) + len(piece), limit)
            body += piece
    except ClientDisconnect as error:
        raise _truncated(len(body), declared) from error
    if declared is not None and len(body) < declared:
        raise _truncated(len(body), declared)
    return body


async def off_loop(size: int, function: Callable[[*ArgumentsT], ResultT], *args: *ArgumentsT) -> ResultT:
    """Call a function, in a thread if its input of `size` bytes is large."""
    if size <= THREAD_BYTES:
        return function(*args)
    return await anyio.to_thread.run_sync(functools.partial(function, *args))


def _declared(request: Request) -> int | None:
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None


def _too_large(size: int, limit: int) -> Problem:
    return Problem(
        "body-too-large",
        f"The body has at least {size} bytes; {limit} are allowed.",
        field="body",
        value=size,
        remedy="Send less in one request (a chunk can be split), or raise the service's limit.",
        # The rest of the body is not read, so the connection cannot be used again.
        headers={"Connection": "close"},
    )


def _truncated(size: int, declared: int | None) -> Problem:
    promised = "" if declared is None else f" of {declared}"
    return Problem(
        "body-truncated",
        f"The body ended after {size}{promised} bytes.",
        field="body",
        value=size,
        remedy="Send the whole body.",
    )

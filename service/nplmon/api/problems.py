"""Refusals as problem details (RFC 9457): every error answer of the interface, in one tree.

::

    Problem                     anything the interface refuses, by slug
    ├── 400                     body-truncated, body-unreadable
    ├── 401                     unauthorized
    ├── 403                     forbidden
    ├── 404                     unknown-reference, unknown-monitor, unknown-run, unknown-chunk, unknown-path,
    │                           unknown-token, no-statistic, no-calibration
    ├── 405                     method-not-allowed
    ├── 409                     chunk-conflict, run-closed, monitor-exists, monitor-outdated, stored-otherwise,
    │                           runs-open, reference-in-use, no-alarm, alarm-changed
    ├── 413                     body-too-large, pool-full
    ├── 415                     content-type
    ├── 422                     features, shape, dtype, not-finite, no-events, exposure, name,
    │                           reference-constant, reference-too-small, weights, pool, calibration,
    │                           settings
    ├── 429                     backlog-full, rate-limited
    └── 503                     store-unreachable
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import msgspec
from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

Slug = Literal[
    "body-truncated",
    "body-unreadable",
    "unauthorized",
    "forbidden",
    "unknown-reference",
    "unknown-monitor",
    "unknown-run",
    "unknown-chunk",
    "unknown-path",
    "unknown-token",
    "no-statistic",
    "no-calibration",
    "method-not-allowed",
    "chunk-conflict",
    "run-closed",
    "monitor-exists",
    "monitor-outdated",
    "stored-otherwise",
    "runs-open",
    "reference-in-use",
    "no-alarm",
    "alarm-changed",
    "body-too-large",
    "pool-full",
    "content-type",
    "features",
    "shape",
    "dtype",
    "not-finite",
    "no-events",
    "exposure",
    "name",
    "reference-constant",
    "reference-too-small",
    "weights",
    "pool",
    "calibration",
    "settings",
    "backlog-full",
    "rate-limited",
    "store-unreachable",
]

KINDS: dict[Slug, tuple[int, str]] = {
    "body-truncated": (400, "The body ends too early"),
    "body-unreadable": (400, "The body cannot be read"),
    "unauthorized": (401, "Nobody whom we know"),
    "forbidden": (403, "Not allowed"),
    "unknown-reference": (404, "No such reference"),
    "unknown-monitor": (404, "No such monitor"),
    "unknown-run": (404, "No such run"),
    "unknown-chunk": (404, "No such chunk"),
    "unknown-path": (404, "No such path"),
    "unknown-token": (404, "No such token"),
    "no-statistic": (404, "No statistic yet"),
    "no-calibration": (404, "No calibration by toys"),
    "method-not-allowed": (405, "Method not allowed"),
    "chunk-conflict": (409, "The chunk id was used for other content"),
    "run-closed": (409, "The run is closed"),
    "monitor-exists": (409, "The monitor exists"),
    "monitor-outdated": (409, "The monitor was stored by an earlier version"),
    "stored-otherwise": (409, "What is stored was written by another version"),
    "runs-open": (409, "Runs are open"),
    "reference-in-use": (409, "The reference is in use"),
    "no-alarm": (409, "There is no alarm"),
    "alarm-changed": (409, "The alarm is another one by now"),
    "body-too-large": (413, "The body is too large"),
    "pool-full": (413, "The pool is full"),
    "content-type": (415, "Unsupported content type"),
    "features": (422, "Wrong features"),
    "shape": (422, "Wrong shape"),
    "dtype": (422, "Wrong data type"),
    "not-finite": (422, "A value is not finite"),
    "no-events": (422, "No events"),
    "exposure": (422, "Wrong exposure"),
    "name": (422, "Wrong name"),
    "reference-constant": (422, "A feature of the reference is constant"),
    "reference-too-small": (422, "The reference is too small"),
    "weights": (422, "Wrong weights"),
    "pool": (422, "Wrong pool"),
    "calibration": (422, "The calibration cannot be made"),
    "settings": (422, "Wrong settings"),
    "backlog-full": (429, "The backlog is full"),
    "rate-limited": (429, "Too many requests"),
    "store-unreachable": (503, "The store cannot be reached"),
}
"""Slug -> status and title."""

VALUE_CHARACTERS = 120
RETRY_SECONDS = 1

Shown = str | int | float | bool | None


class ProblemBody(msgspec.Struct, frozen=True, kw_only=True):
    """The members of an `application/problem+json` answer."""

    type: str
    title: str
    status: int
    detail: str
    field: str
    """What was wrong."""
    value: Shown
    """The value as it was seen, shortened."""
    remedy: str
    """What to do."""


class Problem(Exception):  # noqa: N818 - RFC 9457 names it a problem
    """One refusal.

    Parameters
    ----------
    slug:
        Which kind; gives status, title and `type`.
    detail:
        What was wrong, with the value, in a sentence.
    field, value, remedy:
        The same for machines: where, what was seen, what to do.
    headers:
        Further headers of the answer, e.g. Allow.

    Examples
    --------
    >>> Problem("no-events", "The body has 0 events.", field="events", value=0, remedy="Send one.").status
    422
    """

    def __init__(
        self,
        slug: Slug,
        detail: str,
        *,
        field: str,
        value: object = None,
        remedy: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.slug = slug
        self.status, self.title = KINDS[slug]
        self.detail = detail
        self.field = field
        self.value = shown(value)
        self.remedy = remedy
        self.headers = dict(headers or {})
        if self.status in {429, 503}:
            self.headers.setdefault("Retry-After", str(RETRY_SECONDS))

    def response(self) -> Response:
        """Give the answer."""
        body = ProblemBody(
            type=f"/problems/{self.slug}",
            title=self.title,
            status=self.status,
            detail=self.detail,
            field=self.field,
            value=self.value,
            remedy=self.remedy,
        )
        return problem_response(body, self.headers)


def problem_response(body: ProblemBody, headers: Mapping[str, str] | None = None) -> Response:
    """Encode a problem as its answer."""
    return Response(
        msgspec.json.encode(body), body.status, headers=headers, media_type="application/problem+json"
    )


def shown(value: object) -> Shown:
    """Give `value` in a form that is short and that JSON can carry.

    Examples
    --------
    >>> shown(float("nan")), shown(3), shown("x" * 500)[-3:], shown((1, 2))
    ('nan', 3, '...', '(1, 2)')
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    text = value if isinstance(value, str) else repr(value)
    # A lone surrogate, from a JSON escape, cannot be encoded again.
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= VALUE_CHARACTERS else text[: VALUE_CHARACTERS - 3] + "..."

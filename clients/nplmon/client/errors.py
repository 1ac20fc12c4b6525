"""What can go wrong for a client.

::

    ClientError
    |-- Refused                 the service said no (4xx); repeating it unchanged is no use
    |   |-- Unauthorized        401: no token, or one that is not known
    |   |-- Forbidden           403: the token may not do this
    |   |-- NotFound            404
    |   |   |-- UnknownReference, UnknownMonitor, UnknownRun, UnknownChunk
    |   |   `-- NoStatistic, NoCalibration
    |   |-- Conflict            409
    |   |   `-- ChunkConflict, RunClosed, MonitorExists, RunsOpen, ReferenceInUse, AlarmChanged,
    |   |   NoAlarm
    |   |-- TooLarge            413
    |   `-- Invalid             400, 415, 422
    |-- Unavailable             no answer, or "not now", until the deadline
    |   |-- Unreachable         no connection, or it broke
    |   |-- TimedOut            connected, but too slow
    |   `-- Busy                429, 502, 503 or 504 to the end
    |-- ServiceFault            any other 5xx
    |-- UnexpectedAnswer        an answer that is not of this interface
    `-- FileError               a file with events cannot be read
        `-- MissingLibrary      its format needs an extra
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """Base of all errors of the client; printed as one line."""


class Refused(ClientError):  # noqa: N818  # named after what happened
    """The service refused a request (4xx) and stored nothing.

    Attributes
    ----------
    status:
        The HTTP status.
    slug:
        What is wrong, stable: see the table in docs/http-api.md.
    detail, field, value, remedy:
        In words; which field; the value as the service saw it; what to do.
    """

    def __init__(
        self, *, status: int, slug: str, detail: str, field: str = "", value: object = None, remedy: str = ""
    ) -> None:
        self.status = status
        self.slug = slug
        self.detail = detail
        self.field = field
        self.value = value
        self.remedy = remedy
        super().__init__(_line(detail, field, value, remedy, slug))


class Unauthorized(Refused):
    """401: the service asks for a token, and has none from us that it knows."""


class Forbidden(Refused):
    """403: the token may not do this."""


class NotFound(Refused):
    """404: there is no such thing."""


class UnknownReference(NotFound):
    """No reference has this name."""


class UnknownMonitor(NotFound):
    """No monitor has this name."""


class UnknownRun(NotFound):
    """The monitor has no such run."""


class UnknownChunk(NotFound):
    """The run has no such chunk."""


class NoStatistic(NotFound):
    """No chunk is applied yet."""


class NoCalibration(NotFound):
    """Nobody asked for a calibration by toys."""


class Conflict(Refused):
    """409: the request contradicts what is stored."""


class ChunkConflict(Conflict):
    """The chunk id was used before, with other content."""


class RunClosed(Conflict):
    """The run takes no more chunks."""


class MonitorExists(Conflict):
    """A monitor of this name exists."""


class RunsOpen(Conflict):
    """The monitor cannot change while a run is open."""


class ReferenceInUse(Conflict):
    """A monitor still needs this reference."""


class AlarmChanged(Conflict):
    """The alarm of the run is another one by now."""


class NoAlarm(Conflict):
    """The run has raised no warning and no alarm."""


class TooLarge(Refused):
    """413: the body is over the service's limit."""


class Invalid(Refused):
    """400, 415 or 422: the body or a setting is not acceptable."""


class Unavailable(ClientError):  # noqa: N818  # named after what happened
    """No answer, or only "not now", until the deadline."""


class Unreachable(Unavailable):
    """No connection to the service, or the connection broke."""


class TimedOut(Unavailable):
    """The service is there, but did not answer or finish in time."""


class Busy(Unavailable):
    """The service said "not now" (429, 502, 503, 504) until the deadline."""


class ServiceFault(ClientError):  # noqa: N818  # named after what happened
    """The service failed (5xx); its log says why."""


class UnexpectedAnswer(ClientError):  # noqa: N818  # named after what happened
    """The answer is not of this interface: another service, or another version of it."""


class FileError(ClientError):
    """A file with events cannot be read."""


class MissingLibrary(FileError):  # noqa: N818  # named after what happened
    """The file's format needs a library that is not installed."""


_BY_SLUG: Mapping[str, type[Refused]] = {
    "unknown-reference": UnknownReference,
    "unknown-monitor": UnknownMonitor,
    "unknown-run": UnknownRun,
    "unknown-chunk": UnknownChunk,
    "no-statistic": NoStatistic,
    "no-calibration": NoCalibration,
    "chunk-conflict": ChunkConflict,
    "run-closed": RunClosed,
    "monitor-exists": MonitorExists,
    "runs-open": RunsOpen,
    "reference-in-use": ReferenceInUse,
    "alarm-changed": AlarmChanged,
    "no-alarm": NoAlarm,
}
_BY_STATUS: Mapping[int, type[Refused]] = {
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    415: Invalid,
    422: Invalid,
}


def _line(detail: str, field: str, value: object, remedy: str, slug: str) -> str:
    said = detail or slug
    shown = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    facts = " = ".join(part for part in (field, shown) if part)
    if facts and not (field in said and shown in said):
        said = f"{said.rstrip('.')} ({facts})"
    if remedy:
        said = f"{said.rstrip('.')}. {remedy}"
    return " ".join(said.split())


def problem(content: bytes) -> dict[str, Any]:
    """Read a problem+json body (RFC 9457); empty if it is none.

    Examples
    --------
    >>> problem(b'{"type": "/problems/shape"}')
    {'type': '/problems/shape'}
    >>> problem(b"<html>")
    {}
    """
    try:
        said = json.loads(content)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def refusal(status: int, content: bytes) -> Refused:
    """Make the error for a 4xx answer.

    Examples
    --------
    >>> error = refusal(404, b'{"type": "/problems/unknown-monitor", "detail": "No monitor x."}')
    >>> type(error).__name__, str(error)
    ('UnknownMonitor', 'No monitor x.')
    """
    said = problem(content)
    slug = str(said.get("type", "")).rsplit("/", 1)[-1]
    kind = _BY_SLUG.get(slug) or _BY_STATUS.get(status, Refused)
    detail = str(said.get("detail") or said.get("title") or f"the service answered {status}")
    return kind(
        status=status,
        slug=slug,
        detail=detail,
        field=str(said.get("field") or ""),
        value=said.get("value"),
        remedy=str(said.get("remedy") or ""),
    )

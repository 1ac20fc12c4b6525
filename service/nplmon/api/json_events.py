"""Events as JSON, for small bodies and for hands."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import numpy as np

from nplmon.api.problems import Problem, Slug
from nplmon.api.tables import Matrix


class PointsBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Points at which something is evaluated."""

    events: list[list[float]]
    features: tuple[str, ...] | None = None


class ChunkBody(PointsBody, kw_only=True):
    """A chunk and what the headers may say as well."""

    id: str | None = None
    exposure: float | None = None
    source_time: float | str | None = None


class ReferenceBody(PointsBody, kw_only=True):
    """A reference sample."""

    weights: list[float] | None = None


BodyT = TypeVar("BodyT", bound=PointsBody)


def read_json(body: bytes | bytearray, form: type[BodyT]) -> tuple[Matrix, BodyT]:
    """Read events from JSON.

    Parameters
    ----------
    body:
        `{"events": [[...], ...], ...}`.
    form:
        Which members are allowed.

    Returns
    -------
    Matrix, msgspec.Struct
        The events as float64 (N, d), and the other members.

    Raises
    ------
    Problem
        `body-truncated`, `body-unreadable`, `shape`, `dtype`, `not-finite`, `no-events`, `settings`.

    Examples
    --------
    >>> table, _ = read_json(b'{"events": [[1, 2], [3, 4]]}', PointsBody)
    >>> table.values.shape
    (2, 2)
    """
    try:
        members = msgspec.json.decode(body, type=form)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(str(error), len(body)) from error
    rows, members.events = members.events, []
    if not rows:
        raise Problem(
            "no-events", "`events` is empty.", field="events", value=0, remedy="Send at least one event."
        )
    width = len(rows[0])
    widths = list(map(len, rows))
    if width == 0 or widths.count(width) != len(rows):
        row = next((place for place, size in enumerate(widths) if size != width), 0)
        raise Problem(
            "shape",
            f"Row {row} (counted from 0) has {widths[row]} values, row 0 has {width}.",
            field="events",
            value=widths[row],
            remedy="Give every event the same features, at least one.",
        )
    return Matrix(np.array(rows, dtype=np.float64), members.features), members


def _malformed(reason: str, size: int) -> Problem:
    if "truncated" in reason:
        return Problem(
            "body-truncated",
            f"The JSON ends early, after {size} bytes.",
            field="body",
            value=size,
            remedy="Send the whole body.",
        )
    return Problem(
        "body-unreadable",
        reason[:200],
        field="body",
        value=size,
        remedy='Send JSON: {"events": [[...], ...]}; NaN and Infinity are not JSON.',
    )


def _invalid(reason: str) -> Problem:
    """Sort msgspec's message, which ends in the place: "... - at `$.events[0][1]`"."""
    text, _, place = reason.partition(" - at `$")
    place = place.rstrip("`").removeprefix(".")
    slug: Slug
    match place.partition("[")[0]:
        case "events" if "out of range" in text:
            slug, remedy = "not-finite", "Send values below 3.4e38."
        case "events" if place.count("[") == 2 and "got `array`" not in text:
            slug, remedy = "dtype", "Send numbers only."
        case "events":
            slug, remedy = "shape", 'Send "events" as a list of lists of numbers.'
        case "weights":
            slug, remedy = "weights", "Send one number per event."
        case "features":
            slug, remedy = "features", "Send a list of names."
        case "exposure":
            slug, remedy = "exposure", "Send a number above 0."
        case "id":
            slug, remedy = "name", "Send the id as a string."
        case _ if "missing required field `events`" in text:
            slug, remedy, place = "no-events", 'Send "events": [[...], ...].', "events"
        case _:
            slug, remedy = "settings", "Send the members that the interface names, and no others."
    return Problem(slug, f"{reason}.", field=place or "body", value=text, remedy=remedy)

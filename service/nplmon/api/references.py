"""References: put one in, list them, show one."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
import safetensors.numpy
import structlog
from fastapi import APIRouter, Query, Request

from nplmon.api.answers import Answer, ReferenceList, described
from nplmon.api.arrow import read_arrow
from nplmon.api.bodies import ARROW, NPY, content_type, off_loop, read_body
from nplmon.api.context import InContext
from nplmon.api.events import agreed_columns
from nplmon.api.json_events import ReferenceBody, read_json
from nplmon.api.names import ReferencePath, checked_features, listed
from nplmon.api.npy import read_npy
from nplmon.api.openapi import event_body
from nplmon.api.pools import append, checked_share, set_aside
from nplmon.api.problems import Problem
from nplmon.api.tables import Float64, Table, chosen_events
from nplmon.broker import UnknownReference
from nplmon.broker.messages import Reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVENTS_NEEDED = 100

router = APIRouter(tags=["references"])
log = structlog.get_logger()

FeaturesQuery = Annotated[str | None, Query(description="Names of the columns, comma separated.")]


@router.put(
    "/v1/references/{name}",
    responses={
        **described("The reference, new content", Reference, 201),
        **described("The reference, as it was", Reference),
    },
    openapi_extra=event_body(ReferenceBody),
    status_code=201,
)
async def put_reference(
    request: Request,
    context: InContext,
    name: ReferencePath,
    *,
    features: FeaturesQuery = None,
    units: Annotated[str | None, Query(description="One unit per feature, comma separated.")] = None,
    weights: Annotated[str | None, Query(description="The column that holds event weights.")] = None,
    pool: Annotated[
        str | None, Query(description="Share of the events to set aside as a pool, at random, e.g. 0.3.")
    ] = None,
) -> Answer:
    """Add a reference sample, or a new version of one."""
    kind = content_type(request)
    limit = context.settings.reference_limit_mb * 1_000_000
    if kind == NPY and features is None:
        raise Problem(
            "features",
            "An npy body has no column names.",
            field="features",
            value=None,
            remedy="Name the columns: ?features=a,b,c.",
        )
    body = await read_body(request, limit)
    size = len(body)
    names, named_units, events, values = await off_loop(
        size, _read, kind, body, listed(features), listed(units), weights
    )
    del body
    share = checked_share(pool, weighted=values is not None)
    aside = events[:0]
    if share is not None:
        seed = await off_loop(size, content_hash, names, named_units, events, values)
        events, aside = await off_loop(size, set_aside, events, share, seed)
    reference, content = await off_loop(size, _reference, name, names, named_units, events, values)
    try:
        new = (await context.broker.references.get(name)).hash != reference.hash
    except UnknownReference:
        new = True
    if new:
        await context.broker.references.put(reference, content)
    # As it is stored: content that is there under another name keeps the time of its first arrival.
    reference = await context.broker.references.get(name)
    if len(aside):
        # Also where the reference is there: an upload cut short here is completed by repeating it.
        await append(context, reference, aside)
    if not new:
        return Answer(reference, 200)
    log.info("reference added", reference=name, hash=reference.hash, events=reference.events)
    return Answer(reference, 201, headers={"Location": f"/v1/references/{name}"})


@router.get("/v1/references", responses=described("All references", ReferenceList))
async def list_references(context: InContext) -> Answer:
    """List the newest version of every reference."""
    return Answer(ReferenceList(await context.broker.references.all()))


@router.get("/v1/references/{name}", responses=described("The reference", Reference))
async def show_reference(context: InContext, name: ReferencePath) -> Answer:
    """Show the newest version of one reference."""
    return Answer(await context.broker.references.get(name))


Sample = tuple[tuple[str, ...], tuple[str, ...], "NDArray[np.float32]", "NDArray[np.float64] | None"]


def _read(
    kind: str,
    body: bytearray,
    query: tuple[str, ...] | None,
    units: tuple[str, ...] | None,
    weights: str | None,
) -> Sample:
    """Give features, units, events (N, d) and weights (N,)."""
    table: Table
    values: NDArray[np.float64] | None = None
    if kind == ARROW:
        asked = None if query is None else checked_features(query)
        if asked is not None and weights is not None and weights not in asked:
            asked = (*asked, weights)
        table = read_arrow(body, asked)
        columns = checked_features(table.names or ())
    elif kind == NPY:
        table, columns = read_npy(body), checked_features(query or ())
    else:
        table, members = read_json(body, ReferenceBody)
        named = agreed_columns(query, table.names)
        if named is None:
            raise Problem(
                "features",
                "The features have no names.",
                field="features",
                value=None,
                remedy='Name them: "features": ["a", "b"], or ?features=a,b.',
            )
        columns = named
        values = None if members.weights is None else np.array(members.weights, dtype=Float64)
    features = tuple(column for column in columns if column != weights)
    events = chosen_events(table, features, columns)
    if weights is not None:
        if weights not in columns or not features:
            raise _bad_weights(
                f"There is no column {weights!r} beside the features {', '.join(features[:20])}.",
                weights,
                "Name a column of the body.",
            )
        if values is not None:
            raise _bad_weights("Both a column and a list of weights are given.", weights, "Give one of them.")
        values = table.column(columns.index(weights))
    return features, _units(units, features, columns, weights), events, values


def _units(
    units: tuple[str, ...] | None, features: tuple[str, ...], columns: tuple[str, ...], weights: str | None
) -> tuple[str, ...]:
    if units is None:
        return ("",) * len(features)
    if len(units) == len(columns):
        # One was given for the column of weights as well.
        units = tuple(unit for unit, column in zip(units, columns, strict=True) if column != weights)
    if len(units) != len(features):
        raise Problem(
            "features",
            f"{len(units)} units are given for {len(features)} features.",
            field="units",
            value=",".join(units),
            remedy="Give one unit per feature, comma separated; an empty one where there is none.",
        )
    if any(len(unit) > 32 or not unit.isprintable() for unit in units):
        raise Problem(
            "features",
            "A unit is too long.",
            field="units",
            value=",".join(units),
            remedy="Use 32 characters.",
        )
    return units


def _reference(
    name: str,
    features: tuple[str, ...],
    units: tuple[str, ...],
    events: NDArray[np.float32],
    weights: NDArray[np.float64] | None,
) -> tuple[Reference, bytes]:
    """Check a sample; give its description and its safetensors bytes."""
    count = len(events)
    if count < EVENTS_NEEDED:
        raise Problem(
            "reference-too-small",
            f"The reference has {count} events; at least {EVENTS_NEEDED} are needed.",
            field="events",
            value=count,
            remedy="Send more events; a useful reference has ten times those of a run.",
        )
    if weights is not None:
        _check_weights(weights, count)
    counted = events if weights is None else events[weights > 0]
    minima, maxima = counted.min(axis=0).tolist(), counted.max(axis=0).tolist()
    for feature, low, high in zip(features, minima, maxima, strict=True):
        if low == high:
            raise Problem(
                "reference-constant",
                f"The feature {feature!r} is {low} in every event of the reference.",
                field=feature,
                value=low,
                remedy="Leave it out, or send a reference in which it varies.",
            )
    moments = [_moments(events[:, place].astype(Float64), weights) for place in range(len(features))]
    reference = Reference(
        name=name,
        hash=content_hash(features, units, events, weights),
        features=features,
        units=units,
        events=count,
        weighted=weights is not None,
        sum_weights=float(count if weights is None else weights.sum()),
        effective_events=float(count if weights is None else effective_events(weights)),
        means=tuple(mean for mean, _ in moments),
        standard_deviations=tuple(deviation for _, deviation in moments),
        minima=tuple(minima),
        maxima=tuple(maxima),
        created_at=time.time(),
    )
    arrays: dict[str, NDArray[np.floating]] = {"events": events}
    if weights is not None:
        arrays["weights"] = weights
    return reference, safetensors.numpy.save(arrays)


def content_hash(
    features: tuple[str, ...],
    units: tuple[str, ...],
    events: NDArray[np.float32],
    weights: NDArray[np.float64] | None,
) -> str:
    """Give the SHA-256 (hex) over features, units, events and weights: what a version of a reference is.

    Parameters
    ----------
    events:
        float32 (N, d), row major, little-endian.
    weights:
        float64 (N,), little-endian, or None.
    """
    head = {"features": features, "units": units, "events": len(events), "weighted": weights is not None}
    digest = hashlib.sha256(msgspec.json.encode(head))
    digest.update(events.data.cast("B"))
    if weights is not None:
        digest.update(np.ascontiguousarray(weights, dtype=Float64).data.cast("B"))
    return digest.hexdigest()


def effective_events(weights: NDArray[np.float64]) -> float:
    """Give N_eff = V^2 / sum v^2 of weights v >= 0, 0 if all are 0.

    Examples
    --------
    >>> effective_events(np.array([1.0, 1.0, 0.0])), effective_events(np.zeros(3))
    (2.0, 0.0)
    """
    # Scaled by the largest, so that no square can overflow or vanish.
    largest = float(weights.max())
    if largest == 0:
        return 0.0
    scaled = weights / largest
    return float(scaled.sum() ** 2 / np.dot(scaled, scaled))


def _moments(column: NDArray[np.float64], weights: NDArray[np.float64] | None) -> tuple[float, float]:
    """Give weighted mean and standard deviation (of the population)."""
    mean = float(np.average(column, weights=weights))
    return mean, float(np.sqrt(np.average((column - mean) ** 2, weights=weights)))


def _check_weights(weights: NDArray[np.float64], count: int) -> None:
    if len(weights) != count:
        raise _bad_weights(
            f"{len(weights)} weights are given for {count} events.",
            len(weights),
            "Give one weight per event.",
        )
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise _bad_weights(
            f"The weight in row {row} (counted from 0) is {weights[row]}.",
            f"{weights[row]} in row {row}",
            "Weights must be finite and at least 0.",
        )
    with np.errstate(over="ignore"):
        total = float(weights.sum())
    effective = effective_events(weights)
    if effective < EVENTS_NEEDED or not np.isfinite(total):
        raise _bad_weights(
            f"The weights sum to {total:.4g} with N_eff = {effective:.4g}; N_eff >= {EVENTS_NEEDED} is needed.",
            effective,
            "Send more events, or more even weights.",
        )


def _bad_weights(detail: str, value: object, remedy: str) -> Problem:
    return Problem("weights", detail, field="weights", value=value, remedy=remedy)

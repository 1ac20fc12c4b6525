"""Pools: add held-out events to a reference, see how many are left."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Annotated

import numpy as np
import safetensors.numpy
import structlog
from fastapi import APIRouter, Query, Request

from nplmon.api.answers import Answer, PoolAdded, PoolLevel, described
from nplmon.api.bodies import content_type, off_loop, read_body
from nplmon.api.context import Context, InContext
from nplmon.api.events import read_events
from nplmon.api.json_events import PointsBody
from nplmon.api.names import ReferencePath, listed
from nplmon.api.openapi import event_body
from nplmon.api.problems import Problem
from nplmon.broker import PoolFull

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.broker.messages import Reference

LARGEST_OVERLAP = 0.5
"""Share of a pool's events that may be equal to some event of the reference; discrete features agree by chance."""

router = APIRouter(tags=["references"])
log = structlog.get_logger()

VersionQuery = Annotated[
    str | None, Query(pattern="^[0-9a-f]{64}$", description="Hash of a version; without it, the newest.")
]


@router.put(
    "/v1/references/{name}/pool",
    responses={
        **described("What was added, and the pool", PoolAdded, 201),
        **described("The pool; these events were there", PoolAdded),
    },
    openapi_extra=event_body(PointsBody),
    status_code=201,
)
async def add_to_pool(
    request: Request,
    context: InContext,
    name: ReferencePath,
    *,
    features: Annotated[str | None, Query(description="Names of the columns, comma separated.")] = None,
    weights: Annotated[str | None, Query(description="Refused: a pool has no weights.")] = None,
    version: VersionQuery = None,
) -> Answer:
    """Add events of H0 to the pool of a reference: none of them may be in the reference or in a fit."""
    kind = content_type(request)
    if weights is not None:
        raise _no_weights(weights)
    reference = await _version(context, name, version)
    body = await read_body(request, context.settings.reference_limit_mb * 1_000_000)
    size = len(body)
    events, _ = await off_loop(
        size, read_events, kind, body, reference.features, listed(features), PointsBody
    )
    del body
    stored = await context.broker.references.body(reference.hash)
    await off_loop(size + len(stored), _check_fresh, events, stored)
    added = await append(context, reference, events)
    level = await _level(context, reference)
    return Answer(PoolAdded(added=len(events) if added else 0, pool=level), 201 if added else 200)


@router.get("/v1/references/{name}/pool", responses=described("The pool", PoolLevel))
async def show_pool(context: InContext, name: ReferencePath, *, version: VersionQuery = None) -> Answer:
    """Show the pool of a reference: its segments, and what each monitor has left of it."""
    return Answer(await _level(context, await _version(context, name, version)))


async def append(context: Context, reference: Reference, events: NDArray[np.float32]) -> bool:
    """Append a segment in random order; say whether it is new.

    Parameters
    ----------
    events:
        float32 (N, d), finite, in the features of the reference.

    Raises
    ------
    Problem
        `pool-full`, if there is no room, also after segments that every monitor has used up were dropped.
    """
    content, body = await off_loop(events.nbytes, _segment, reference.features, events)
    limit = context.settings.pool_limit_mb * 1_000_000 // (4 * len(reference.features))
    pools = context.broker.pools
    try:
        try:
            added = await pools.add(reference.hash, content, body, events=len(events), limit=limit)
        except PoolFull:
            used = (await _positions(context, reference)).values()
            await pools.trim(reference.hash, min(used, default=0))
            added = await pools.add(reference.hash, content, body, events=len(events), limit=limit)
    except PoolFull as error:
        raise Problem(
            "pool-full",
            f"The pool has {error.held} events and room for {error.limit}; {error.events} more do not fit.",
            field="events",
            value=error.events,
            remedy="Send fewer, raise the service's limit, or delete monitors that have not used theirs.",
        ) from error
    if added:
        log.info("pool filled", reference=reference.name, hash=reference.hash, events=len(events))
    return added


def _segment(features: tuple[str, ...], events: NDArray[np.float32]) -> tuple[str, bytes]:
    """Give the hash of a segment, and its events in random order."""
    content = segment_hash(features, events)
    # By content, so that the same upload gives the same order.
    order = np.random.default_rng(int(content, 16)).permutation(len(events))
    return content, events[order].tobytes()


def segment_hash(features: tuple[str, ...], events: NDArray[np.float32]) -> str:
    """Give the SHA-256 (hex) over features and events, as they were sent: what a segment is.

    Parameters
    ----------
    events:
        float32 (N, d), row major, little-endian.
    """
    digest = hashlib.sha256(",".join(features).encode() + b"\n")
    digest.update(np.ascontiguousarray(events, dtype="<f4").data.cast("B"))
    return digest.hexdigest()


def set_aside(
    events: NDArray[np.float32], share: float, seed: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Split a sample at random: what remains, in its order, and what goes into the pool.

    Parameters
    ----------
    events:
        (N, d).
    share:
        Of the events that go into the pool.
    seed:
        Hexadecimal; the hash of the sample, so that the same sample is split in the same way.

    Examples
    --------
    >>> rest, pool = set_aside(np.arange(10.0, dtype=np.float32)[:, None], 0.3, "ab")
    >>> len(rest), sorted(np.concatenate([rest, pool])[:, 0].tolist()) == list(range(10))
    (7, True)
    """
    chosen = np.zeros(len(events), dtype=bool)
    rng = np.random.default_rng(int(seed, 16))
    chosen[rng.choice(len(events), size=round(share * len(events)), replace=False)] = True
    return np.ascontiguousarray(events[~chosen]), np.ascontiguousarray(events[chosen])


def checked_share(text: str | None, *, weighted: bool) -> float | None:
    """Give the share of a reference to set aside, None where none is asked for.

    Raises
    ------
    Problem
        `pool`, if it is no number between 0 and 1, or the reference has weights.
    """
    if text is None:
        return None
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 < share < 1:
        raise Problem(
            "pool",
            f"A share of {text[:30]} cannot be set aside.",
            field="pool",
            value=text,
            remedy="Give a number between 0 and 1, for instance pool=0.3.",
        )
    if weighted:
        raise Problem(
            "pool",
            "A pool has no weights, so none can be set aside from a weighted reference.",
            field="pool",
            value=text,
            remedy="Add unweighted events of the same distribution with PUT /v1/references/{name}/pool.",
        )
    return share


async def _version(context: Context, name: str, version: str | None) -> Reference:
    if version is None:
        return await context.broker.references.get(name)
    return await context.broker.references.by_hash(version)


async def _positions(context: Context, reference: Reference) -> dict[str, int]:
    """Give how far each monitor with this version is in its pool."""
    monitors = [m for m in await context.broker.monitors.all() if m.reference_hash == reference.hash]
    return {m.name: await context.broker.pools.position(m.name, reference.hash) for m in monitors}


async def _level(context: Context, reference: Reference) -> PoolLevel:
    pool = await context.broker.pools.get(reference.hash)
    end = pool.first + pool.events
    positions = await _positions(context, reference)
    return PoolLevel(
        reference=reference.name,
        reference_hash=reference.hash,
        hash=pool.hash,
        events=pool.events,
        segments=pool.segments,
        left={name: end - max(position, pool.first) for name, position in positions.items()},
    )


def _check_fresh(events: NDArray[np.float32], stored: bytes) -> None:
    """Refuse a pool that was taken from the reference itself: the ratio has learned its events."""
    reference = safetensors.numpy.load(stored)["events"]
    # Rows as single values, which numpy can sort and look up.
    row = np.dtype((np.void, 4 * reference.shape[1]))
    known = np.unique(np.ascontiguousarray(reference).view(row))
    found = int(np.isin(events.view(row), known).sum())
    # Where the reference repeats itself, equal events say nothing.
    if found > LARGEST_OVERLAP * len(events) and len(known) > LARGEST_OVERLAP * len(reference):
        raise Problem(
            "pool",
            f"{found} of the {len(events)} events are events of the reference.",
            field="events",
            value=found,
            remedy="Send events that are not in the reference, or set some aside with "
            "PUT /v1/references/{name}?pool=0.3.",
        )


def _no_weights(weights: str) -> Problem:
    return Problem(
        "pool",
        "A pool has no weights: each of its events stands for one event of the data.",
        field="weights",
        value=weights,
        remedy="Send unweighted events, for instance after hit-or-miss on the weights.",
    )

"""Chunks: push one, see where it is, see and replay the dead."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, TypeVar

import structlog
from blake3 import blake3
from fastapi import APIRouter, Header, Query, Request
from starlette.responses import Response

from nplmon.api.answers import Answer, ChunkPlace, DeadList, described
from nplmon.api.bodies import content_type, off_loop, read_body
from nplmon.api.context import Context, InContext
from nplmon.api.entry import InIdentity
from nplmon.api.events import read_events
from nplmon.api.json_events import ChunkBody
from nplmon.api.metrics import PUSH_ROUTE
from nplmon.api.names import ChunkPath, MonitorPath, RunPath, RunQuery, checked_name, listed
from nplmon.api.openapi import event_body
from nplmon.api.problems import Problem, Slug
from nplmon.api.runs import chosen_run
from nplmon.broker import RunClosed, UnknownMonitor
from nplmon.broker.messages import Monitor, Receipt, expected_rate, tests_rate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nplmon.broker import Admitted

router = APIRouter(tags=["chunks"])
log = structlog.get_logger()

FARTHEST_COUNT = 1000.0
"""Expected and observed count of a chunk may differ by this factor."""
SMALLEST_EXPECTED, LARGEST_EXPECTED = 1e-6, 1e12
"""Expected events of a chunk where the rate is tested apart; a chunk may have far fewer, which is what is tested."""
ATTEMPTS = 3

MemberT = TypeVar("MemberT", str, float)


@router.post(
    PUSH_ROUTE,
    status_code=202,
    responses={
        **described("The receipt; the chunk is stored", Receipt, 202),
        **described("The first receipt; the chunk is a duplicate", Receipt),
    },
    openapi_extra=event_body(ChunkBody),
)
async def push_chunk(
    request: Request,
    context: InContext,
    monitor: MonitorPath,
    run: RunPath,
    *,
    id_header: Annotated[str | None, Header(alias="Nplmon-Chunk-Id")] = None,
    exposure_header: Annotated[str | None, Header(alias="Nplmon-Exposure")] = None,
    source_time_header: Annotated[str | None, Header(alias="Nplmon-Source-Time")] = None,
    chunk: Annotated[str | None, Query(description="Id of the chunk.")] = None,
    exposure: Annotated[str | None, Query(description="Exposure, > 0.")] = None,
    source_time: Annotated[str | None, Query(description="Unix seconds, or ISO 8601 with offset.")] = None,
    features: Annotated[str | None, Query(description="Names of the columns, comma separated.")] = None,
) -> Answer:
    """Push one chunk of events; its receipt means that it is stored."""
    kind = content_type(request)
    present = await context.broker.monitors.get(monitor)
    body = await read_body(request, context.settings.body_limit_mb * 1_000_000)
    for _ in range(ATTEMPTS):
        pushed, members = await off_loop(len(body), _read, kind, body, present.features, listed(features))
        given = _exposure([exposure_header, exposure, members.exposure], present, pushed.events)
        admitted = await context.broker.admission.admit(
            monitor=monitor,
            monitor_epoch=present.epoch,
            run=run,
            chunk=_id([id_header, chunk, members.id]) or pushed.digest,
            digest=pushed.digest,
            payload=pushed.payload,
            events=pushed.events,
            exposure=given,
            source_time=_source_time([source_time_header, source_time, members.source_time]),
            backlog_limit=context.settings.backlog_limit,
        )
        if admitted.status != "epoch-moved":
            return _answer(context, admitted, monitor, run, given)
        # The monitor was changed while the body came in: read it again as the monitor is now.
        present = await context.broker.monitors.get(monitor)
    raise Problem(
        "store-unreachable",
        f"The monitor {monitor!r} is at another epoch than run {run!r}, or is being changed.",
        field="monitor",
        value=monitor,
        remedy="Send the chunk again; if this stays, reset the run.",
    )


@router.get("/v1/monitors/{monitor}/chunks/{chunk}", responses=described("Where it is", ChunkPlace))
async def show_chunk(
    context: InContext, monitor: MonitorPath, chunk: ChunkPath, run: RunQuery = None
) -> Answer:
    """Tell where a chunk is: queued, leased, fitted, applied or dead."""
    found = await chosen_run(context, monitor, run)
    state, receipt, entry = await context.broker.admission.place(monitor, found.name, chunk)
    return Answer(ChunkPlace(chunk, found.name, state, receipt, entry))


@router.get("/v1/monitors/{monitor}/dead", responses=described("The chunks given up", DeadList))
async def list_dead(context: InContext, monitor: MonitorPath) -> Answer:
    """List the chunks that were given up."""
    await context.broker.monitors.get(monitor)
    return Answer(DeadList(await context.broker.admission.dead(monitor)))


@router.post(
    "/v1/monitors/{monitor}/runs/{run}/chunks/{chunk}/replay",
    status_code=202,
    responses=described("The new receipt", Receipt, 202),
)
async def replay_chunk(
    context: InContext, identity: InIdentity, monitor: MonitorPath, run: RunPath, chunk: ChunkPath
) -> Answer:
    """Put a dead chunk at the end of the queue again."""
    await context.broker.monitors.get(monitor)
    admitted = await context.broker.admission.replay(
        monitor, run, chunk, context.settings.backlog_limit, who=identity.name
    )
    receipt = _receipt(admitted, monitor, run)
    log.info("chunk replayed", monitor=monitor, run=run, chunk=chunk, sequence=receipt.sequence)
    return Answer(receipt, 202, headers={"Location": _location(receipt)})


@router.delete("/v1/monitors/{monitor}/runs/{run}/chunks/{chunk}", status_code=204)
async def delete_chunk(
    context: InContext,
    identity: InIdentity,
    monitor: MonitorPath,
    run: RunPath,
    chunk: ChunkPath,
    who: Annotated[str, Query(max_length=100, description="Who deletes it.")] = "",
) -> Response:
    """Delete a dead chunk for good; its events are gone, and its id is free."""
    await context.broker.monitors.get(monitor)
    await context.broker.runs.get(monitor, run)
    await context.broker.dead_letters.delete(monitor, run, chunk, who=identity.signs(who))
    log.info("dead chunk deleted", monitor=monitor, run=run, chunk=chunk, who=identity.signs(who))
    return Response(status_code=204)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A chunk's events in their canonical form."""

    payload: bytes
    """float32, little-endian, row major."""
    events: int
    digest: str


def chunk_digest(payload: bytes, features: tuple[str, ...]) -> str:
    """Give the BLAKE3 (hex) over the canonical payload and the features: what makes two chunks the same.

    As hard to forge as SHA-256, in a fifth of the time (BLAKE3 specification, 2020).

    Examples
    --------
    >>> chunk_digest(b"", ("pt",))[:8]
    '04e310b9'
    """
    digest = blake3(payload)
    digest.update("\0".join(features).encode())
    return digest.hexdigest()


def _read(
    kind: str, body: bytearray, features: tuple[str, ...], columns: tuple[str, ...] | None
) -> tuple[Pushed, ChunkBody]:
    events: NDArray[np.float32]
    events, members = read_events(kind, body, features, columns, ChunkBody)
    payload = events.tobytes()
    pushed = Pushed(payload, len(events), chunk_digest(payload, features))
    return pushed, members or ChunkBody(events=[])


def _answer(context: Context, admitted: Admitted, monitor: str, run: str, exposure: float | None) -> Answer:
    receipt = _receipt(admitted, monitor, run)
    headers = {"Location": _location(receipt)}
    if admitted.status == "duplicate":
        if receipt.exposure != exposure:
            raise _conflict(receipt.chunk, "exposure", exposure)
        context.metrics.duplicates.labels(monitor).inc()
        return Answer(receipt, 200, headers={**headers, "Nplmon-Duplicate": "true"})
    context.metrics.accepted.labels(monitor).inc()
    context.metrics.events.labels(monitor).inc(receipt.events)
    return Answer(receipt, 202, headers=headers)


def _receipt(admitted: Admitted, monitor: str, run: str) -> Receipt:
    """Give the receipt of a chunk that is in.

    Raises
    ------
    Problem
        `chunk-conflict`, `backlog-full`.
    RunClosed, UnknownMonitor
        As the broker would say it.
    """
    if admitted.status == "run-closed":
        raise RunClosed(monitor, run)
    if admitted.status == "unknown-monitor":
        raise UnknownMonitor(monitor)
    if admitted.status == "full":
        raise Problem(
            "backlog-full",
            f"{admitted.backlog} chunks of the monitor {monitor!r} are waiting or in work.",
            field="backlog",
            value=admitted.backlog,
            remedy="Wait as long as Retry-After says and send the chunk again with the same id.",
        )
    if admitted.receipt is None or admitted.status == "conflict":
        raise _conflict(admitted.receipt.chunk if admitted.receipt else None, "chunk", None)
    return admitted.receipt


def _conflict(chunk: str | None, field: str, value: object) -> Problem:
    return Problem(
        "chunk-conflict",
        f"The id {chunk!r} was used in this run for another content ({field} differs)."
        if chunk
        else "The id was used in this run for other events.",
        field=field,
        value=chunk if value is None else value,
        remedy="Give every chunk an id of its own, or leave the id out.",
    )


def _location(receipt: Receipt) -> str:
    return f"/v1/monitors/{receipt.monitor}/chunks/{receipt.chunk}?run={receipt.run}"


def _once(slug: Slug, field: str, given: list[MemberT | None]) -> MemberT | None:
    """Give the one value that header, query and body agree on."""
    values = {value for value in given if value is not None}
    if len(values) > 1:
        raise Problem(
            slug,
            f"Several values of {field} are given, and they differ.",
            field=field,
            value=", ".join(sorted(map(str, values))),
            remedy="Give it once: as header, in the query or in the JSON body.",
        )
    return values.pop() if values else None


def _id(given: list[str | None]) -> str | None:
    name = _once("name", "chunk", given)
    return None if name is None else checked_name("chunk", name)


def _exposure(given: list[str | float | None], monitor: Monitor, events: int) -> float | None:
    numbers = [None if value is None else _number(value) for value in given]
    exposure = _once("exposure", "exposure", numbers)
    if exposure is None:
        if monitor.mode == "rate":
            raise Problem(
                "exposure",
                f'The monitor {monitor.name!r} is in mode "rate" and needs the exposure of every chunk.',
                field="exposure",
                value=None,
                remedy="Give it as Nplmon-Exposure or ?exposure=.",
            )
        return None
    rate = expected_rate(monitor)
    expected = rate * exposure
    low, high = 0.0, math.inf
    if monitor.mode == "rate":
        # What is outside is a wrong unit, not physics; and it would spoil the statistic of the whole run for good.
        low, high = events / FARTHEST_COUNT, events * FARTHEST_COUNT
    elif tests_rate(monitor):
        low, high = SMALLEST_EXPECTED, LARGEST_EXPECTED
    if not low <= expected <= high:
        raise Problem(
            "exposure",
            f"An exposure of {exposure:g} means {expected:.3g} expected events, for {events} in the chunk.",
            field="exposure",
            value=exposure,
            remedy=f"Give it in the unit of the monitor's rate ({rate:g} events per unit of exposure).",
        )
    return exposure


def _number(value: str | float) -> float:
    try:
        exposure = float(value)
    except ValueError:
        exposure = math.nan
    if not (math.isfinite(exposure) and exposure > 0):
        raise Problem(
            "exposure",
            f"The exposure {str(value)[:80]!r} is not a number above 0.",
            field="exposure",
            value=value,
            remedy="Send a finite number above 0.",
        )
    return exposure


def _source_time(given: list[str | float | None]) -> float | None:
    return _once("settings", "source_time", [None if value is None else _unix(value) for value in given])


def _unix(value: str | float) -> float:
    """Read Unix seconds or ISO 8601 with offset."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            time = datetime.fromisoformat(str(value))
        except ValueError:
            time = None
        seconds = time.timestamp() if time is not None and time.tzinfo is not None else math.nan
    if not 0 <= seconds < 1e11:
        raise Problem(
            "settings",
            f"The source time {str(value)[:80]!r} is neither Unix seconds nor ISO 8601 with an offset.",
            field="source_time",
            value=value,
            remedy="Send e.g. 1767225600.5 or 2026-01-01T00:00:00Z (in a query, write + as %2B).",
        )
    return seconds

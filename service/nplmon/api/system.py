"""System: how the service itself is, its store, queues, workers and references."""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import version
from typing import TYPE_CHECKING

from fastapi import APIRouter

from nplmon.api.answers import Answer, described
from nplmon.api.context import Context, InContext
from nplmon.api.system_messages import (
    CalibrationSummary,
    DeadLetter,
    MonitorResources,
    Queue,
    StoreState,
    System,
)
from nplmon.broker import MonitorOutdated, NoCalibration, UnknownMonitor, UnknownReference

if TYPE_CHECKING:
    from nplmon.broker.glances import Glance
    from nplmon.broker.messages import Death

AT_ONCE = 8

router = APIRouter(tags=["service"])


@router.get("/v1/system", responses=described("How the service is", System))
async def show_system(context: InContext) -> Answer:
    """Show the store, the queues, the workers, what references and pools have left, and the dead letters."""
    broker = context.broker
    info = await broker.store.info()
    names = await broker.glances.names()
    enough = asyncio.Semaphore(AT_ONCE)
    found = await asyncio.gather(*(_one(context, name, enough) for name in names))
    present = [one for one in found if one is not None]
    return Answer(
        System(
            now=time.time(),
            version=version("nplmon"),
            store=StoreState(
                kind=info.kind,
                version=info.version,
                memory_bytes=info.memory_bytes,
                memory_limit_bytes=info.memory_limit_bytes,
                append_only=info.append_only,
            ),
            queues=[queue for queue, _, _ in present],
            workers=await broker.workers.all(),
            monitors=[resources for _, resources, _ in present],
            dead=[_letter(death) for _, _, deaths in present for death in deaths],
        )
    )


async def _one(
    context: Context, name: str, enough: asyncio.Semaphore
) -> tuple[Queue, MonitorResources, list[Death]] | None:
    """Give what there is of one monitor; None if it went meanwhile, or an earlier version stored it."""
    broker = context.broker
    async with enough:
        try:
            seen = await broker.glances.get(name, count=0)
        except (UnknownMonitor, MonitorOutdated):
            return None
        backlog = await broker.admission.backlog(name)
        run = seen.run
        queue = Queue(
            monitor=name,
            waiting=backlog.waiting,
            leased=backlog.leased,
            oldest_accepted_at=backlog.oldest_accepted_at,
            unapplied=0 if run is None else run.accepted - run.applied - run.dead,
            dead=seen.dead,
        )
        deaths = await broker.admission.dead(name) if seen.dead else []
        return queue, await _resources(context, seen), deaths


async def _resources(context: Context, seen: Glance) -> MonitorResources:
    broker, monitor, snapshot = context.broker, seen.monitor, seen.snapshot
    try:
        reference = await broker.references.by_hash(monitor.reference_hash)
    except UnknownReference:
        reference = None
    pool = await broker.pools.get(monitor.reference_hash)
    left = None
    if pool.segments:
        used = await broker.pools.position(monitor.name, monitor.reference_hash)
        left = pool.first + pool.events - max(used, pool.first)
    return MonitorResources(
        monitor=monitor.name,
        reference=monitor.reference,
        reference_events=None if reference is None else reference.events,
        effective_events=None if reference is None else reference.effective_events,
        exposure_ratio=None if snapshot is None else snapshot.exposure_ratio,
        exposure_budget=None if snapshot is None else snapshot.exposure_budget,
        pool_events=pool.events,
        pool_left=left,
        calibration=await _calibration(context, monitor.name),
    )


async def _calibration(context: Context, monitor: str) -> CalibrationSummary | None:
    try:
        found = await context.broker.calibrations.get(monitor)
    except (NoCalibration, UnknownMonitor):
        return None
    return CalibrationSummary(
        state=found.state,
        reason=found.reason,
        source=found.plan.source,
        toys=found.plan.toys,
        toys_done=found.toys_done,
        toys_needed=found.toys_needed,
        asked_at=found.asked_at,
        ended_at=found.ended_at,
        disagreement=found.disagreement,
        note=found.note,
    )


def _letter(death: Death) -> DeadLetter:
    return DeadLetter(
        monitor=death.receipt.monitor,
        receipt=death.receipt,
        reason=death.reason,
        deliveries=death.deliveries,
        error=death.error,
        died_at=death.died_at,
    )

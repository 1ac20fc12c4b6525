"""Statistics: a run's statistic now, and its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from fastapi import APIRouter, Query

from nplmon.api.answers import Answer, History, RunStatistic, described
from nplmon.api.context import InContext
from nplmon.api.names import MonitorPath, RunQuery
from nplmon.api.runs import chosen_run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nplmon.broker import Broker
    from nplmon.broker.messages import HistoryEntry

READ_AT_ONCE = 500

router = APIRouter(tags=["statistics"])


@router.get("/v1/monitors/{monitor}/statistic", responses=described("The statistic now", RunStatistic))
async def show_statistic(context: InContext, monitor: MonitorPath, run: RunQuery = None) -> Answer:
    """Show a run's statistic now."""
    broker = context.broker
    found = await chosen_run(context, monitor, run)
    snapshot = await broker.statistics.snapshot(monitor, found.name)
    if snapshot is not None:  # `where` tells these
        snapshot = msgspec.structs.replace(snapshot, anomalous=(), pair=None)
    trainers = sum(worker.role == "trainer" for worker in await broker.workers.all())
    pending = found.accepted - found.applied - found.dead
    return Answer(RunStatistic(found, snapshot, pending, trainers))


@router.get("/v1/monitors/{monitor}/history", responses=described("A stretch of the history", History))
async def show_history(
    context: InContext,
    monitor: MonitorPath,
    run: RunQuery = None,
    since: Annotated[int, Query(ge=0, lt=2**53, description="Entries after this sequence number.")] = 0,
    limit: Annotated[int, Query(ge=2, le=10_000, description="At most so many entries.")] = 1000,
) -> Answer:
    """Show a run's history; a long stretch is thinned, its extremes kept."""
    broker = context.broker
    found = await chosen_run(context, monitor, run)
    total = await broker.statistics.history_length(monitor, found.name)
    count = max(0, total - since)
    entries = _stretch(broker, monitor, found.name, since, total)
    if count <= limit:
        kept = [entry async for entry in entries]
        return Answer(History(kept, kept[-1].sequence if kept else since, total, downsampled=False))
    kept, last = await thinned(entries, since, count, limit // 2)
    return Answer(History(kept, last, total, downsampled=True))


async def thinned(
    entries: AsyncIterator[HistoryEntry], since: int, count: int, parts: int
) -> tuple[list[HistoryEntry], int]:
    """Divide `count` entries evenly into `parts`; keep of each those with the smallest and largest value.

    The value is t_agg, or t_score where t_agg stands still (frozen) or is missing. Of a part without any, all
    chunks being dead, the first entry is kept.

    Returns
    -------
    list of HistoryEntry, int
        What is kept, in order, and the last sequence number that was looked at.
    """
    kept: list[HistoryEntry] = []
    lowest: HistoryEntry | None = None
    highest: HistoryEntry | None = None
    part, last = -1, since
    async for entry in entries:
        last = entry.sequence
        mine = (entry.sequence - since - 1) * parts // count
        if mine != part:
            kept += _pair(lowest, highest)
            part, lowest, highest = mine, entry, entry
            continue
        value, low, high = _value(entry), _value(lowest), _value(highest)
        if value is None:
            continue
        if low is None or value < low:
            lowest = entry
        if high is None or value > high:
            highest = entry
    kept += _pair(lowest, highest)
    return kept, last


async def _stretch(
    broker: Broker, monitor: str, run: str, since: int, total: int
) -> AsyncIterator[HistoryEntry]:
    """Read in pieces, so that a long history neither fills the memory nor holds the event loop."""
    while since < total:
        entries = await broker.statistics.history(monitor, run, since, min(READ_AT_ONCE, total - since))
        if not entries:
            return
        for entry in entries:
            yield entry
        since = entries[-1].sequence


def _pair(lowest: HistoryEntry | None, highest: HistoryEntry | None) -> list[HistoryEntry]:
    if lowest is None or highest is None:
        return []
    if lowest is highest:
        return [lowest]
    return sorted((lowest, highest), key=lambda entry: entry.sequence)


def _value(entry: HistoryEntry | None) -> float | None:
    if entry is None:
        return None
    exact, score = entry.statistics.get("t_agg"), entry.statistics.get("t_score")
    if exact is None or exact.value is None or exact.state == "frozen":
        return None if score is None else score.value
    return exact.value

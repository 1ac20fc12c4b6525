"""Statistics: the snapshot as it is stored, the history whole or thinned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.api.bodies import Push, check_problem, events, npy
from tests.api.workers import Workers

from nplmon.api.statistics import thinned
from nplmon.broker import Broker
from nplmon.broker.findings import EffectSize
from nplmon.broker.messages import HistoryEntry, Statistic, Worker

pytestmark = pytest.mark.anyio

EFFECT = EffectSize(value=0.25, null_mean=0.1, null_deviation=0.05, excess=0.15)


async def applied(push: Push, workers: Workers, values: list[float], **members: Any) -> None:
    """Push and apply one chunk per value of t_agg, in pieces that the backlog takes."""
    for start in range(0, len(values), 4):
        piece = values[start : start + 4]
        for place in range(len(piece)):
            assert (await push(npy(events(3, seed=start + place)))).status_code == 202
        await workers.finish()
        await workers.apply(values=piece, **members)


async def test_statistic(client: httpx.AsyncClient, push: Push, workers: Workers, broker: Broker) -> None:
    check_problem(await client.get("/v1/monitors/m/statistic"), 404, "unknown-run", "run")
    await push()
    before = (await client.get("/v1/monitors/m/statistic")).json()
    assert (before["snapshot"], before["pending"], before["trainers"]) == (None, 1, 0)
    for role in ("trainer", "trainer", "aggregator"):
        name = f"{role}-{len(await broker.workers.all())}"
        await broker.workers.beat(
            Worker(
                name=name,
                role=role,
                device="cpu",
                host="h",
                pid=1,
                metrics_port=0,
                started_at=0.0,
                seen_at=0.0,
            ),
            10,
        )
    await workers.finish()
    await workers.apply(effect_size=EFFECT)
    await push(npy(events(5, 7)))
    now = (await client.get("/v1/monitors/m/statistic?run=r")).json()
    assert (now["pending"], now["trainers"], now["run"]["applied"]) == (1, 2, 1)
    assert (now["snapshot"]["sequence"], now["snapshot"]["effect_size"]["value"]) == (1, 0.25)
    ready = await client.get("/readyz")
    assert ready.json() == {"ready": True, "store": "ok", "trainers": 2, "aggregators": 1}


async def test_run_is_the_one_opened_last(client: httpx.AsyncClient, push: Push) -> None:
    await push()
    await push(path="/v1/monitors/m/runs/s/chunks")
    await push(npy(events(5, 7)))
    assert (await client.get("/v1/monitors/m/statistic")).json()["run"]["name"] == "s"
    assert (await client.get("/v1/monitors/m/statistic?run=r")).json()["run"]["accepted"] == 2


async def test_history(client: httpx.AsyncClient, push: Push, workers: Workers) -> None:
    await applied(push, workers, [float(i) for i in range(10)])

    async def history(**query: int) -> dict[str, Any]:
        answer = await client.get("/v1/monitors/m/history", params=query)
        assert answer.status_code == 200
        return answer.json()

    whole = await history()
    assert [entry["sequence"] for entry in whole["entries"]] == list(range(1, 11))
    assert (whole["next"], whole["total"], whole["downsampled"]) == (10, 10, False)
    rest = await history(since=7)
    assert [entry["sequence"] for entry in rest["entries"]] == [8, 9, 10]
    assert await history(since=10) == {"entries": [], "next": 10, "total": 10, "downsampled": False}
    assert (await history(since=99))["next"] == 99


async def test_long_history_keeps_its_extremes(
    client: httpx.AsyncClient, push: Push, workers: Workers
) -> None:
    await applied(push, workers, [0, 5, -3, 1, 2, 9, 4, 4, 7, 1, 0, 8])
    answer = (await client.get("/v1/monitors/m/history?limit=4")).json()
    # Two parts: sequence numbers 1 to 6 with values from -3 (at 3) to 9 (at 6), 7 to 12 with 0 (11) to 8 (12).
    assert [entry["sequence"] for entry in answer["entries"]] == [3, 6, 11, 12]
    assert (answer["next"], answer["total"], answer["downsampled"]) == (12, 12, True)


@pytest.mark.parametrize(
    "query", ["since=-1", "limit=0", "limit=1", "limit=10001", "since=x", f"since={2**70}"]
)
async def test_wrong_ranges(client: httpx.AsyncClient, push: Push, query: str) -> None:
    await push()
    check_problem(
        await client.get(f"/v1/monitors/m/history?{query}"), 422, "settings", query.partition("=")[0]
    )


def entry(sequence: int, value: float | None) -> HistoryEntry:
    statistics = (
        {}
        if value is None
        else {"t_agg": Statistic(kind="t_agg", value=value, state="closed form", sequence=sequence)}
    )
    return HistoryEntry(
        sequence=sequence,
        chunk=str(sequence),
        state="dead" if value is None else "applied",
        events=1,
        exposure=None,
        accepted_at=0.0,
        applied_at=0.0,
        statistics=statistics,
    )


@given(
    values=st.lists(st.none() | st.floats(-100, 100), min_size=1, max_size=200),
    since=st.integers(0, 50),
    parts=st.integers(1, 60),
)
def test_thinning_keeps_order_number_and_range(values: list[float | None], since: int, parts: int) -> None:
    entries = [entry(since + 1 + place, value) for place, value in enumerate(values)]

    async def stretch() -> AsyncIterator[HistoryEntry]:
        for one in entries:
            yield one

    kept, last = asyncio.run(thinned(stretch(), since, len(entries), parts))
    assert last == entries[-1].sequence
    assert 1 <= len(kept) <= 2 * parts
    assert all(a.sequence < b.sequence for a, b in pairwise(kept))
    numbers = [value for value in values if value is not None]
    found = [one.statistics["t_agg"].value for one in kept if one.statistics]
    if numbers:
        assert (min(found), max(found)) == (min(numbers), max(numbers))


def test_thinning_after_t_agg_is_frozen() -> None:
    """What stands still has no extremes: those of t_score are kept."""

    def statistics(score: float) -> dict[str, Statistic]:
        return {
            "t_agg": Statistic(kind="t_agg", value=4.0, state="frozen", p=0.5, sequence=1),
            "t_score": Statistic(kind="t_score", value=score, state="closed form", p=0.5, sequence=1),
        }

    async def stretch() -> AsyncIterator[HistoryEntry]:
        for sequence, score in enumerate([3.0, 9.0, 1.0, 5.0], 1):
            yield HistoryEntry(
                sequence=sequence,
                chunk=f"c{sequence}",
                state="applied",
                events=3,
                exposure=None,
                accepted_at=0.0,
                applied_at=0.0,
                statistics=statistics(score),
            )

    kept, last = asyncio.run(thinned(stretch(), 0, 4, 1))
    assert ([entry.sequence for entry in kept], last) == ([2, 3], 4)


@pytest.mark.parametrize("name", ["statistic", "history", "course", "course.csv", "density-ratio", "events"])
async def test_unknown(client: httpx.AsyncClient, monitor: dict[str, Any], name: str) -> None:
    check_problem(await client.get(f"/v1/monitors/q/{name}"), 404, "unknown-monitor", "monitor")
    check_problem(await client.get(f"/v1/monitors/m/{name}?run=q"), 404, "unknown-run", "run")
    check_problem(await client.get(f"/v1/monitors/m/{name}?run=a%20b"), 422, "name", "run")

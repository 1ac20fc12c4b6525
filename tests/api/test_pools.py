"""Pools of references: what is added once, set aside, refused, and left."""

from __future__ import annotations

import json
from typing import Any

import httpx
import numpy as np
import pytest
from tests.api.bodies import ARROW, JSON, NPY, arrow, check_problem, events, npy

from nplmon.api.references import content_hash
from nplmon.broker import Broker
from nplmon.broker.keys import MonitorKeys
from nplmon.pool import pool_events

pytestmark = pytest.mark.anyio

SAMPLE = events(300, seed=4)
FRESH = events(200, seed=5)


async def fill(
    client: httpx.AsyncClient, body: bytes, kind: str = NPY, name: str = "sm", **query: str
) -> httpx.Response:
    return await client.put(
        f"/v1/references/{name}/pool", params=query, content=body, headers={"Content-Type": kind}
    )


def rows(sample: np.ndarray) -> list[bytes]:
    return sorted(row.tobytes() for row in np.ascontiguousarray(sample, dtype="<f4"))


async def test_events_are_added_once_in_random_order(
    client: httpx.AsyncClient, broker: Broker, reference: dict[str, Any]
) -> None:
    first = await fill(client, npy(FRESH))
    assert (first.status_code, first.json()["added"]) == (201, 200)
    again = await fill(client, npy(FRESH.astype("f8")))
    assert (again.status_code, again.json()["added"]) == (200, 0)
    assert again.json()["pool"] == first.json()["pool"]
    pool = await broker.pools.get(reference["hash"])
    stored = np.frombuffer(await broker.pools.read(pool, 0, 1000, 8), dtype="<f4").reshape(-1, 2)
    assert rows(stored) == rows(FRESH)
    # As it came, a file sorted in some feature would feed a chunk with one end of it.
    assert not np.array_equal(stored, FRESH)


async def test_a_pool_grows_and_its_hash_names_its_content(
    client: httpx.AsyncClient, reference: dict[str, Any]
) -> None:
    empty = (await client.get("/v1/references/sm/pool")).json()
    assert (empty["events"], empty["hash"], empty["segments"], empty["left"]) == (0, "", [], {})
    one = (await fill(client, npy(FRESH))).json()["pool"]
    more = arrow({"eta": FRESH[:50, 1] + 1, "extra": FRESH[:50, 0], "pt": FRESH[:50, 0]})
    two = (await fill(client, more, ARROW)).json()["pool"]
    as_json = json.dumps({"events": [[1.0, 2.0]], "features": ["eta", "pt"]}).encode()
    three = (await fill(client, as_json, JSON)).json()["pool"]
    assert [pool["events"] for pool in (one, two, three)] == [200, 250, 251]
    assert [(s["first"], s["events"]) for s in three["segments"]] == [(0, 200), (200, 50), (250, 1)]
    assert len({pool["hash"] for pool in (empty, one, two, three)}) == 4
    assert (await client.get("/v1/references/sm/pool")).json() == three


async def test_left_counts_what_each_monitor_has_not_used(
    client: httpx.AsyncClient, broker: Broker, monitor: dict[str, Any]
) -> None:
    await fill(client, npy(FRESH))
    assert (await client.get("/v1/references/sm/pool")).json()["left"] == {"m": 200}
    await broker.connection.ask("HSET", MonitorKeys("m").positions, monitor["reference_hash"], 150)
    assert (await client.get("/v1/references/sm/pool")).json()["left"] == {"m": 50}


async def test_a_reader_gets_the_features_of_the_monitor(
    client: httpx.AsyncClient, broker: Broker, reference: dict[str, Any]
) -> None:
    answer = await client.post(
        "/v1/monitors", json={"name": "r", "reference": "sm", "features": ["eta", "pt"]}
    )
    assert answer.status_code == 201
    await fill(client, npy(FRESH))
    await fill(client, npy(FRESH[:10] + 1))
    reader = await broker.monitors.get("r")
    pool = await broker.pools.get(reader.reference_hash)
    whole = await pool_events(broker, reader, pool)
    assert whole.dtype == np.float32
    assert rows(whole[:200, ::-1]) == rows(FRESH)
    np.testing.assert_array_equal(await pool_events(broker, reader, pool, 195, 10), whole[195:205])
    np.testing.assert_array_equal(await pool_events(broker, reader, pool, 205, 10), whole[205:])
    assert len(await pool_events(broker, reader, pool, 210, 10)) == 0


async def test_a_share_is_set_aside_and_repeats_agree(client: httpx.AsyncClient, broker: Broker) -> None:
    """The reference is what remains: no event is both learned from and used as fresh."""
    query = {"features": "pt,eta", "pool": "0.3"}
    headers = {"Content-Type": NPY}
    answers = [
        await client.put("/v1/references/sm", params=query, content=npy(SAMPLE), headers=headers)
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 200]
    one = answers[0].json()
    assert answers[1].json() == one
    assert one["events"] == 210
    pool = await broker.pools.get(one["hash"])
    assert pool.events == 90
    aside = np.frombuffer(await broker.pools.read(pool, 0, 90, 8), dtype="<f4").reshape(-1, 2)
    rest = SAMPLE[[row.tobytes() not in set(rows(aside)) for row in SAMPLE]]
    assert one["hash"] == content_hash(("pt", "eta"), ("", ""), rest, None)
    assert rows(np.concatenate([rest, aside])) == rows(SAMPLE)


@pytest.mark.parametrize("share", ["0", "1", "-0.1", "nan", "half", ""])
async def test_a_wrong_share_is_refused(client: httpx.AsyncClient, share: str) -> None:
    answer = await client.put(
        "/v1/references/sm",
        params={"features": "pt,eta", "pool": share},
        content=npy(SAMPLE),
        headers={"Content-Type": NPY},
    )
    check_problem(answer, 422, "pool", "pool")
    check_problem(await client.get("/v1/references/sm"), 404, "unknown-reference", "reference")


async def test_weights_are_refused(client: httpx.AsyncClient, reference: dict[str, Any]) -> None:
    answer = await client.put(
        "/v1/references/weighted",
        params={"features": "pt,w", "weights": "w", "pool": "0.3"},
        content=npy(np.abs(SAMPLE) + 1),
        headers={"Content-Type": NPY},
    )
    check_problem(answer, 422, "pool", "pool")
    check_problem(await fill(client, npy(FRESH), weights="eta"), 422, "pool", "weights")
    body = json.dumps({"events": [[1.0, 2.0]], "weights": [1.0]}).encode()
    check_problem(await fill(client, body, JSON), 422, "settings", "body")


async def test_a_bad_body_is_refused_whole(client: httpx.AsyncClient, reference: dict[str, Any]) -> None:
    bad = FRESH.copy()
    bad[100, 1] = np.inf
    for body, kind, slug, field in (
        (npy(bad), NPY, "not-finite", "eta"),
        (npy(FRESH[:, :1]), NPY, "shape", "events"),
        (npy(FRESH)[:-7], NPY, "body-truncated", "body"),
        (arrow({"pt": FRESH[:, 0], "phi": FRESH[:, 1]}), ARROW, "features", "eta"),
        (npy(FRESH[:0]), NPY, "no-events", "events"),
    ):
        status = 400 if slug == "body-truncated" else 422
        check_problem(await fill(client, body, kind), status, slug, field)
    check_problem(await fill(client, npy(FRESH), name="none"), 404, "unknown-reference", "reference")
    unknown = await fill(client, npy(FRESH), version="a" * 64)
    check_problem(unknown, 404, "unknown-reference", "reference")
    assert (await client.get("/v1/references/sm/pool")).json()["events"] == 0


async def test_the_reference_itself_is_no_pool(client: httpx.AsyncClient, reference: dict[str, Any]) -> None:
    """Its events taught the ratio: E would not be fair."""
    learned = events(500, seed=0)
    check_problem(await fill(client, npy(learned[::-1])), 422, "pool", "events")
    mixed = np.concatenate([learned[:100], FRESH[:101]])
    assert (await fill(client, npy(mixed))).status_code == 201


async def test_an_old_version_can_be_refilled(client: httpx.AsyncClient, reference: dict[str, Any]) -> None:
    newer = await client.put(
        "/v1/references/sm",
        params={"features": "pt,eta"},
        content=npy(SAMPLE),
        headers={"Content-Type": NPY},
    )
    assert newer.status_code == 201
    assert (await fill(client, npy(FRESH), version=reference["hash"])).status_code == 201
    assert (await client.get("/v1/references/sm/pool")).json()["events"] == 0
    old = await client.get("/v1/references/sm/pool", params={"version": reference["hash"]})
    assert old.json()["events"] == 200


async def test_a_full_pool_drops_what_all_have_used_and_refuses_the_rest(
    client: httpx.AsyncClient, broker: Broker, monitor: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generator that runs for months must not fill the store: the limit is 125,000 events of two features."""
    big = [events(60_000, seed=seed) for seed in (10, 11, 12)]
    assert (await fill(client, npy(big[0]))).status_code == 201
    assert (await fill(client, npy(big[1]))).status_code == 201
    check_problem(await fill(client, npy(big[2])), 413, "pool-full", "events")
    await broker.connection.ask("HSET", MonitorKeys("m").positions, monitor["reference_hash"], 70_000)
    answer = await fill(client, npy(big[2]))
    assert answer.status_code == 201
    level = answer.json()["pool"]
    assert [s["first"] for s in level["segments"]] == [60_000, 120_000]
    assert (level["events"], level["left"]) == (120_000, {"m": 110_000})
    # What was there once is not fresh any more.
    assert (await fill(client, npy(big[0]))).json()["added"] == 0
    assert len(await broker.connection.ask("KEYS", "*:pool:*:pieces")) == 2

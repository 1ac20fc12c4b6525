"""docs/redis.md lists every key, and no other; a key without an owner or an end is found."""

from __future__ import annotations

import pytest
from redis import Redis
from tests.broker.samples import a_monitor, a_reference, admit
from tests.keys import documented, leaks, line_of

from nplmon.broker import Broker, keys, pieces
from nplmon.broker.embedded import EmbeddedStore

NAMED = [
    keys.REFERENCES,
    keys.MONITORS,
    keys.worker("t1"),
    keys.TOKENS,
    keys.TOKENS_USED,
    keys.AUDIT,
    keys.session("0f"),
    keys.ReferenceKeys("ab12").meta,
    keys.ReferenceKeys("ab12").pool,
    keys.ReferenceKeys("ab12").pool_known,
    keys.ReferenceKeys("ab12").levels("k"),
    keys.ReferenceKeys("ab12").basis_lock("k"),
    *(
        key
        for prefix in (
            keys.ReferenceKeys("ab12").events,
            keys.ReferenceKeys("ab12").basis("k"),
            keys.ReferenceKeys("ab12").segment("ef"),
        )
        for key in (pieces.seal_of(prefix), f"{prefix}:piece:t:0")
    ),
    keys.MonitorKeys("m").at(1),
    keys.MonitorKeys("m").positions,
    *keys.MonitorKeys("m").fixed,
    keys.MonitorKeys("m").run("7").hash,
    *keys.MonitorKeys("m").run("7").contents,
]


def test_every_key_that_has_a_name_is_documented_and_no_other() -> None:
    lines = [line_of(key) for key in NAMED]
    assert {key for key, line in zip(NAMED, lines, strict=True) if line is None} == set()
    assert {line[0] for line in lines if line} == set(documented())


@pytest.fixture
def redis(store: EmbeddedStore) -> Redis:
    return Redis.from_url(store.url)


@pytest.mark.anyio
async def test_what_is_there_after_a_chunk_is_in_order(broker: Broker, redis: Redis) -> None:
    await broker.references.put(a_reference(), b"events")
    await broker.monitors.create(a_monitor())
    await admit(broker)
    await broker.statistics.hold("muons", "a1", 9.0)
    assert len(redis.keys()) > 10
    assert list(leaks(redis)) == []


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ("nplmon:{muons}:cache", "not in docs/redis.md"),
        ("other", "not in docs/redis.md"),
        ("nplmon:worker:t1", "never expires"),
        ("nplmon:{muons}:open", "a string, documented as a set"),
        ("nplmon:{electrons}:aggregator:fence", "without nplmon:{electrons}:monitor"),
        ("nplmon:{muons}:run:8:state", "without nplmon:{muons}:run:8"),
        ("nplmon:{reference:cd}:pieces", "without nplmon:{reference:cd}:meta"),
    ],
)
@pytest.mark.anyio
async def test_a_leak_is_found(broker: Broker, redis: Redis, key: str, wrong: str) -> None:
    await broker.monitors.create(a_monitor())
    redis.set(key, "left behind")
    (found,) = leaks(redis)
    assert found.startswith(f"{key}: ")
    assert wrong in found
    redis.pexpire(key, 60_000)
    assert bool(list(leaks(redis))) == ("not in" in wrong), (
        "what expires needs no owner, but a line in the table"
    )
    redis.delete(key)

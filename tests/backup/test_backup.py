"""A backup holds all of one moment, comes back as it was, and is refused where it cannot be trusted."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from tests.backup.contents import contents
from tests.broker.samples import a_fit, admit
from tests.broker.test_workers import a_worker
from tests.security.servers import redis_7

from nplmon.backup import BackupError, check, restore, save
from nplmon.broker import Broker, StoreUnreachable
from nplmon.broker.embedded import EmbeddedStore

pytestmark = pytest.mark.anyio


def lasting(held: dict[bytes, Any]) -> dict[bytes, Any]:
    """Leave out who lived and held the monitor."""
    return {
        key: value
        for key, value in held.items()
        if not (key.startswith(b"nplmon:worker:") or key.endswith(b":aggregator"))
    }


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_all_comes_back_as_it_was(
    full: Broker, store: EmbeddedStore, source: Redis, empty: Redis, other: EmbeddedStore, tmp_path: Path
) -> None:
    before = contents(source)
    size = save(store.url, tmp_path / "b")
    await admit(full, "later")
    found = restore([tmp_path / "b"], other.url)
    assert contents(empty) == lasting(before)
    assert len(before) == len(lasting(before)) + 2
    assert found.keys == len(lasting(before)) > 25
    assert found.monitors == ("electrons", "muons")
    assert found.headers == (check(tmp_path / "b"),)
    assert size == (tmp_path / "b").stat().st_size
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600
    assert names(tmp_path) == ["b"]


async def test_the_road_goes_on_where_it_was(
    full: Broker, store: EmbeddedStore, empty: Redis, other: EmbeddedStore, tmp_path: Path
) -> None:
    """What was leased is taken over, what waits is given out, duplicates are known, the fence grows."""
    before = await full.statistics.hold("muons", "a1", 9.0)
    save(store.url, tmp_path / "b")
    restore([tmp_path / "b"], other.url)
    broker = Broker.connect(other.url)
    assert (await admit(broker, "c1", payload=b"\x01" * 1000)).status == "duplicate"
    assert (await admit(broker, "c9")).receipt.sequence == 9
    taken, _ = await broker.leases.take_over(
        "t3", "muons", idle_seconds=0.001, deliveries_limit=3, in_flight=set(), count=9
    )
    waiting = await broker.leases.take("t3", ["muons"], count=9, block_seconds=1.0)
    assert sorted(one.receipt.chunk for one in taken) == ["c3", "c4"]
    assert {one.receipt.chunk: one.deliveries for one in taken} == {"c3": 2, "c4": 2}
    assert [one.receipt.chunk for one in waiting] == ["c6", "c7", "c8", "c9"]
    for one in (*taken, *waiting):
        assert (
            one.payload == bytes([one.receipt.sequence]) * 1000 * one.receipt.sequence or one.payload == b"c9"
        )
        assert await broker.leases.finish("t3", one, a_fit(one)) == "finished"
    assert [fit.receipt.sequence for fit in await broker.statistics.fits("muons", "7", 1, 20)] == list(
        range(2, 10)
    )
    after = await broker.statistics.hold("muons", "a2", 9.0)
    assert after > before
    assert await broker.workers.all() == []
    await broker.close()


async def test_data_is_not_overwritten_unless_told(
    full: Broker, store: EmbeddedStore, empty: Redis, other: EmbeddedStore, tmp_path: Path
) -> None:
    save(store.url, tmp_path / "b")
    empty.set("foreign", "stays")
    empty.sadd("nplmon:monitors", "photons")
    with pytest.raises(BackupError, match=r"holds 1 keys of nplmon, such as nplmon:monitors: .*--replace"):
        restore([tmp_path / "b"], other.url)
    assert sorted(empty.keys()) == [b"foreign", b"nplmon:monitors"]
    assert restore([tmp_path / "b"], other.url, replace=True).monitors == ("electrons", "muons")
    assert empty.smembers("nplmon:monitors") == {b"electrons", b"muons"}
    assert empty.get("foreign") == b"stays"


async def test_nothing_is_restored_under_roles_at_work(
    full: Broker, store: EmbeddedStore, empty: Redis, other: EmbeddedStore, tmp_path: Path
) -> None:
    save(store.url, tmp_path / "b")
    broker = Broker.connect(other.url)
    await broker.workers.beat(a_worker("t9"), 9.0)
    with pytest.raises(BackupError, match=r"roles are at work on this store \(t9\): stop them first"):
        restore([tmp_path / "b"], other.url, replace=True)
    await broker.close()


async def test_a_restoration_that_breaks_off_shows_no_monitor(
    full: Broker, store: EmbeddedStore, empty: Redis, other: EmbeddedStore, tmp_path: Path
) -> None:
    save(store.url, tmp_path / "b")
    (wanted,) = {len(full_keys) for full_keys in [contents(Redis.from_url(store.url, protocol=2))]}
    empty.config_set("maxmemory", str(empty.info()["used_memory"] + 150_000))
    try:
        with pytest.raises(Exception, match="refuses writes"):
            restore([tmp_path / "b"], other.url)
    finally:
        empty.config_set("maxmemory", "0")
    assert 0 < empty.dbsize() < wanted
    assert empty.keys("nplmon:{*}:monitor") == []
    assert empty.exists("nplmon:monitors") == 0
    assert restore([tmp_path / "b"], other.url, replace=True).monitors == ("electrons", "muons")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda body: body[:-1], "damaged: its checksum"),
        (lambda body: body[:200], "damaged: its checksum"),
        (lambda body: body[:300] + bytes([body[300] ^ 1]) + body[301:], "damaged: its checksum"),
        (lambda body: body + b"\n", "damaged: its checksum"),
        (lambda body: body[:20], "damaged: its second line"),
        (lambda body: b"", "no backup of nplmon"),
        (lambda body: b"PK" + body, "no backup of nplmon"),
        (
            lambda body: body.replace(b"nplmon backup 1\n", b"nplmon backup 2\n", 1),
            "format 2, and this version of nplmon reads format 1: restore it with the version that made it",
        ),
    ],
)
async def test_what_cannot_be_trusted_is_refused(
    store: EmbeddedStore, empty: Redis, other: EmbeddedStore, tmp_path: Path, change: Any, said: str
) -> None:
    save(store.url, tmp_path / "b")
    (tmp_path / "b").write_bytes(change((tmp_path / "b").read_bytes()))
    empty.set("nplmon:monitors", "x")
    with pytest.raises(BackupError, match=said):
        restore([tmp_path / "b"], other.url, replace=True)
    assert empty.keys() == [b"nplmon:monitors"], "nothing was touched"


async def test_a_file_is_not_overwritten(store: EmbeddedStore, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")
    with pytest.raises(BackupError, match="b exists: choose another name"):
        save(store.url, tmp_path / "b")
    assert (tmp_path / "b").read_text() == "mine"


async def test_no_store_no_file(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreachable, match="gives no answer"):
        save(f"unix://{tmp_path}/nobody", tmp_path / "b")
    assert names(tmp_path) == []
    with pytest.raises(BackupError, match="primaries one by one"):
        save("redis+cluster://127.0.0.1:1", tmp_path / "b")


async def test_a_user_who_may_not_is_told_what_it_needs(
    store: EmbeddedStore, source: Redis, tmp_path: Path
) -> None:
    source.execute_command("ACL", "SETUSER", "reader", "on", "nopass", "+info")
    try:
        with pytest.raises(BackupError, match=r"needs \+sync and \+replconf"):
            save(store.url.replace("unix://", "unix://reader:x@"), tmp_path / "b")
        assert names(tmp_path) == []
        source.execute_command("ACL", "SETUSER", "reader", "+sync", "+replconf")
        save(store.url.replace("unix://", "unix://reader:x@"), tmp_path / "b")
        assert check(tmp_path / "b").store.startswith("valkey ")
    finally:
        source.execute_command("ACL", "DELUSER", "reader")


async def test_an_image_that_could_not_be_read_is_refused_at_once(
    store: EmbeddedStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nplmon.backup.saving._NEWEST", {b"REDIS": 9})
    with pytest.raises(BackupError, match="back it up with its own tools"):
        save(store.url, tmp_path / "b")
    assert names(tmp_path) == []


async def test_from_redis_to_valkey_and_back(
    full: Broker, store: EmbeddedStore, source: Redis, empty: Redis, other: EmbeddedStore, tmp_path: Path
) -> None:
    before = lasting(contents(source))
    older = EmbeddedStore(tmp_path / "redis", binary=redis_7(tmp_path))
    older.start()
    try:
        save(store.url, tmp_path / "b")
        restore([tmp_path / "b"], older.url)
        with Redis.from_url(older.url, protocol=2) as redis:
            assert redis.info()["redis_version"].startswith("7.")
            assert contents(redis) == before
        save(older.url, tmp_path / "c")
    finally:
        older.stop()
    assert restore([tmp_path / "c"], other.url).headers[0].store.startswith("redis 7.")
    assert contents(empty) == before

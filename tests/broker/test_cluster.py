"""Clusters: every atomic change keeps to one slot, and the road of a chunk goes over several nodes."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from tests.broker.clusters import cluster
from tests.broker.samples import ROOT, a_fit, a_monitor, a_reference, admit, keys_of, lease, save
from tests.broker.test_calibrations import an_order, completed, take
from tests.broker.test_workers import a_worker

from nplmon.broker import Broker, NoAlarm, StoreUnreachable
from nplmon.broker.alarm_messages import JournalEntry


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """Run a cluster of three nodes; give their ports."""
    with cluster(tmp_path_factory.mktemp("three"), 3) as ports:
        yield ports


@pytest.fixture(params=["one node", "three nodes"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the address of a cluster: of one node, which refuses scripts with keys of two slots, and of three."""
    if request.param == "one node":
        with cluster(tmp_path / "one", 1) as (port,):
            yield f"redis://127.0.0.1:{port}"
    else:
        yield f"redis+cluster://127.0.0.1:{request.getfixturevalue('nodes')[0]}"


async def calibrated(broker: Broker) -> None:
    """Go the road of a calibration by toys, once to its failure and once to its end."""
    await broker.calibrations.begin(an_order(toys=2))
    failing = await take(broker)
    assert failing is not None
    assert await broker.toys.hand_back("t1", failing, "boom", 1) == "failed"
    assert (await completed(broker, toys=2)).state == "complete"
    await broker.calibrations.cancel("muons")
    await completed(broker, toys=3)
    await broker.toys.leave("t1", ["muons"])


@pytest.mark.anyio
async def test_the_road_of_a_chunk_needs_one_slot_at_a_time(address: str) -> None:
    broker = Broker.connect(address)
    await broker.references.put(a_reference(), b"events")
    await broker.references.put_basis("ab12", "k", b"basis")
    assert await broker.pools.add("ab12", "ef", b"1234", events=1, limit=9)
    assert await broker.pools.read(await broker.pools.get("ab12"), 0, 1, 4) == b"1234"
    assert await broker.pools.trim("ab12", 1) == 0
    await broker.monitors.create(a_monitor())
    await broker.monitors.create(a_monitor("electrons"))
    for chunk in ("c1", "c2", "c3"):
        assert (await admit(broker, chunk)).status == "accepted"
    one, two, three = [await lease(broker) for _ in range(3)]
    assert await broker.leases.renew("t1", [one, two, three]) == {one.entry, two.entry, three.entry}
    assert await broker.leases.finish("t1", one, a_fit(one)) == "finished"
    assert await broker.leases.hand_back("t1", two, "boom", 1) == "dead"
    assert await broker.leases.hand_back("t1", three, None, 1) == "handed back"
    (again,), _ = await broker.leases.take_over(
        "t2", "muons", idle_seconds=9.0, deliveries_limit=3, in_flight=set(), count=1
    )
    assert again.entry == three.entry
    assert await broker.dead_letters.count("muons") == 1
    assert (await broker.admission.replay("muons", "7", "c2", 10)).status == "accepted"
    assert (await broker.admission.place("muons", "7", "c1"))[0] == "fitted"
    assert (await broker.admission.backlog("muons")).leased == 1
    fence = await broker.statistics.hold("muons", "a1", 9.0)
    assert await save(broker, fence, 0, 1) == "saved"
    heard = broker.glances.changes()
    assert await anext(heard) == ""
    assert (await broker.glances.get("muons", count=5)).length == 1
    await broker.connection.ask("PUBLISH", "nplmon:{muons}:updates", "7")
    assert await anext(heard) == "muons"
    await heard.aclose()
    await broker.statistics.release("muons", "a1")
    await broker.leases.leave("t1", ["muons"])
    with pytest.raises(NoAlarm):
        await broker.alarms.acknowledge("muons", "7", level="alarm", sequence=1, who="me", comment="")
    await broker.alarms.begin_test("muons", seconds=9.0, who="me", comment="")
    assert await broker.alarms.end_test("muons", who="me")
    assert await broker.journal.append("muons", JournalEntry(kind="stale"))
    assert (await admit(broker, "c4")).status == "accepted"
    dying = await lease(broker)
    assert await broker.leases.hand_back("t1", dying, "boom", 1) == "dead"
    await broker.dead_letters.delete("muons", "7", dying.receipt.chunk, who="Ada")
    await broker.runs.reset("muons", "7")
    await broker.runs.close("muons", "7")
    await calibrated(broker)
    await broker.monitors.change(a_monitor(epoch=2), statistical=True)
    assert (await broker.calibrations.get("muons")).state == "void"
    await broker.monitors.delete("muons")
    assert await keys_of(broker) == []
    assert await broker.monitors.names() == ["electrons"]
    await broker.close()


NAMES = ("muons", "electrons", "photons", "jets")


@pytest.fixture
async def spread(nodes: list[int]) -> AsyncIterator[Broker]:
    """Give a broker on three nodes with four monitors that lie on all of them."""
    broker = Broker.connect(f"redis+cluster://127.0.0.1:{nodes[1]}")
    for port in nodes:
        with Redis(port=port) as redis:
            redis.flushall()
    for name in NAMES:
        await broker.monitors.create(a_monitor(name))
    held = []
    for port in nodes:
        with Redis(port=port) as redis:
            held.append({key.decode() for key in redis.keys("nplmon:{*}:monitor")})
    assert all(held)
    assert sum(map(len, held)) == len(NAMES)
    yield broker
    await broker.close()


@pytest.mark.anyio
async def test_one_consumer_waits_for_monitors_on_all_nodes(spread: Broker) -> None:
    for name in NAMES:
        waiting = asyncio.create_task(spread.leases.take("t1", NAMES, count=2, block_seconds=9.0))
        await asyncio.sleep(0.12)
        assert not waiting.done()
        await admit(spread, monitor=name)
        (one,) = await waiting
        assert one.receipt.monitor == name
        assert await spread.leases.finish("t1", one, a_fit(one)) == "finished"
    assert await spread.leases.take("t1", NAMES, count=1, block_seconds=0.1) == []


@pytest.mark.anyio
async def test_an_aggregator_waits_for_news_of_monitors_on_all_nodes(spread: Broker) -> None:
    cursors = dict.fromkeys(NAMES, "0-0")
    assert await spread.statistics.wait_done(cursors, 0.1) == []
    for name in NAMES:
        waiting = asyncio.create_task(spread.statistics.wait_done(cursors, 9.0))
        await asyncio.sleep(0.12)
        assert not waiting.done()
        await admit(spread, monitor=name)
        await spread.runs.close(name, "7")
        assert await waiting == [name]


@pytest.mark.anyio
async def test_what_is_published_on_any_node_is_heard(spread: Broker) -> None:
    changes = spread.glances.changes()
    assert await anext(changes) == ""
    for name in NAMES:
        updates = spread.statistics.updates(name)
        heard = asyncio.create_task(anext(updates))
        await asyncio.sleep(0.2)
        await admit(spread, monitor=name)
        assert await heard == "7"
        assert await anext(changes) == name
        await updates.aclose()
    await changes.aclose()


@pytest.mark.anyio
async def test_workers_and_memory_of_all_nodes_are_told(spread: Broker, nodes: list[int]) -> None:
    await spread.ping()
    for name in NAMES:
        await spread.workers.beat(a_worker(name), 9.0)
    assert [worker.name for worker in await spread.workers.all()] == sorted(NAMES)
    used = []
    for port in nodes:
        with Redis(port=port) as redis:
            used.append(redis.info()["used_memory"])
    info = await spread.store.info()
    assert info.memory_bytes > 2 * max(used)
    assert not info.append_only


@pytest.mark.anyio
async def test_one_node_of_several_is_refused_with_the_remedy(nodes: list[int]) -> None:
    for port in nodes:
        broker = Broker.connect(f"redis://127.0.0.1:{port}")
        with pytest.raises(StoreUnreachable, match=r"set NPLMON_REDIS_URL to redis\+cluster://"):
            await broker.ping()
        with pytest.raises(StoreUnreachable, match=r"redis\+cluster://"):
            await asyncio.gather(*map(broker.monitors.get, NAMES))
        with pytest.raises(StoreUnreachable, match=r"redis\+cluster://"):
            await broker.leases.take("t1", NAMES, count=1, block_seconds=0.1)
        await broker.close()


@pytest.mark.anyio
async def test_a_cluster_that_is_not_there_is_unreachable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        broker = Broker.connect(f"redis+cluster://127.0.0.1:{port}")
        for asked in (broker.ping, broker.monitors.names, broker.workers.all):
            with pytest.raises(StoreUnreachable, match="gives no answer"):
                await asked()
        await broker.close()


# Where it looks for the nodes anew, the client of redis-py drops connections and leaves them to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.anyio
async def test_a_node_that_dies_makes_the_store_unreachable(tmp_path: Path) -> None:
    with cluster(tmp_path, 3) as ports:
        broker = Broker.connect(f"redis+cluster://127.0.0.1:{ports[0]}")
        for name in NAMES:
            await broker.monitors.create(a_monitor(name))
        with Redis(port=ports[2]) as redis, suppress(RedisError):
            (lost,) = {key.decode() for key in redis.keys("nplmon:{*}:monitor")} or {""}
            redis.shutdown(nosave=True)
        with pytest.raises(StoreUnreachable, match="gives no answer"):
            await broker.connection.ask("GET", lost)
        with pytest.raises(StoreUnreachable, match="gives no answer"):
            await broker.ping()
        await broker.close()
        del broker
    gc.collect()


@pytest.mark.anyio
async def test_a_user_of_a_cluster_needs_two_commands_more(spread: Broker, nodes: list[int]) -> None:
    lines = (ROOT / "deploy" / "redis" / "users.acl").read_text().splitlines()
    rules = {line.split()[1]: line.split()[2:] for line in lines}
    for port in nodes:
        with Redis(port=port) as redis:
            for role in ("api", "trainer"):
                more = ("+cluster|slots", "+command")
                redis.execute_command(
                    "ACL", "SETUSER", f"nplmon-{role}", ">secret", *rules[f"nplmon-{role}"], *more
                )
    api, trainer = (
        Broker.connect(f"redis+cluster://nplmon-{role}:secret@127.0.0.1:{nodes[0]}")
        for role in ("api", "trainer")
    )
    for name in NAMES:
        await admit(api, monitor=name)
    await trainer.ping()
    for one in await trainer.leases.take("t1", NAMES, count=9, block_seconds=1.0):
        assert await trainer.leases.finish("t1", one, a_fit(one)) == "finished"
    assert (await api.admission.place("jets", "7", "c1"))[0] == "fitted"
    updates = api.statistics.updates("jets")
    heard = asyncio.create_task(anext(updates))
    await asyncio.sleep(0.2)
    await api.runs.close("jets", "7")
    assert await heard == "7"
    await updates.aclose()
    for broker in (api, trainer):
        await broker.close()
    for port in nodes:
        with Redis(port=port) as redis:
            redis.execute_command("ACL", "DELUSER", "nplmon-api", "nplmon-trainer")

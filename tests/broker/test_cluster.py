"""Every atomic change keeps to one slot: the road of a chunk on a server in cluster mode."""

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError
from tests.broker.samples import a_fit, a_monitor, a_reference, admit, keys_of, lease, save
from tests.broker.test_calibrations import an_order, completed, take

from nplmon.broker import Broker, NoAlarm
from nplmon.broker.alarm_messages import JournalEntry
from nplmon.broker.embedded import server_binary


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """Start a cluster of one node: it refuses scripts that touch keys of two slots."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ports = ["--port", str(port), "--cluster-port", str(port), "--bind", "127.0.0.1"]
    # The bus must not take the port of the clients; any free one does, for there is no other node.
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        ports[3] = str(free.getsockname()[1])
    arguments = [*ports, "--cluster-enabled", "yes", "--dir", str(tmp_path), "--save", "", "--logfile", "log"]
    server = subprocess.Popen([str(server_binary()), *arguments], cwd=tmp_path, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 20.0
    with Redis(port=port) as redis:
        while True:
            try:
                if redis.execute_command("CLUSTER INFO")["cluster_state"] == "ok":
                    break
                if int(redis.execute_command("CLUSTER INFO")["cluster_slots_assigned"]) == 0:
                    redis.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            except RedisError:
                pass
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield f"redis://127.0.0.1:{port}"
    server.terminate()
    server.wait(10.0)


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
async def test_the_road_of_a_chunk_needs_one_slot_at_a_time(cluster: str) -> None:
    broker = Broker.connect(cluster)
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

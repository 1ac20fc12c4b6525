"""What an earlier version has stored is gone on with, or refused with a word that says what to do: never misread."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis
from tests.chaos.serial import Serial
from tests.chaos.stage import Stage
from tests.keys import leaks
from tests.upgrade.service import ACCEPTED, APPLIED, EVENTS, FITTED, PRESENT, push, staged, wait

from nplmon.aggregator.state import VERSION, SavedState, StateUnreadableError
from nplmon.backup import restore
from nplmon.broker import Broker, MonitorOutdated, StoredOtherwise
from nplmon.broker.embedded import EmbeddedStore
from nplmon.broker.encoding import FIT_VERSION, from_json, pack, to_json, unpack
from nplmon.broker.keys import MonitorKeys
from nplmon.broker.messages import HistoryEntry, Monitor, Receipt, Reference, Snapshot
from nplmon.client.errors import Refused

pytestmark = pytest.mark.slow
KEYS = MonitorKeys("m").run("7")
KINDS = ("t_chunk", "t_agg", "t_ref", "t_score", "t_sum")


@pytest.fixture(scope="session")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the data."""
    file = tmp_path_factory.mktemp("stored") / "b"
    file.write_bytes(gzip.decompress(PRESENT.read_bytes()))
    return file


@pytest.fixture
def stored(store: EmbeddedStore, file: Path) -> Iterator[Any]:
    """Give a client of a store that holds the data."""
    with Redis.from_url(store.url) as redis:
        redis.flushall()
        restore([file], store.url)
        yield redis
        redis.flushall()


def test_the_service_goes_on_where_it_was(file: Path, tmp_path: Path) -> None:
    """Chunks applied, fitted and waiting then, and new ones now: the statistics are those of one process."""
    store = EmbeddedStore(tmp_path / "data")
    store.start()
    restore([file], store.url)
    store.stop()
    with staged(tmp_path, "api", "trainer-1", "aggregator-1") as stage, stage.client() as client:
        wait(client, "7", ACCEPTED)
        push(client, 0, len(EVENTS))  # those known are duplicates
        wait(client, "7", len(EVENTS))
        run = client.run("m", "7")
        assert (run.accepted, run.applied, run.dead) == (len(EVENTS), len(EVENTS), 0)
        last = client.history("m", "7").entries[-1]
        found = {kind: last.statistics[kind].value for kind in KINDS}
        assert found == pytest.approx(Serial(EVENTS).statistics(EVENTS), rel=1e-9)
        with stage.redis() as redis:
            assert list(leaks(redis)) == []


def test_every_stored_form_is_read_as_it_was_written(stored: Any) -> None:
    """One that is read into something else, or written in another form now, needs another version."""
    for key, kind in (
        ("nplmon:{m}:monitor", Monitor),
        (KEYS.snapshot, Snapshot),
        *((key, Reference) for key in stored.keys("nplmon:{reference:*}:meta")),
    ):
        body = stored.get(key)
        assert to_json(from_json(body, kind)) == body
    lines = stored.lrange(KEYS.history, 0, -1)
    assert [to_json(from_json(line, HistoryEntry)) for line in lines] == lines
    assert len(lines) == APPLIED
    receipts = stored.hvals(KEYS.receipts)
    assert {from_json(body, Receipt).chunk for body in receipts} == set(list(EVENTS)[:ACCEPTED])
    fits = stored.hvals(KEYS.fits)
    assert [pack(unpack(body)) for body in fits] == fits
    assert len(fits) == FITTED
    state = stored.get(KEYS.state)
    assert SavedState.from_bytes(state).to_bytes() == state
    assert SavedState.from_bytes(state).sequence == APPLIED


@pytest.mark.anyio
async def test_what_another_version_wrote_is_refused(stored: Any, store: EmbeddedStore) -> None:
    def with_more(body: bytes) -> bytes:
        return json.dumps(json.loads(body) | {"invented": 1}).encode()

    def with_less(body: bytes) -> bytes:
        held = json.loads(body)
        return json.dumps(
            {name: value for name, value in held.items() if name != min(held, key=len)}
        ).encode()

    broker = Broker.connect(store.url)
    monitor, snapshot = stored.get("nplmon:{m}:monitor"), stored.get(KEYS.snapshot)
    line, fit = stored.lindex(KEYS.history, 0), stored.hget(KEYS.fits, FITTED)
    assert fit[:2] == bytes([ord("F"), FIT_VERSION])
    for change in (with_more, with_less, lambda body: body[:-5], lambda body: b""):
        stored.set("nplmon:{m}:monitor", change(monitor))
        with pytest.raises(MonitorOutdated, match="delete it and create it again"):
            await broker.monitors.get("m")
        assert await broker.monitors.all() == []
        stored.set(KEYS.snapshot, change(snapshot))
        with pytest.raises(
            StoredOtherwise, match=r"a Snapshot in the store cannot be read .* or reset the run"
        ):
            await broker.statistics.snapshot("m", "7")
        stored.lset(KEYS.history, 0, change(line))
        with pytest.raises(StoredOtherwise, match="a HistoryEntry in the store cannot be read"):
            await broker.statistics.history("m", "7", 0, 9)
    for wrong in (b"F" + bytes([FIT_VERSION + 1]) + fit[2:], fit[:-3], b"G" + fit[1:], b""):
        stored.hset(KEYS.fits, FITTED, wrong)
        with pytest.raises(StoredOtherwise, match="another version of nplmon wrote it"):
            await broker.statistics.fits("m", "7", FITTED - 1, 1)
    await broker.close()


def test_a_state_of_another_version_is_refused(stored: Any) -> None:
    state = stored.get(KEYS.state)
    held = msgspec.msgpack.decode(state[32:])
    for version in (VERSION - 1, VERSION + 1, None):
        other = msgspec.msgpack.encode(held | {"version": version})
        with pytest.raises(
            StateUnreadableError, match=f"has version {version}, not {VERSION}: reset the run"
        ):
            SavedState.from_bytes(digest(other) + other)
    for damaged in (state[:-1], state[:40], b"", state[:50] + bytes([state[50] ^ 1]) + state[51:]):
        with pytest.raises(StateUnreadableError, match="damaged"):
            SavedState.from_bytes(damaged)


def test_a_service_says_so_and_a_reset_helps(file: Path, tmp_path: Path) -> None:
    """The aggregator leaves the run where it is; the interface refuses; after a reset all goes on."""
    store = EmbeddedStore(tmp_path / "data")
    store.start()
    restore([file], store.url)
    with Redis.from_url(store.url) as redis:
        state = redis.get(KEYS.state)
        held = msgspec.msgpack.decode(state[32:]) | {"version": VERSION - 1}
        other = msgspec.msgpack.encode(held)
        redis.set(KEYS.state, digest(other) + other)
        redis.set(KEYS.snapshot, json.dumps(json.loads(redis.get(KEYS.snapshot)) | {"invented": 1}))
    store.stop()
    with staged(tmp_path, "api", "trainer-1", "aggregator-1") as stage, stage.client() as client:
        told(stage, f"the saved state has version {VERSION - 1}, not {VERSION}: reset the run")
        assert client.run("m", "7").applied == APPLIED
        with pytest.raises(Refused, match="cannot be read") as refused:
            client.statistic("m", "7")
        assert refused.value.slug == "stored-otherwise"
        client.reset_run("m", "7")
        push(client, 0, 3)
        wait(client, "7", 3)
        assert client.statistic("m", "7").run.applied == 3


def digest(body: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(body).digest()


def told(stage: Stage, what: str) -> None:
    deadline = time.monotonic() + 30.0
    while what not in stage.last_words("aggregator-1"):
        assert time.monotonic() < deadline, stage.last_words("aggregator-1")
        time.sleep(0.1)

"""What a killed server and a machine that loses power leave of what was acknowledged.

A loss of power is played by killing the server and cutting its file to what the disk was known to have: a library that
is loaded with the server notes the length of each file before each fsync that succeeds. All that came later is taken
for lost, though the kernel may have written some of it.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from tests.broker.samples import a_monitor, admit
from tests.deploy.tools import system_tool

from nplmon.broker import Broker, StoreUnreachable
from nplmon.broker.embedded import AppendFsync, EmbeddedStore

SEED = 17
EVERYSEC_SECONDS = 3.0
"""An fsync begins each second and the server waits up to two for it, as docs/deployment.md has it; and a margin."""

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


@pytest.fixture(autouse=True)
def _no_key_leaks() -> None:
    """Check nothing: the stores are gone."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the library."""
    made = tmp_path_factory.mktemp("kept") / "kept.so"
    source = Path(__file__).with_name("kept.c")
    subprocess.run([system_tool("cc", "gcc"), "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    return made


class Machine:
    """A store on a machine that may lose its power."""

    def __init__(self, directory: Path, library: Path, appendfsync: AppendFsync) -> None:
        self.store = EmbeddedStore(directory, appendfsync=appendfsync)
        self._library = library
        self._log = directory / "kept"
        self._files = directory / "valkey" / "appendonlydir"

    def start(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with monkeypatch.context() as environment:
            environment.setenv("LD_PRELOAD", str(self._library))
            environment.setenv("KEPT", str(self._log))
            self.store.start()

    def lose_power(self) -> int:
        """Cut each file to what the disk has; give the bytes lost."""
        kept: dict[str, int] = {}
        for line in self._log.read_text().splitlines():
            size, _, path = line.partition(" ")
            kept[path] = int(size)
        lost = 0
        for file in self._files.glob("*.incr.aof"):
            size = file.stat().st_size
            lost += size - kept.get(str(file), 0)
            os.truncate(file, kept.get(str(file), 0))
        return lost


async def push(broker: Broker, begin: int, acknowledged: dict[str, float]) -> None:
    """Push chunks until the server is gone; note when each was acknowledged."""
    number = begin
    while True:
        chunk = f"c{number}"
        try:
            admitted = await admit(broker, chunk, payload=os.urandom(200), backlog_limit=10**9)
        except StoreUnreachable:
            return
        assert admitted.status == "accepted"
        acknowledged[chunk] = time.monotonic()
        number += 1
        await asyncio.sleep(0)


async def killed(machine: Machine, acknowledged: dict[str, float], after: float, begin: int) -> None:
    broker = Broker.connect(machine.store.url)
    pushing = asyncio.create_task(push(broker, begin, acknowledged))
    await asyncio.sleep(after)
    pid = machine.store.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await pushing
    await broker.close()


async def stored(machine: Machine) -> set[str]:
    broker = Broker.connect(machine.store.url)
    names = {name.decode() for name in await broker.connection.ask("HKEYS", "nplmon:{muons}:run:7:receipts")}
    await broker.close()
    return names


async def made(machine: Machine) -> None:
    broker = Broker.connect(machine.store.url)
    await broker.monitors.create(a_monitor())
    await broker.close()


@pytest.mark.parametrize("power", ["on", "lost"])
async def test_with_always_nothing_acknowledged_is_ever_lost(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch, power: str
) -> None:
    machine, draw = Machine(tmp_path, library, "always"), random.Random(SEED)  # noqa: S311  # a schedule
    acknowledged: dict[str, float] = {}
    machine.start(monkeypatch)
    try:
        await made(machine)
        for death in range(8):
            after = draw.uniform(0.05, 0.4)
            print(f"seed {SEED}: death {death} after {after:.3f} s")
            await killed(machine, acknowledged, after, begin=1_000_000 * death)
            if power == "lost":
                machine.lose_power()
            machine.start(monkeypatch)
            kept = await stored(machine)
            order = list(acknowledged)
            lost = [name for name in order if name not in kept]
            assert lost == order[len(order) - len(lost) :], "a gap"
            if lost:
                last = acknowledged[order[-1]]
                assert last - acknowledged[lost[0]] < 2.5
            for name in lost:
                del acknowledged[name]
        assert len(acknowledged) > 100
    finally:
        machine.store.stop()


async def test_with_everysec_a_killed_server_loses_the_end_at_most(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nearly always nothing: the kernel has what the server wrote before it answered.

    While the disk is busy with an earlier fsync, though, the server puts a write off for up to 2 s and answers all the
    same. What a kill loses then is the end of what was acknowledged, without a gap before it.
    """
    machine, draw = Machine(tmp_path, library, "everysec"), random.Random(SEED)  # noqa: S311  # a schedule
    acknowledged: dict[str, float] = {}
    machine.start(monkeypatch)
    try:
        await made(machine)
        for death in range(8):
            await killed(machine, acknowledged, draw.uniform(0.05, 0.4), begin=1_000_000 * death)
            machine.start(monkeypatch)
            assert set(acknowledged) - await stored(machine) == set()
    finally:
        machine.store.stop()


async def test_with_everysec_a_loss_of_power_costs_the_last_seconds(
    tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is left is a beginning of what was acknowledged, without a gap."""
    machine, draw = Machine(tmp_path, library, "everysec"), random.Random(SEED)  # noqa: S311  # a schedule
    windows = []
    machine.start(monkeypatch)
    try:
        await made(machine)
        for death in range(4):
            acknowledged: dict[str, float] = {}
            await killed(machine, acknowledged, draw.uniform(1.5, 2.5), begin=1_000_000 * death)
            assert machine.lose_power() > 0
            machine.start(monkeypatch)
            kept = await stored(machine) & set(acknowledged)
            order = list(acknowledged)
            assert kept == set(order[: len(kept)]), "a beginning"
            last = acknowledged[order[len(kept) - 1]] if kept else min(acknowledged.values())
            windows.append(max(acknowledged.values()) - last)
        print("seconds lost:", [round(window, 2) for window in windows])
        assert 0 < max(windows) < EVERYSEC_SECONDS
    finally:
        machine.store.stop()

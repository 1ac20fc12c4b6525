"""A service with one monitor, two producers, and the means to kill any of its processes."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
from tests.up.running import REAL, ROOT, Up, alive, wait_until

from nplmon.api.pools import segment_hash
from nplmon.broker.embedded import EmbeddedStore
from nplmon.client import Client
from nplmon.client.records import HistoryEntry, Receipt, Run

SEED = 2407
CHUNKS = 50
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
REFERENCE = np.random.default_rng(SEED).exponential(size=(12_000, 2)).astype(np.float32)
POOL = np.random.default_rng([SEED, 1000]).exponential(size=(270_000, 2)).astype(np.float32)
"""Enough for three runs: five events for each of theirs, on average."""
EVENTS = {
    f"c{i:02}": np.random.default_rng([SEED, i]).exponential(size=(300, 2)).astype(np.float32)
    for i in range(CHUNKS)
}


class Road:
    """`nplmon up` with the real roles on a directory of its own, started as often as it takes."""

    def __init__(self, directory: Path) -> None:
        self.run = ""
        self.receipts: dict[str, Receipt] = {}
        self._directory = directory
        self.data = directory / "data"
        self._duplicates = 0
        self._ups: list[Up] = []
        self._clients: list[Client] = []
        self._producers: list[threading.Thread] = []
        self._failures: list[BaseException] = []
        np.save(directory / "reference.npy", REFERENCE)
        # As it is stored: in random order, by its content.
        order = np.random.default_rng(int(segment_hash(("x", "y"), POOL), 16)).permutation(len(POOL))
        np.save(directory / "pool.npy", POOL[order])
        self._begin = 0
        """Where the run begins in the pool."""
        for name, events in EVENTS.items():
            np.save(directory / f"{name}.npy", events)
        # At once: its imports take as long as those of the service.
        self._serial = subprocess.Popen(
            [sys.executable, str(ROOT / "tests" / "road" / "serial.py"), str(directory)],
            env=os.environ | ONE_THREAD,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def up(self) -> Up:
        """The service started last."""
        return self._ups[-1]

    @property
    def client(self) -> Client:
        """A client of it."""
        return self._clients[-1]

    def start(self) -> None:
        """Start the service; the second time on the same data and the same port."""
        port = self.client.url.rpartition(":")[2] if self._ups else "0"
        up = Up(
            REAL,
            self._directory / "data",
            *("--port", port, "--trainers", "1"),
            NPLMON_THREADS="1",
            NPLMON_LEASE_SECONDS="1",
            **ONE_THREAD,
        )
        self._ups.append(up)
        up.wait_ready(60)
        self._clients.append(Client(up.addresses["api"], deadline=60))

    def make_monitor(self) -> None:
        """Make the monitor `m`."""
        self.client.put_reference("r", REFERENCE, ["x", "y"])
        assert self.client.add_to_pool("r", POOL).added == len(POOL)
        self.client.create_monitor("m", "r", kernel={"centres": 150})

    def begin(self, run: str) -> None:
        """Begin a run."""
        self.run, self.receipts, self._duplicates = run, {}, 0
        self._begin = len(POOL) - self.client.pool("r").left["m"]

    def produce(self, run: str) -> None:
        """Let two producers send all chunks; ten are sent by both, and each sends some of its own again."""
        self.begin(run)
        names = list(EVENTS)
        for share in (names[:30], names[:19:-1]):
            thread = threading.Thread(target=self._send, args=(share,))
            thread.start()
            self._producers.append(thread)

    def _send(self, share: list[str]) -> None:
        try:
            with Client(self.client.url, deadline=60) as client:
                for i, name in enumerate(share):
                    for again in (name, share[i // 2]) if i % 3 == 0 else (name,):
                        receipt = client.push("m", self.run, EVENTS[again], chunk=again)
                        self._duplicates += again in self.receipts
                        first = self.receipts.setdefault(again, receipt)
                        assert first.sequence == receipt.sequence
        except BaseException as error:  # noqa: BLE001  # raised where the test waits
            self._failures.append(error)

    def wait_sent(self) -> None:
        """Wait until both producers have all their receipts."""
        for producer in self._producers:
            producer.join(60)
            assert not producer.is_alive()
        self._raise_failures()
        assert set(self.receipts) == set(EVENTS)
        assert self._duplicates >= 10

    @property
    def state(self) -> Run:
        """The run as it is now."""
        return self.client.run("m", self.run)

    @property
    def applied(self) -> int:
        """Chunks applied; 0 before the run is opened."""
        self._raise_failures()
        return sum(run.applied for run in self.client.runs("m") if run.name == self.run)

    def wait_applied(self, chunks: int) -> None:
        """Wait until so many chunks are applied."""
        wait_until(lambda: self.applied >= chunks, f"{chunks} chunks applied", 60)

    def history(self) -> list[HistoryEntry]:
        """Give all lines of the history."""
        return list(self.client.history("m", self.run).entries)

    @property
    def pool_used(self) -> int:
        """Pool events that the monitor has used since the run began."""
        return len(POOL) - self.client.pool("r").left["m"] - self._begin

    def serial(self) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
        """Compute in one process what the service should have found, in the order of admission.

        Of each statistic that of the kernel width with the smallest p-value; then the e-processes.
        """
        kernel = dataclasses.asdict(self.client.monitor("m").kernel)
        kernel["lambda"] = kernel.pop("lambda_")
        order = sorted(self.receipts, key=lambda name: self.receipts[name].sequence)
        asked = {"kernel": kernel, "order": order, "run": self.run, "begin": self._begin}
        assert self._serial.stdin is not None
        assert self._serial.stdout is not None
        self._serial.stdin.write(json.dumps(asked) + "\n")
        self._serial.stdin.flush()
        said = json.loads(self._serial.stdout.readline())
        best = [
            {kind: min((one[kind] for one in found), key=lambda one: one[1])[0] for kind in found[0]}
            for found in zip(*said["widths"], strict=True)
        ]
        return best, said["evidence"]

    def pid(self, role: str) -> int:
        """Give the process id of the child of `up` that has this role."""
        parent = self.up.process.pid
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
        (found,) = [
            int(child)
            for child in children
            if f"nplmon.{role}:serve" in Path(f"/proc/{child}/cmdline").read_text(encoding="utf-8")
        ]
        return found

    def kill(self, role: str) -> None:
        """Kill the process of a role, with no time for a last word."""
        pid = self.pid(role)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), f"the end of the {role}")

    @property
    def store(self) -> str:
        """Address of the store."""
        return EmbeddedStore(self._directory / "data").url

    def clean_up(self) -> None:
        """End everything, also after a failed test."""
        for up in self._ups:
            up.clean_up()
        for client in self._clients:
            client.close()
        EmbeddedStore(self._directory / "data").stop()
        with self._serial as serial:
            assert serial.stdin is not None
            serial.stdin.close()
            serial.wait(10)
        for producer in self._producers:
            producer.join(60)

    def _raise_failures(self) -> None:
        if self._failures:
            raise self._failures[0]

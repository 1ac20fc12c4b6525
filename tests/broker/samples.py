"""Messages to fill a store with, and short ways to send chunks along the road."""

import subprocess
import sys
from pathlib import Path

from nplmon.broker import Broker, Lease
from nplmon.broker.messages import Fit, HistoryEntry, Monitor, Reference, Snapshot, WidthFit

ROOT = Path(__file__).parents[2]


def a_monitor(name: str = "muons", epoch: int = 1, description: str = "") -> Monitor:
    return Monitor(
        name=name,
        epoch=epoch,
        reference="sm",
        reference_hash="ab12",
        features=("pt", "eta"),
        units=("GeV", ""),
        description=description,
        created_at=1.0,
        changed_at=float(epoch),
    )


def a_reference(name: str = "sm", hash: str = "ab12") -> Reference:  # noqa: A002 (the field's name)
    return Reference(
        name=name,
        hash=hash,
        features=("pt",),
        units=("GeV",),
        events=100,
        weighted=False,
        sum_weights=100.0,
        effective_events=100.0,
        means=(0.0,),
        standard_deviations=(1.0,),
        minima=(-3.0,),
        maxima=(3.0,),
        created_at=1.0,
    )


async def admit(broker: Broker, chunk: str = "c1", **changes):
    """Admit a chunk of `muons`; its digest is the payload itself."""
    wanted = {
        "monitor": "muons",
        "monitor_epoch": 1,
        "run": "7",
        "payload": chunk.encode(),
        "events": 3,
        "exposure": 1.5,
        "source_time": None,
        "backlog_limit": 100,
    } | changes
    return await broker.admission.admit(chunk=chunk, digest=wanted["payload"].hex(), **wanted)


async def lease(broker: Broker, consumer: str = "t1") -> Lease:
    (one,) = await broker.leases.take(consumer, ["muons"], count=1, block_seconds=2.0)
    return one


def a_fit(lease: Lease, t_chunk: float = 1.0) -> Fit:
    return Fit(
        receipt=lease.receipt,
        widths=(
            WidthFit(
                coefficients=b"\x00" * 16,
                score=b"\x01" * 16,
                t_chunk=t_chunk,
                iterations=5,
                decrement=1e-9,
            ),
        ),
        fit_seconds=0.1,
        trainer="t1",
        device="cpu",
        finished_at=2.0,
    )


async def fitted(broker: Broker, *chunks: str) -> None:
    """Admit chunks and finish their fits."""
    for chunk in chunks:
        await admit(broker, chunk)
        one = await lease(broker)
        assert await broker.leases.finish("t1", one, a_fit(one)) == "finished"


def a_snapshot(sequence: int, dead: int = 0) -> Snapshot:
    return Snapshot(
        monitor="muons",
        run="7",
        run_epoch=1,
        monitor_epoch=1,
        reference_hash="ab12",
        sequence=sequence,
        chunks=sequence - dead,
        dead=dead,
        events=3 * sequence,
        expected=3.0 * sequence,
        exposure_ratio=0.1,
        updated_at=3.0,
        last_accepted_at=2.0,
    )


def a_line(sequence: int) -> HistoryEntry:
    return HistoryEntry(
        sequence=sequence,
        chunk=f"c{sequence}",
        state="applied",
        events=3,
        exposure=1.5,
        accepted_at=1.0,
        applied_at=2.0,
    )


async def save(broker: Broker, fence: int, previous: int, sequence: int, **changes) -> str:
    """Save the statistic of run 7 of `muons`, as the aggregator `a1`."""
    wanted = {
        "holder": "a1",
        "run_epoch": 1,
        "snapshot": a_snapshot(sequence),
        "state": b"state %d" % sequence,
        "history": [a_line(i) for i in range(previous + 1, sequence + 1)],
        "projection": None,
        "drop_payloads": range(previous + 1, sequence + 1),
        "drop_fits": [],
    } | changes
    return await broker.statistics.save("muons", "7", fence=fence, previous=previous, **wanted)


async def keys_of(broker: Broker, name: str = "muons") -> list[bytes]:
    return sorted(await broker.connection.ask("KEYS", f"nplmon:{{{name}}}*"))


def python(source: str, *arguments: str) -> subprocess.Popen:
    """Start a process that knows this tree; what it prints is read line by line."""
    path = ":".join(str(ROOT / root) for root in ("service", "workers", "clients"))
    return subprocess.Popen(
        [sys.executable, "-c", source, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": path, "PATH": "/usr/bin:/bin"},
    )

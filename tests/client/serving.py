"""The real HTTP interface over a real embedded store, in this process; statistics are written by hand."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
import structlog
import uvicorn

from nplmon.api.app import create_app
from nplmon.broker import Broker
from nplmon.broker.embedded import EmbeddedStore
from nplmon.broker.findings import AnomalousEvent, EffectSize, FeatureRatio
from nplmon.broker.messages import (
    Alarm,
    HistoryEntry,
    Receipt,
    Snapshot,
    Statistic,
)
from nplmon.client import Client
from nplmon.settings import Settings

T = TypeVar("T")
FEATURES = ("pt", "eta")


class Service:
    """A served interface and its store."""

    def __init__(self, url: str, store_url: str) -> None:
        self.url = url
        self._store_url = store_url
        self._numbers = itertools.count(1)

    def monitor(self, client: Client) -> str:
        """Make a new monitor over a reference with the features `pt` and `eta`."""
        client.put_reference("sample", sample(200), FEATURES, ["GeV", ""])
        name = f"m{next(self._numbers)}"
        client.create_monitor(name, "sample")
        return name

    def with_broker(self, act: Callable[[Broker], Awaitable[T]]) -> T:
        """Do something to the store."""

        async def once() -> T:
            broker = Broker.connect(self._store_url)
            try:
                return await act(broker)
            finally:
                await broker.close()

        return asyncio.run(once())

    def kill(self, monitor: str) -> None:
        """Let the next chunk of the queue die, as a trainer would after an exception."""

        async def die(broker: Broker) -> None:
            (lease,) = await broker.leases.take("test", [monitor], count=1, block_seconds=1.0)
            assert await broker.leases.hand_back("test", lease, "broken", 1) == "dead"

        self.with_broker(die)

    def apply(
        self,
        monitor: str,
        run: str,
        receipts: list[Receipt],
        *,
        t: float = 12.0,
        alarm: Alarm | None = None,
        updated_at: float | None = None,
    ) -> None:
        """Write a snapshot and a history as the aggregator would, up to the last of `receipts`."""
        last = receipts[-1]
        statistic = Statistic(
            kind="t_agg",
            value=t,
            state="closed form",
            p=1.5e-7,
            z=5.12,
            null_mean=3.0,
            null_deviation=1.25,
            threshold=9.5,
            sequence=last.sequence,
        )
        feature = FeatureRatio(
            name="pt",
            unit="GeV",
            edges=(0.0, 1.0, 2.0),
            data=(3.0, 4.0),
            reference=(3.5, 3.5),
            reference_error=(0.1, 0.1),
            learned=(0.9, 1.1),
            shift=0.2,
            shift_error=0.05,
            shift_low=0.1,
            shift_high=0.3,
        )
        snapshot = Snapshot(
            monitor=monitor,
            run=run,
            run_epoch=last.run_epoch,
            monitor_epoch=last.monitor_epoch,
            reference_hash="0" * 64,
            sequence=last.sequence,
            chunks=last.sequence,
            dead=0,
            events=sum(receipt.events for receipt in receipts),
            expected=float(sum(receipt.events for receipt in receipts)),
            exposure_ratio=0.05,
            statistics={"t_agg": statistic},
            effect_size=EffectSize(value=0.02, null_mean=0.01, null_deviation=0.003, excess=0.01),
            alarm=alarm or Alarm(),
            features=(feature,),
            anomalous=(AnomalousEvent(chunk="c1", sequence=1, row=3, log_ratio=2.5, values=(7.25,)),),
            updated_at=time.time() if updated_at is None else updated_at,
            last_accepted_at=last.accepted_at,
        )
        history = [
            HistoryEntry(
                sequence=receipt.sequence,
                chunk=receipt.chunk,
                state="applied",
                events=receipt.events,
                exposure=None,
                accepted_at=receipt.accepted_at,
                applied_at=time.time(),
                statistics={"t_agg": statistic},
            )
            for receipt in receipts
        ]

        async def save(broker: Broker) -> str:
            fence = await broker.statistics.hold(monitor, "test", 30.0)
            assert fence is not None
            return await broker.statistics.save(
                monitor,
                run,
                holder="test",
                fence=fence,
                run_epoch=last.run_epoch,
                previous=receipts[0].sequence - 1,
                snapshot=snapshot,
                state=b"",
                history=history,
                projection=None,
                drop_payloads=(),
                drop_fits=(),
            )

        assert self.with_broker(save) == "saved"


def sample(events: int, seed: int = 0, features: int = 2) -> np.ndarray:
    """Draw ordinary events."""
    return np.random.default_rng(seed).normal(size=(events, features)).astype(np.float32)


@contextmanager
def served(directory: Path, **settings: int) -> Iterator[Service]:
    """Serve the interface over a store in `directory` on a free port."""
    # The service's log lines would mix with what commands print in this process.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    store = EmbeddedStore(directory)
    store.start()
    try:
        app = create_app(Broker.connect(store.url), Settings(**settings))
        config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, ws="none", lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, name="api")
        thread.start()
        try:
            give_up = time.monotonic() + 20
            while not server.started:
                assert thread.is_alive(), "the interface did not start"
                assert time.monotonic() < give_up, "the interface did not start in time"
                time.sleep(0.02)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield Service(f"http://127.0.0.1:{port}", store.url)
        finally:
            app.state.context.close()
            server.should_exit = True
            thread.join(20)
    finally:
        store.stop()
        structlog.reset_defaults()

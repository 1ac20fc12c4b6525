"""A stand-in for trainer and aggregator: finishes and applies chunks through the real broker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nplmon.broker import Broker
from nplmon.broker.messages import Fit, HistoryEntry, Snapshot, Statistic, WidthFit


@dataclass
class Workers:
    """Finishes and applies chunks, as trainer and aggregator would."""

    broker: Broker
    coefficients: Callable[[int], np.ndarray] = field(default=lambda sequence: np.zeros(3))
    models: Callable[[int], list[np.ndarray]] | None = None
    """The coefficients of all kernel widths, where there are several."""

    async def finish(self) -> list[Fit]:
        fits = []
        for lease in await self.broker.leases.take("w", ["m"], count=100, block_seconds=0.1):
            sequence = lease.receipt.sequence
            models = [self.coefficients(sequence)] if self.models is None else self.models(sequence)
            fit = Fit(
                receipt=lease.receipt,
                widths=tuple(
                    WidthFit(
                        coefficients=model.astype("<f8").tobytes(),
                        score=b"",
                        t_chunk=1.0,
                        iterations=4,
                        decrement=1e-9,
                    )
                    for model in models
                ),
                fit_seconds=0.1,
                trainer="w",
                device="cpu",
                finished_at=2.0,
            )
            assert await self.broker.leases.finish("w", lease, fit) == "finished"
            fits.append(fit)
        return fits

    async def apply(
        self,
        run: str = "r",
        values: list[float] | None = None,
        projection: bytes | None = None,
        drop_fits: Sequence[int] = (),
        **members: Any,
    ) -> Snapshot:
        """Apply what is finished; `values` are the t_agg of the entries."""
        before = await self.broker.statistics.snapshot("m", run)
        previous = 0 if before is None else before.sequence
        fits = [
            fit
            for fit in await self.broker.statistics.fits("m", run, previous, 10_000)
            if isinstance(fit, Fit)
        ]
        assert fits
        history = [
            HistoryEntry(
                sequence=fit.receipt.sequence,
                chunk=fit.receipt.chunk,
                state="applied",
                events=fit.receipt.events,
                exposure=fit.receipt.exposure,
                accepted_at=fit.receipt.accepted_at,
                applied_at=3.0,
                statistics={
                    "t_agg": Statistic(
                        kind="t_agg",
                        value=float(place) if values is None else values[place],
                        state="closed form",
                        sequence=fit.receipt.sequence,
                    )
                },
            )
            for place, fit in enumerate(fits)
        ]
        receipt = fits[-1].receipt
        snapshot = Snapshot(
            monitor="m",
            run=run,
            run_epoch=receipt.run_epoch,
            monitor_epoch=receipt.monitor_epoch,
            reference_hash="h",
            sequence=receipt.sequence,
            chunks=receipt.sequence,
            dead=0,
            events=sum(fit.receipt.events for fit in fits),
            expected=1.0,
            exposure_ratio=0.1,
            last_accepted_at=receipt.accepted_at,
            **{"updated_at": 3.0, **members},
        )
        fence = await self.broker.statistics.hold("m", "a", 10)
        assert fence is not None
        saved = await self.broker.statistics.save(
            "m",
            run,
            holder="a",
            fence=fence,
            run_epoch=receipt.run_epoch,
            previous=previous,
            snapshot=snapshot,
            state=b"state",
            history=history,
            projection=projection,
            drop_payloads=[],
            drop_fits=drop_fits,
        )
        assert saved == "saved"
        return snapshot

"""Ratios: running averaged density ratios, put together from what is stored and evaluated at points."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import numpy as np

from nplmon.api.problems import Problem
from nplmon.broker.messages import expected_events
from nplmon.nplm.basis import Basis, basis_keys
from nplmon.nplm.ratio import AveragedRatio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.broker import Broker
    from nplmon.broker.messages import Fit, Monitor, Snapshot

BASES = 4
"""Eigenbases kept in memory."""
BLOCK = 8192
"""Points evaluated at once: the kernel's (points, centres) array stays small."""
EVALUATIONS = 2
"""Evaluations at a time; more wait, so that they cannot take the threads of those who push chunks."""
ATTEMPTS = 3


class Ratios:
    """Reads averaged ratios and evaluates them; keeps the last used bases."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._bases: OrderedDict[tuple[str, str], Basis] = OrderedDict()
        self._limiter = anyio.CapacityLimiter(EVALUATIONS)

    async def basis(self, monitor: Monitor, width: int) -> Basis:
        """Give a monitor's eigenbasis for one of its kernel widths, by number.

        Raises
        ------
        Problem
            `no-statistic`, if no trainer has prepared it yet.
        """
        kernel = monitor.kernel
        keys = basis_keys(
            monitor.features,
            kernel.centres,
            kernel.lambda_,
            kernel.sigmas,
            kernel.sigma_quantiles,
            kernel.seed,
        )
        key = (monitor.reference_hash, keys[width])
        if key not in self._bases:
            body = await self._broker.references.basis(*key)
            if body is None:
                raise no_statistic(f"The eigenbasis of the monitor {monitor.name!r} is not prepared yet.")
            self._bases[key] = await anyio.to_thread.run_sync(Basis.from_bytes, body)
        self._bases.move_to_end(key)
        basis = self._bases[key]
        while len(self._bases) > BASES:
            self._bases.popitem(last=False)
        return basis

    async def ratio(self, monitor: Monitor, run: str) -> tuple[Snapshot, AveragedRatio, Basis]:
        """Give the averaged ratio of the kernel width that wins, the snapshot it belongs to, and its eigenbasis.

        Raises
        ------
        Problem
            `no-statistic`, if nothing was applied yet.
        """
        for _ in range(ATTEMPTS):
            snapshot = await self._broker.statistics.snapshot(monitor.name, run)
            if snapshot is None or snapshot.chunks == 0:
                raise no_statistic(f"Nothing was applied yet in the run {run!r}.")
            basis = await self.basis(monitor, snapshot.winner)
            if snapshot.ratio_form == "projection":
                body = await self._broker.statistics.projection(monitor.name, run)
                projected = None if body is None else AveragedRatio.from_bytes(body)
                # Another width may have won in between.
                if projected is not None and projected.basis == basis.digest:
                    return snapshot, projected, basis
            else:
                fits = await self._broker.statistics.models(monitor.name, run, snapshot.sequence)
                # Fewer, when the aggregator has projected the ratio in between; the snapshot is newer then.
                if len(fits) == snapshot.chunks:
                    return snapshot, mixture(fits, monitor, snapshot), basis
        raise no_statistic(f"The models of the run {run!r} do not belong to its snapshot.")

    async def evaluate(
        self, ratio: AveragedRatio, basis: Basis, points: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Evaluate the log of an averaged ratio.

        Parameters
        ----------
        points:
            float32 (N, d), in feature units.

        Returns
        -------
        numpy.ndarray
            float64 (N,).
        """

        def blocks() -> NDArray[np.float64]:
            starts = range(0, len(points), BLOCK)
            return np.concatenate([ratio.log_ratio(basis, points[at : at + BLOCK]) for at in starts])

        return await anyio.to_thread.run_sync(blocks, limiter=self._limiter)


def mixture(fits: list[Fit], monitor: Monitor, snapshot: Snapshot) -> AveragedRatio:
    """Put the chunks' models of the winning width together: sum_k lam_k e^{f_k} / sum_k lam_k."""
    models = [fit.widths[snapshot.winner].coefficients for fit in fits]
    return AveragedRatio(
        coefficients=np.stack([np.frombuffer(model, dtype="<f8") for model in models]),
        log_weights=np.log([expected_events(monitor, fit.receipt) for fit in fits]),
        log_normalisation=snapshot.log_normalisation,
    )


def no_statistic(detail: str) -> Problem:
    """Say that there is nothing to show yet."""
    return Problem(
        "no-statistic",
        detail,
        field="run",
        value=None,
        remedy="Wait until a chunk is applied; GET .../statistic tells how many are pending.",
    )

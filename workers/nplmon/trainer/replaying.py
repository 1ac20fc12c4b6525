"""Toys of one calibration, replayed: from what was asked for to the bytes of a batch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from nplmon.nplm.basis import kernel_widths
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.reference import Reference
from nplmon.nplm.toys import replay
from nplmon.toys import core_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from numpy.typing import NDArray

    from nplmon.broker.messages import KernelSettings
    from nplmon.broker.toy_messages import CalibrationOrder
    from nplmon.nplm.toy_plan import ToyPlan

BATCH_SECONDS: Final = 2.0
"""What a batch shall take: little enough to be lost without harm, much more than its way through the store."""
OVERHEAD: Final = 0.2
"""Share of a batch that may be spent on what is done once: where that is much, batches are longer."""
LARGEST: Final = 500
"""Toys of a batch at most."""
TIMED: Final = 8
"""Toys that are timed beside the first one, which alone does not tell what is done once per batch."""
PATIENCE: Final = 20.0
"""Seconds of a first toy from which on no other is timed."""
SPLIT: Final = 2**31
"""Of the seed with which a reference is split; toys use their numbers."""


@dataclass(frozen=True)
class Replaying:
    """The toys of one calibration.

    Attributes
    ----------
    models:
        Of the monitor's reference, or of what is left of it, one for each kernel width.
    pool:
        Events that toys draw from, float32 (P, d).
    plan:
        What is replayed.
    prepare:
        Prepares the models of all widths for another reference.
    """

    models: Sequence[KernelModel]
    pool: NDArray[np.float32]
    plan: ToyPlan
    prepare: Callable[[Reference, int], Sequence[KernelModel]]

    @classmethod
    def of(
        cls,
        order: CalibrationOrder,
        models: Sequence[KernelModel],
        pool: NDArray[np.float32] | None,
        kernel: KernelSettings,
        device: torch.device,
    ) -> Replaying:
        """Set up what a calibration asks for.

        Parameters
        ----------
        order:
            What was asked for.
        models:
            Of the monitor's reference, one for each kernel width.
        pool:
            Its held-out events; None splits the reference.
        kernel, device:
            How and where other references are prepared.
        """
        prepare = partial(prepared, kernel=kernel, device=device)
        if pool is None:
            rest, pool = split(models[0].reference, order.plan.pool_events, order.plan.seed)
            models = prepare(rest, kernel.seed)
        return cls(models, pool, core_plan(order.plan, order.mode), prepare)

    def run(self, first: int, count: int, pause: Callable[[], None]) -> bytes:
        """Replay some toys; `pause` is called now and then, and may wait, or raise to end it."""
        pause()  # a chunk may have come since these toys were taken
        trajectories = replay(
            self.models,
            self.pool,
            self.plan,
            first,
            count,
            prepare=self.prepare,
            progress=lambda _done, _wanted: pause(),
        )
        return trajectories.to_bytes()

    def time(self, pause: Callable[[], None]) -> tuple[bytes, float, int]:
        """Replay the first toy, and find how many make a batch; what is waited for chunks is taken for their time.

        Returns
        -------
        bytes, float, int
            The first toy, the seconds that one takes in a batch, and the size of a batch.
        """
        result, alone = self._timed(0, 1, pause)
        if self.plan.source == "disjoint" or alone > PATIENCE:
            return result, alone, batch_size(0.0, alone)  # nothing is shared, or it cannot be waited for
        # Again, for the first time takes longer than any other.
        _, alone = self._timed(0, 1, pause)
        _, several = self._timed(0, 1 + TIMED, pause)
        each = max((several - alone) / TIMED, several / LARGEST)
        once = max(several - (1 + TIMED) * each, 0.0)
        size = batch_size(once, each)
        return result, once / size + each, size

    def _timed(self, first: int, count: int, pause: Callable[[], None]) -> tuple[bytes, float]:
        begun = time.perf_counter()
        return self.run(first, count, pause), time.perf_counter() - begun


def batch_size(once: float, each: float) -> int:
    """Give how many toys make a batch.

    Parameters
    ----------
    once, each:
        Seconds that a batch takes beside its toys, and that each toy takes.

    Examples
    --------
    >>> batch_size(0.25, 0.125), batch_size(1.0, 0.125), batch_size(0.0, 7.0), batch_size(0.25, 1e-6)
    (14, 32, 1, 500)
    """
    shared = once * (1 - OVERHEAD) / OVERHEAD
    return int(min(max((BATCH_SECONDS - once) / each, shared / each, 1), LARGEST))


def split(reference: Reference, count: int, seed: int) -> tuple[Reference, NDArray[np.float32]]:
    """Split events off a reference at random; the same for all trainers.

    Examples
    --------
    >>> rest, pool = split(Reference(np.arange(10, dtype=np.float32)[:, None]), 3, seed=0)
    >>> len(rest.events), sorted(np.concatenate([rest.events, pool])[:, 0].tolist()) == list(range(10))
    (7, True)
    """
    order = np.random.default_rng([seed, SPLIT]).permutation(len(reference.events))
    # In the order of the reference: what is left of it looks like one.
    pool, rest = np.sort(order[:count]), np.sort(order[count:])
    return Reference(reference.events[rest]), np.asarray(reference.events[pool], dtype=np.float32)


def prepared(
    reference: Reference, seed: int, *, kernel: KernelSettings, device: torch.device
) -> list[KernelModel]:
    """Prepare the models of all kernel widths for a reference, with a seed for the centres."""
    return [
        KernelModel.prepare(
            reference,
            centres=min(kernel.centres, len(reference.events)),
            lambda_=kernel.lambda_,
            sigma=sigma,
            sigma_quantile=quantile,
            seed=seed,
            device=device,
        )
        for sigma, quantile in kernel_widths(kernel.sigmas, kernel.sigma_quantiles)
    ]

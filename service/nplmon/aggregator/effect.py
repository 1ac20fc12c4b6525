"""Effect: how large the difference is, and what noise alone makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from nplmon.aggregator.overflow import told
from nplmon.aggregator.part import Applied, Part
from nplmon.broker.messages import EffectSize
from nplmon.nplm.effect import effect_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nplmon.broker.messages import Snapshot
    from nplmon.nplm.aggregation import Aggregation

OVERFLOWS = (
    "the density ratio overflows: the data are where the reference has nothing; look at the chunk itself"
)


class Effect(Part):
    """The effect size of a run: it follows from the averaged ratio, and keeps nothing."""

    name = "effect"

    def add(self, chunk: Applied) -> None:
        """Take in nothing."""

    def to_bytes(self) -> bytes:
        """Serialise nothing."""
        return b""

    def restore(self, body: bytes) -> None:
        """Continue from nothing."""

    def shown(self, snapshot: Snapshot, run: Aggregation, log_ratio: NDArray[np.float64]) -> Snapshot:
        """Give the snapshot with the effect size."""
        h, h_squared = run.shrinkage_means
        found = effect_size(
            run.basis,
            run.reference_features,
            run.weights,
            log_ratio,
            mode=run.mode,
            expected=run.expected,
            h=h,
            h_squared=h_squared,
        )
        value = told(found.value)
        return msgspec.structs.replace(
            snapshot,
            effect_size=EffectSize(
                value=value,
                null_mean=found.null_mean,
                null_deviation=found.null_deviation,
                excess=None if value is None else found.excess,
                note=OVERFLOWS if value is None else "",
            ),
        )

"""Effect: how large the difference is, and what noise alone makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from nplmon.aggregator.overflow import told
from nplmon.aggregator.part import Applied, Part
from nplmon.aggregator.tolerance import run_effect
from nplmon.broker.findings import EffectSize

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
        found = run_effect(run, log_ratio)
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

"""The statistics of a run in one process and one thread, by the core alone."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from tests.chaos.stage import KERNEL, REFERENCE

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.kernel import KernelModel
from nplmon.nplm.kernel_fit import KernelFit
from nplmon.nplm.preparation import prepare
from nplmon.nplm.reference import Reference


class Serial:
    """Fits each chunk once, and aggregates in any order."""

    def __init__(self, chunks: dict[str, np.ndarray]) -> None:
        torch.set_num_threads(1)
        self._chunks = chunks
        (sigma,) = KERNEL["sigmas"]
        self._basis = prepare(
            REFERENCE, centres=KERNEL["centres"], lambda_=KERNEL["lambda"], sigma=sigma, seed=0
        )
        self._features = self._basis.features(REFERENCE)
        self._model = KernelModel(Reference(REFERENCE), self._basis, self._features)
        self._fits: dict[str, KernelFit] = {}

    def statistics(self, order: Iterable[str]) -> dict[str, float]:
        """Give the cumulative statistics after these chunks."""
        run = Aggregation(self._basis, self._features, None, "shape", event_cap=200_000)
        for name in order:
            events = self._chunks[name]
            size = float(len(events))
            if name not in self._fits:
                self._fits[name] = self._model.fit(events, size)
            fit = self._fits[name]
            run.apply(fit.coefficients, fit.score, fit.statistic, size, events)
        return {kind: one.value for kind, one in run.statistics().items()}

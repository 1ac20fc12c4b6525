"""The course of a run: the cumulative statistic after each chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nplmon.nplm import KernelModel
from nplmon.nplm.aggregation import Aggregation
from nplmon.offline.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nplmon.nplm import Model
    from nplmon.nplm.run import RunKind, RunResult
    from nplmon.offline.chunk import Chunk
    from nplmon.offline.verdict import Verdict


def course(model: Model, chunks: Sequence[Chunk], run: RunResult, kind: RunKind) -> list[Verdict]:
    """Give the statistic after 1, 2, ... chunks, as the service would have shown it.

    Empty where there is no closed form for it: another family, chunks that are too small, or models and events of
    different chunks.
    """
    if not isinstance(model, KernelModel) or kind not in run.statistics or len(run.fits) != len(chunks):
        return []
    cap = sum(len(chunk.events) for chunk in chunks) if kind == "t_agg" else 0
    state = Aggregation(model.basis, model.features, model.reference.weights, run.mode, cap)
    verdicts = []
    for chunk, fit in zip(chunks, run.fits, strict=True):
        state.apply(fit.coefficients, fit.score, fit.statistic, chunk.expected, chunk.events)  # type: ignore[attr-defined]  # of the kernel family
        one = state.statistics()[kind]  # type: ignore[index]  # one of them, by the test above
        verdicts.append(judge(kind, one.value, one))
    return verdicts

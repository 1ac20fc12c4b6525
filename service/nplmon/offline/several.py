r"""Several kernel widths: which of them sees most, and a p-value that accounts for the choice.

With toys the widths' p-values are ranks: data and toys of one width are put in order together, and p is the share that
is at least as large. Under H0 data and toys are exchangeable, so that the joint p, the share of them whose smallest p
is no larger, is exact whatever the statistics are. Below the resolution of the toys, and without toys, the scores of
all widths are drawn together (`nplmon.nplm.minimum_p`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from scipy import stats

from nplmon.nplm.widths import joint_p, minimum_p
from nplmon.offline.errors import AnalysisError
from nplmon.offline.verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm import KernelModel, Model
    from nplmon.nplm.run import RunKind, RunResult
    from nplmon.offline.settings import Settings

CHOSEN: Final = (
    "the kernel width was chosen after a look, which the p of the statistic asked for accounts for"
)


def best_width(
    settings: Settings,
    models: Sequence[Model],
    runs: Sequence[RunResult],
    toys: Sequence[dict[RunKind, NDArray[np.float64]]],
) -> tuple[int, Verdict]:
    """Give the width with the smallest p, and the verdict on the statistic that was asked for.

    Parameters
    ----------
    settings:
        What is asked.
    models, runs, toys:
        Model, run and toys' statistics of each width.

    Raises
    ------
    AnalysisError
        If there is neither a closed form nor a toy.
    """
    asked: RunKind = settings.statistic
    # Of a single test there is one statistic, called t_sum in its run.
    kind: RunKind = "t_sum" if settings.analysis == "single" else asked
    values = [run.values[kind] for run in runs]
    drawn = [one.get(asked) for one in toys]
    if all(one is not None for one in drawn):
        log_p = _ranks(values, cast("list[NDArray[np.float64]]", drawn))
        joint = joint_p(log_p[0], log_p[1:])
        drawable = settings.analysis in {"single", "aggregation"}
        if joint.p > joint.resolution or not drawable or any(kind not in run.statistics for run in runs):
            single = judge(
                asked, values[joint.best], runs[joint.best].statistics.get(kind), drawn[joint.best]
            )
            return joint.best, replace(single, state="toys", joint=joint)
    if missing := [run.uncalibrated.get(kind, "") for run in runs if kind not in run.statistics]:
        raise AnalysisError(
            f"{asked} has no null for {len(missing)} of {len(runs)} kernel widths ({missing[0]}): leave the narrowest "
            "out, or give --toys"
        )
    joint = minimum_p(
        cast("Sequence[KernelModel]", models), runs, kind="t_sum" if kind == "t_sum" else "t_agg"
    )
    single = judge(asked, values[joint.best], runs[joint.best].statistics[kind], drawn[joint.best])
    return joint.best, replace(single, state="closed form", joint=joint)


def left_open(kind: str, value: float) -> Verdict:
    """Give a statistic of the best width that the joint p does not cover."""
    return judge(kind, value, None, reason=CHOSEN)


def _ranks(values: Sequence[float], toys: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Give log p of data (first) and toys of each width from their ranks, float64 (1 + n, widths)."""
    columns = [np.append(value, drawn) for value, drawn in zip(values, toys, strict=True)]
    return np.log(
        np.stack([stats.rankdata(-column, method="max") / column.size for column in columns], axis=1)
    )

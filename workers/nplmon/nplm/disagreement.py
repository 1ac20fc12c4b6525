r"""How far toys and closed form are apart, and whether that is more than the toys' number explains.

For each statistic the largest difference, over chunks n, widths and levels c, between the share of toys whose
closed-form p is at most c and c itself: a Kolmogorov-Smirnov distance, maximised over n and widths. Values after
different n belong to the same runs and are dependent, so no correction for their number is right; instead whole toys
are drawn again with replacement, and the largest distance between their shares and those of all toys has, with all the
dependence in it, the distribution of the first one without a difference (bootstrap of the empirical process, Bickel &
Freedman 1981). p is the share of such draws that are at least as far apart. numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOOTSTRAPS: Final = 400
LEVELS: Final = np.concatenate([[0.001, 0.002, 0.005, 0.01, 0.02], np.arange(0.03, 1.0, 0.01)])
MOST_CHUNKS: Final = 24
"""Numbers of chunks that are compared: equally spaced in their logarithm."""
WARNED: Final = 0.01
"""A disagreement with a smaller p is a warning."""


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """The largest difference between toys and closed form, of one statistic.

    Attributes
    ----------
    kind:
        The statistic.
    chunk, width:
        n and the index of the kernel width where it is.
    closed_form, toys:
        There: a closed-form probability c, and the share of toys with a p of at most c.
    p:
        The probability of a largest difference of this size or more, from the toys' number alone.
    resolution:
        The smallest value that p can take.
    """

    kind: str
    chunk: int
    width: int
    closed_form: float
    toys: float
    p: float
    resolution: float

    @property
    def size(self) -> float:
        """The difference, positive where toys have too many small p: then the closed form alarms too often."""
        return self.toys - self.closed_form

    @property
    def warning(self) -> str:
        """Say what it means, or nothing where the toys' number explains it."""
        if self.p >= WARNED:
            return ""
        cause = "alarms too often" if self.size > 0 else "is too cautious"
        return (
            f"{self.kind}: after {self.chunk} chunks {100 * self.toys:.3g} % of the toys have a closed-form p of at "
            f"most {self.closed_form:.3g} (p of such a difference {self.p:.2g}): the closed form {cause}"
        )


def disagreement(kind: str, log_p: NDArray[np.float64], seed: int = 0) -> Disagreement:
    """Compare toys with the closed form.

    Parameters
    ----------
    kind:
        The statistic.
    log_p:
        Logarithms of the toys' closed-form p-values, float64 (toys, chunks, widths).
    seed:
        Of the bootstrap.

    Examples
    --------
    >>> p = np.random.default_rng(0).uniform(size=(400, 3, 1))
    >>> disagreement("t_agg", np.log(p)).warning
    ''
    >>> disagreement("t_agg", np.log(p**2)).warning.split(":")[1]
    ' after 3 chunks 45 % of the toys have a closed-form p of at most 0.19 (p of such a difference 0.0025)'
    """
    toys, chunks, widths = log_p.shape
    rng = np.random.default_rng(seed)
    # How often each toy is drawn, (draws, toys).
    drawn = rng.multinomial(toys, np.full(toys, 1 / toys), size=BOOTSTRAPS).astype(np.float32)
    largest = np.zeros(BOOTSTRAPS)
    found = (-1.0, 0, 0, 0.0, 0.0)
    numbers = np.unique(np.geomspace(1, chunks, MOST_CHUNKS).round().astype(np.int64))
    for n in numbers.tolist():
        for width in range(widths):
            below = (log_p[:, n - 1, width, None] <= np.log(LEVELS)).astype(np.float32)
            share = below.mean(axis=0, dtype=np.float64)
            far = np.abs(share - LEVELS)
            k = int(far.argmax())
            found = max(found, (float(far[k]), n, width, float(LEVELS[k]), float(share[k])))
            largest = np.maximum(largest, np.abs(drawn @ below / toys - share).max(axis=1))
    _, n, width, closed_form, share_there = found
    return Disagreement(
        kind=kind,
        chunk=n,
        width=width,
        closed_form=closed_form,
        toys=share_there,
        p=(1 + int(np.count_nonzero(largest >= found[0]))) / (BOOTSTRAPS + 1),
        resolution=1 / (BOOTSTRAPS + 1),
    )

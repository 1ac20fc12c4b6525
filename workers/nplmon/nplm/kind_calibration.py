"""The calibration of one statistic: how its smallest p is distributed under H0, and thresholds. No torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from nplmon.nplm.run_length import PValueThresholds, run_length_thresholds

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT_RANKS: Final = 500
"""Toys with the smallest p of which each is kept; of the others every so many, in steps of 1 % of their number."""


@dataclass(frozen=True, kw_only=True)
class KindCalibration:
    """The calibration of one statistic.

    Attributes
    ----------
    ranks:
        k, increasing, int64 (m,).
    log_p:
        The k-th smallest log p_min of the toys after each chunk, float64 (m, chunks). Empty where the closed form is
        exact.
    stationary:
        Whether its law is the same after each chunk, of which there is one.
    alarm, warning:
        Thresholds on log p_min, or None.

    Examples
    --------
    >>> toys = np.log(np.arange(1.0, 100.0) / 100)[:, None]
    >>> KindCalibration.of(toys).count(1, np.log(0.055)), KindCalibration.of(toys).count(2, np.log(0.055))
    (5, None)
    """

    ranks: NDArray[np.int64]
    log_p: NDArray[np.float64]
    stationary: bool = False
    alarm: PValueThresholds | None = None
    warning: PValueThresholds | None = None

    @classmethod
    def of(
        cls, smallest: NDArray[np.floating], alarm: float | None = None, warning: float | None = None
    ) -> KindCalibration:
        """Calibrate with log p_min (toys, chunks) of toys, and with thresholds for two expected run lengths.

        Raises
        ------
        ValueError
            If there are fewer than 10 ERT toys, or a value is not finite.
        """
        return cls(
            **ranked(smallest),
            alarm=None if alarm is None else thresholds(smallest, alarm),
            warning=None if warning is None else thresholds(smallest, warning),
        )

    def count(self, chunk: int, log_p_min: float) -> int | None:
        """Give how many toys have a log p_min at most as large, rather too many; None if it is not known there."""
        if self.stationary:
            chunk = 1
        if not self.ranks.size or chunk > self.log_p.shape[1]:
            return None
        column = self.log_p[:, chunk - 1]
        place = int(np.searchsorted(column, log_p_min, side="right"))
        # Between two ranks that are kept there may be toys.
        return int(self.ranks[place]) - 1 if place < self.ranks.size else int(self.ranks[-1])


def ranked(smallest: NDArray[np.floating]) -> dict[str, Any]:
    """Keep the order statistics of log p_min (toys, chunks) that tell its distribution to 1 % of a probability."""
    toys = len(smallest)
    few = np.arange(1, min(toys, EXACT_RANKS) + 1)
    many = np.geomspace(
        EXACT_RANKS, max(toys, EXACT_RANKS), 1 + int(100 * np.log(max(toys / EXACT_RANKS, 1)))
    )
    ranks = np.unique(np.concatenate([few, many.round().astype(np.int64)]))
    ranks = ranks[ranks <= toys]
    return {"ranks": ranks, "log_p": np.sort(smallest, axis=0)[ranks - 1].astype(np.float64)}


def thresholds(smallest: NDArray[np.floating], run_length: float) -> PValueThresholds:
    """Choose thresholds on log p_min (toys, chunks) for an expected run length; see `run_length_thresholds`."""
    found = run_length_thresholds(-smallest, run_length)
    return PValueThresholds(
        run_length=found.run_length,
        toys=found.toys,
        log_p=-found.values,
        lower=-found.upper,
        upper=-found.lower,
    )


def independent(at_once: NDArray[np.float64], run_length: float, length: int) -> PValueThresholds:
    """Thresholds of a statistic of single chunks: the 1/ERT quantile at each."""
    level = float(np.quantile(at_once, 1 / run_length)) if at_once.size else -float(np.log(run_length))
    same = np.full(length, level)
    return PValueThresholds(run_length=run_length, toys=len(at_once), log_p=same, lower=same, upper=same)

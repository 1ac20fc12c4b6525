r"""Thresholds by expected run length for one Gaussian statistic, without toys and for any chunks (ours).

The deviation of a run's count from what was expected, relative to the latter, has after chunk n the variance
:math:`v_n = 1 / \Lambda_n + 1 / N_0`, with :math:`1 / N_0 = 0` for a known rate, and for m < n the covariance
:math:`v_n`: it is Brownian motion in v, run backwards. So Z = deviation / :math:`\sqrt{v}` is a Markov chain,

.. math:: Z_n = \rho Z_m + \sqrt{1 - \rho^2} \, \xi, \qquad \rho^2 = v_n / v_m ,

and the density of :math:`|Z_n|` among the runs that have not crossed a threshold follows from the one before by one
integral. The threshold after chunk n is the value that the share 1 / ERT of these runs reaches, which makes the chance
of a false alarm 1 / ERT at every chunk, with the exposures that the chunks have and for as long as the run lasts.
Recursions of this kind are those of group sequential tests (Armitage, McPherson & Rowe 1969). numpy and scipy only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import special

from nplmon.nplm.errors import StateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP: Final = 0.02
"""Between the points of |Z|; also the smallest move of Z, in its deviations, that counts as a look of its own: from
about 2,500 equal chunks on, several make one."""
MOST_DUE: Final = 10
"""Chunks whose false alarms one look makes up for. With more of them to a look, false alarms are rarer than asked for:
an alarm at one look for all that were due in hundreds of chunks would be at any p."""
REACH: Final = 6.5
"""|Z| beyond it has a probability of 8e-11."""
LONGEST: Final = 1e8
"""Run length whose threshold is still well within reach."""
_Z: Final = STEP * (np.arange(round(REACH / STEP)) + 0.5)


class Survivors:
    """The runs without an alarm so far: how their |Z| is distributed, and the threshold after each chunk.

    Parameters
    ----------
    run_length:
        ERT, the expected number of chunks between false alarms, from 2 to 10^8.

    Raises
    ------
    ValueError
        If the run length is out of range.

    Examples
    --------
    Chunks of 100 expected events, and ERT 100:

    >>> runs = Survivors(100)
    >>> log_p = [runs.look(1 / (100.0 * n)) for n in range(1, 51)]
    >>> [round(float(np.exp(log_p[n - 1])), 2) for n in (1, 10, 50)]
    [0.01, 0.04, 0.17]
    """

    def __init__(self, run_length: float) -> None:
        if not 2 <= run_length <= LONGEST:
            raise ValueError(f"an expected run length of {run_length} chunks: give 2 to {LONGEST:.0e}")
        self.run_length = float(run_length)
        self._density = np.zeros_like(_Z)
        self._variance = np.inf
        self._threshold = np.inf
        self._due = 0
        """Chunks since the last look of its own."""

    @property
    def log_p(self) -> float:
        """Logarithm of the two-sided p-value at the present threshold."""
        return float(np.log(2) + special.log_ndtr(-self._threshold))

    def look(self, variance: float) -> float:
        """Look once more, and give the logarithm of the two-sided p-value at the threshold.

        Parameters
        ----------
        variance:
            v_n, relative to the square of the expected count; not above that of the look before.

        Raises
        ------
        ValueError
            If the variance is not positive or has grown.
        """
        if not 0 < variance <= self._variance:
            raise ValueError(
                f"a variance of {variance:.3g} after {self._variance:.3g}: it is positive and falls"
            )
        self._due = min(self._due + 1, MOST_DUE)
        if np.isinf(self._variance):
            density = np.exp(-(_Z**2) / 2)
        else:
            correlation = (variance / self._variance) ** 0.5
            move = (1 - variance / self._variance) ** 0.5
            if move < STEP:
                return self.log_p
            # Of |Z|: both signs lead to each of its values.
            alive = int(np.count_nonzero(self._density))
            z, mean = _Z / move, correlation / move * _Z[:alive]
            near, far = np.subtract.outer(z, mean), np.add.outer(z, mean)
            density = (np.exp(near * near / -2) + np.exp(far * far / -2)) @ self._density[:alive]
        self._cross(density / density.sum())
        self._variance = variance
        return self.log_p

    def _cross(self, mass: NDArray[np.float64]) -> None:
        """Let the share that is due with the largest |Z| cross, and go on with the others."""
        share = 1 - (1 - 1 / self.run_length) ** self._due
        self._due = 0
        beyond = np.cumsum(mass[::-1])[::-1]
        last = max(int(np.searchsorted(-beyond, -share, side="right")) - 1, 0)
        above = beyond[last + 1] if last + 1 < len(mass) else 0.0
        crossing = min((share - above) / mass[last], 1.0) if mass[last] > 0 else 0.0
        self._threshold = float(_Z[last] + STEP * (0.5 - crossing))
        mass[last] *= 1 - crossing
        mass[last + 1 :] = 0.0
        self._density = mass

    def to_array(self) -> NDArray[np.float64]:
        """Give all that the next threshold depends on, beside the run length."""
        return np.concatenate([[self._variance, self._threshold, self._due], self._density])

    def restore(self, saved: NDArray[np.float64]) -> None:
        """Continue from what `to_array` gave.

        Raises
        ------
        StateError
            If it has another size.
        """
        if saved.shape != (3 + len(_Z),):
            raise StateError(
                f"an array of shape {saved.shape} is no distribution of {len(_Z)} points: reset the run"
            )
        self._variance, self._threshold = float(saved[0]), float(saved[1])
        self._due, self._density = int(saved[2]), saved[3:].copy()

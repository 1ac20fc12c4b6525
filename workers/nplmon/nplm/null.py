r"""Closed-form null distributions: weighted sums of chi-squares, with tails that are right however small.

In the quadratic regime every statistic of this package is, under H0, :math:`\sum_j w_j Z_j^2` with independent
standard normal :math:`Z_j`. The weights follow from the reference eigenbasis, the expected counts and the size of the
reference; nothing is fitted to toys. numpy and scipy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import linalg, optimize, special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis

Mode = Literal["shape", "rate"]
TINY = 1e-300
NOTHING = 1e-100  # of the largest weight: a statistic below it is reached with a probability that rounds to 1
SLANT = 0.5  # below 1, so that a path through many degrees of freedom, nearly Gaussian, meets no growth
REST = 30.0  # exp(-30) of the peak: where the path of integration ends
MOST_NODES = 4097
EVENTS_PER_DEGREE = (
    2.0  # of a chunk per effective degree of freedom: below it the quadratic regime is out of reach
)
NEGLIGIBLE = 1e-9  # of the largest weight: below it a component moves no digit of a tail probability


@dataclass(frozen=True)
class ChiSquareSum:
    r"""The distribution of :math:`\sum_j w_j \chi^2_{m_j}`.

    Attributes
    ----------
    weights:
        w, float64 (r,); the largest is positive. Negative ones make P(T < 0) positive; it is not resolved.
    degrees:
        m, degrees of freedom of each term, float64 (r,).

    Examples
    --------
    >>> null = ChiSquareSum(np.ones(1), np.full(1, 10.0))
    >>> f"{null.tail(50.0):.4e}", f"{null.quantile(null.tail(50.0)):.6f}"
    ('2.6691e-07', '50.000000')
    """

    weights: NDArray[np.float64]
    degrees: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """The expectation, sum m w."""
        return float(self.degrees @ self.weights)

    @property
    def deviation(self) -> float:
        """The standard deviation, sqrt(2 sum m w^2)."""
        return float(np.sqrt(2 * self.degrees @ self.weights**2))

    def log_tail(self, t: float) -> float:
        r"""Give log P(T >= t), with a relative error of P under 1e-8 at any depth.

        With the cumulant generating function :math:`K(s) = -\frac12 \sum_j m_j \log(1 - 2 w_j s)`,
        :math:`P(T \ge t) = \frac{1}{2 \pi i} \int e^{K(s) - s t} ds / s` along a path from below to above that crosses
        the real axis between 0 and :math:`1 / 2 w_{max}`. The path taken crosses at the saddle point and bends to
        the right along the direction of steepest descent (Daniels 1954; the exact form of the Lugannani-Rice
        approximation), where nothing cancels and the trapezoid rule converges exponentially.

        Raises
        ------
        ValueError
            If t is not finite.
        """
        if not np.isfinite(t):
            raise ValueError(f"a statistic of {t} has no tail probability: look at the fit that gave it")
        largest = float(self.weights.max())
        if t <= NOTHING * largest:
            return 0.0
        w, m, x = self.weights / largest, self.degrees, t / largest
        saddle, base = _saddle(w, m, x)
        z = w / base
        curvature = 2 * float(m @ z**2) + saddle**-2
        width = curvature**-0.5
        bend = max((8 * float(m @ z**3) - 2 * saddle**-3) / (6 * curvature), 0.05 / width)
        focus = SLANT / (2 * bend)
        peak = -0.5 * float(m @ np.log(base)) - saddle * x

        def exponent(step: NDArray[np.complex128]) -> NDArray[np.complex128]:
            return np.asarray(-0.5 * (np.log1p(-2 * step[:, None] * z) @ m) - step * x)

        def path(y: NDArray[np.float64]) -> tuple[NDArray[np.complex128], NDArray[np.complex128]]:
            """Give s - saddle and ds / dy on a hyperbola with that bend."""
            root = np.sqrt(focus**2 + y**2)
            return SLANT * (root - focus) + 1j * y, SLANT * y / root + 1j

        end = 8 * width
        while exponent(path(np.array([end]))[0]).real[0] > -REST:
            end *= 1.5
        reach = float(np.arcsinh(end / width))

        def integral(nodes: int) -> float:
            u = np.linspace(0, reach, nodes)
            step, tangent = path(width * np.sinh(u))
            # The part below the axis is the mirror image, which leaves the imaginary part.
            value = np.imag(np.exp(exponent(step)) / (saddle + step) * tangent) * np.cosh(u)
            value[0] *= 0.5
            return float(abs(value.sum()) * width * reach / (nodes - 1) / np.pi)

        nodes, result = 33, integral(33)
        while nodes < MOST_NODES:
            nodes = 2 * nodes - 1
            previous, result = result, integral(nodes)
            if abs(result - previous) <= 1e-9 * result:
                break
        return min(peak + float(np.log(result)), 0.0)

    def tail(self, t: float) -> float:
        """Give the p-value P(T >= t)."""
        return float(np.exp(self.log_tail(t)))

    def quantile(self, p: float) -> float:
        """Give the value t that is reached with probability p: the inverse of `tail`.

        Raises
        ------
        ValueError
            If p is not between 0 and 1.
        """
        if not 0 < p < 1:
            raise ValueError(f"a tail probability lies between 0 and 1, not {p}")
        target = float(np.log(p))
        # Each value of the tail is an integral: a bracket next to the chi-square of the same mean, variance and
        # skewness needs a third of them.
        near, step = self._near(p), 0.02 * self.deviation
        low, high = max(near - step, 0.0), near + step
        while self.log_tail(high) > target:
            low, high, step = high, high + 4 * step, 4 * step
        while low > 0 and self.log_tail(low) < target:
            low, high, step = max(low - 4 * step, 0.0), low, 4 * step
        # A tolerance relative to t alone: the weights may have any scale.
        return float(
            optimize.brentq(
                lambda t: self.log_tail(t) - target, low, high, xtol=TINY, rtol=1e-12, maxiter=500
            )
        )

    def _near(self, p: float) -> float:
        """Give the quantile of a chi-square with the same three cumulants, by Wilson's and Hilferty's cube."""
        third = 8 * float(self.degrees @ self.weights**3)
        if third <= 0:
            return max(self.mean - self.deviation * float(special.ndtri(p)), 0.0)
        scale = third / (4 * self.deviation**2)
        degrees = self.deviation**2 / (2 * scale**2)
        width = 2 / (9 * degrees)
        root = 1 - width - float(special.ndtri(p)) * width**0.5
        return max(self.mean + scale * degrees * (max(root, 0.0) ** 3 - 1), 0.0)


def _saddle(w: NDArray[np.float64], m: NDArray[np.float64], x: float) -> tuple[float, NDArray[np.float64]]:
    """Minimum s of K(s) - s x - log s on (0, 1/2) and 1 - 2 w s there, for largest weight 1.

    The unknown is 1/2 - s, which stays exact where s rounds to 1/2.
    """

    def slope(gap: float) -> float:
        return float(m @ (w / ((1 - w) + 2 * w * gap))) - x - 1 / (0.5 - gap)

    positive = w > 0
    negative = -float(m[~positive] @ w[~positive])
    low = min(float(m[w == 1].sum()) / (4 * (x + 4 + negative)), 0.25)
    # Negative weights lower the slope: the bound of the positive ones holds.
    high = min(0.5 - min(0.25, 0.5 / float(m[positive] @ w[positive])), float(m[positive].sum()) / x)
    gap = float(optimize.brentq(slope, low, high, xtol=TINY, rtol=1e-10))
    return 0.5 - gap, (1 - w) + 2 * w * gap


def significance(log_p: float) -> float:
    """Z, the one-sided Gaussian significance of a p-value given as its logarithm.

    Examples
    --------
    >>> round(significance(np.log(2.866515718791933e-07)), 6)
    5.0
    """
    return -float(special.ndtri_exp(log_p))


@dataclass(frozen=True, kw_only=True)
class Nulls:
    """The nulls of all statistics of a run at one point, from the reference eigenbasis.

    The finite reference enters through the exposure: all chunks share the sampling error of the reference's means, of
    covariance (diag(mu) - m m') / N_eff. The events themselves add lam (diag(mu) - m m') to the score's in mode
    "shape", where the count is conditioned on, and lam diag(mu) in mode "rate", where it is Poisson: a run's score has

    - "shape":  Lambda (1 + Lambda / N_eff) (diag(mu) - m m'),
    - "rate":   Lambda (1 + Lambda / N_eff) diag(mu) - Lambda^2 / N_eff m m'.

    Attributes
    ----------
    basis:
        The reference eigenbasis.
    mode:
        "shape" or "rate".
    """

    basis: Basis
    mode: Mode

    def chunk(self, expected: float) -> ChiSquareSum:
        r"""Null of one chunk's t: :math:`\sum_j s_j (1 + \lambda_k / N_{eff}) Z_j^2`."""
        h = self.basis.shrinkage(expected)
        return self.aggregated(expected, h, h**2)

    def aggregated(
        self, expected: float, h: NDArray[np.float64], h_squared: NDArray[np.float64]
    ) -> ChiSquareSum:
        r"""Null of t_agg and of t_score, for chunks of any sizes; :math:`\langle \rangle` weights them by exposure.

        With :math:`h_{kj} = \lambda_k \mu_j / (\lambda_k \mu_j + \Lambda_k^{pen})` the weights are
        :math:`2 \langle h \rangle - \langle h^2 \rangle`, and the reference's error adds
        :math:`(2 \langle h \rangle - \langle h \rangle^2) \Lambda / N_{eff}`; for equal chunks
        :math:`w_j = s_j (1 + \Lambda / N_{eff})`. For others t_score is not a square in each component, but a form in
        two (C and the sum of the chunks' h c), with the eigenvalues :math:`a_{\pm}`:

        .. math:: a_+ + a_- = w_j, \qquad
                  a_+ a_- = -(1 + \Lambda / N_{eff}) (\langle h^2 \rangle - \langle h \rangle^2)

        The two are taken to depend on other components through m like one; the mean stays exact.

        Parameters
        ----------
        expected:
            Lambda, the sum of the chunks' expected counts.
        h, h_squared:
            The means of h_kj and of its square over the chunks, weighted with lam_k, float64 (r,).
        """
        weights = self.component_weights(expected, h, h_squared)
        split = (1 + self._exposure(expected)) * np.maximum(h_squared - h**2, 0.0)
        positive = (weights + np.sqrt(weights**2 + 4 * split)) / 2
        share = self._dependent(weights, self._exposure(expected) * (2 * h - h**2))
        whole = self._sum(positive, share)
        negative = -split / positive * (1 - share * self.basis.mean_feature**2 / self.basis.second_moment)
        total, squares = float(negative.sum()), float(negative @ negative)
        if -total < NEGLIGIBLE * whole.weights.max():
            return whole
        # They are small: equal ones of the same sum and nearly the same variance serve, and are fewer.
        equal = np.full(max(1, round(total**2 / squares)), 1.0)
        return ChiSquareSum(
            np.append(whole.weights, total / equal.size * equal), np.append(whole.degrees, equal)
        )

    def component_weights(
        self, expected: float, h: NDArray[np.float64], h_squared: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Weights of t_agg in the components Z_j, before these are told to be dependent."""
        return 2 * h - h_squared + self._exposure(expected) * (2 * h - h**2)

    def divergence(
        self, expected: float, h: NDArray[np.float64], h_squared: NDArray[np.float64]
    ) -> ChiSquareSum:
        r"""Null of t_ref: the same with the learned ratio's divergence from 1, :math:`\langle h^2 \rangle`."""
        weights = self.divergence_weights(expected, h, h_squared)
        return self._sum(weights, self._dependent(weights, self._exposure(expected) * h**2))

    def divergence_weights(
        self, expected: float, h: NDArray[np.float64], h_squared: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Weights of t_ref in the components Z_j, as `component_weights` gives those of t_agg."""
        return h_squared + self._exposure(expected) * h**2

    def total(
        self,
        expected: float,
        chunks: int,
        shrinkage: NDArray[np.float64],
        h: NDArray[np.float64],
        h_squared: NDArray[np.float64],
    ) -> ChiSquareSum:
        """Null of t_sum: `chunks` independent terms, of which one direction carries the reference's error.

        Parameters
        ----------
        expected, h, h_squared:
            As for `aggregated`.
        chunks:
            n.
        shrinkage:
            The plain sum of s_kj = 2 h_kj - h_kj^2 over the chunks, float64 (r,).
        """
        mean = shrinkage / chunks
        error = self._exposure(expected) * (2 * h - h_squared)
        shared = self._sum(mean + error, self._dependent(mean + error, error))
        if chunks == 1:
            return shared
        single = self._sum(mean, self._dependent(mean, np.zeros_like(mean)))
        return ChiSquareSum(
            np.concatenate([single.weights, shared.weights]),
            np.concatenate([(chunks - 1) * single.degrees, shared.degrees]),
        )

    def quadratic(self, s: NDArray[np.float64]) -> ChiSquareSum:
        """Null of sum_j s_j Z_j^2, where the Z_j are a score's components without the reference's error, s (r,)."""
        return self._sum(s, self._dependent(s, np.zeros_like(s)))

    def _exposure(self, expected: float) -> float:
        return expected / self.basis.effective_events

    def _dependent(self, weights: NDArray[np.float64], shared: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the share of each weight that depends on other components: all, or the reference's error alone."""
        return np.ones_like(weights) if self.mode == "shape" else shared / weights

    def _sum(self, weights: NDArray[np.float64], share: NDArray[np.float64]) -> ChiSquareSum:
        q = self.basis.mean_feature * np.sqrt(share * weights / self.basis.second_moment)
        s = np.asarray(linalg.eigvalsh(np.diag(weights) - np.outer(q, q)), dtype=np.float64)
        s = s[s > NEGLIGIBLE * s.max()]
        return ChiSquareSum(s, np.ones_like(s))

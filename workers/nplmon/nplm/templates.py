r"""Imperfect references: t_score profiled over mixtures with alternative references, the templates (ours).

A reference that is simulated with another energy scale than the data's gives alarms that are right and unwelcome. Let
templates :math:`A_1, \dots, A_M` be samples of what is tolerated, and the truth be any convex mixture

.. math:: p_\theta = (1 - \sum_m \theta_m) \, p_R + \sum_m \theta_m \, p_{A_m}, \qquad
          \theta_m \ge 0, \quad \sum_m \theta_m \le 1.

Expectations are linear in a mixture, so that in score space, without an approximation, :math:`E_\theta[C] = \Lambda
\sum_m \theta_m \delta_m`, :math:`\delta_m = E_{A_m}[\psi] - E_R[\psi]`. The profiled statistic is

.. math:: t_{profiled} = \min_\theta \, t_{score}(C - \Lambda \sum_m \theta_m \delta_m) / \kappa_\theta

and no larger than its value at the truth, which has the null of t_score at most:

- the scores' covariance is the mixture's, no longer the reference's: :math:`\kappa_\theta = 1 + \sum_m \theta_m
  (\kappa_m - 1)` with the largest ratio :math:`\kappa_m \ge 1`, template to reference, of the null's mean, its
  deviation and its largest weight, in mode "shape" with moments about the reference's mean: of a mixture none of the
  three is then larger than the mean of its parts';
- the templates are samples too: with :math:`\hat\delta` the error of the mixture's mean is a convex combination of the
  samples' errors, and no larger than that of the smallest sample, which stands for N_eff. This holds as well where
  templates are made from the reference's own events.

So p is too large rather than too small, after every chunk, and thresholds by run length for t_score hold for it as
well. numpy and scipy only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import safetensors.numpy
from scipy import linalg, optimize

from nplmon.nplm.null import ChiSquareSum, Nulls
from nplmon.nplm.statistic import TestStatistic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.aggregation import Aggregation
    from nplmon.nplm.basis import Basis
    from nplmon.nplm.null import Mode
    from nplmon.nplm.reference import Reference

BLOCK: Final = 20_000
"""Template events whose features are in memory at once."""


@dataclass(frozen=True, kw_only=True)
class Template:
    """An alternative reference, in the eigenbasis of the reference.

    Attributes
    ----------
    mean:
        The weighted mean of psi over its events, float64 (r,).
    second_moment:
        That of psi psi', float64 (r, r).
    effective_events:
        N_eff of the sample.

    Examples
    --------
    >>> from nplmon.nplm.preparation import prepare
    >>> from nplmon.nplm.reference import Reference
    >>> events = np.random.default_rng(0).exponential(size=(5_000, 1))
    >>> basis = prepare(events, centres=50, sigma=0.7)
    >>> same = Template.of(basis, Reference(events))
    >>> bool(np.allclose(same.mean, basis.mean_feature, atol=1e-6)), same.effective_events
    (True, 5000.0)
    >>> bool((Template.from_bytes(same.to_bytes()).second_moment == same.second_moment).all())
    True
    """

    mean: NDArray[np.float64]
    second_moment: NDArray[np.float64]
    effective_events: float

    @classmethod
    def of(cls, basis: Basis, sample: Reference) -> Template:
        """Average over a sample in feature units, in blocks."""
        v = sample.v / sample.sum_weights
        mean, second = np.zeros(basis.size), np.zeros((basis.size, basis.size))
        for first in range(0, len(v), BLOCK):
            rows = slice(first, first + BLOCK)
            psi = basis.features(sample.events[rows]).astype(np.float64)
            mean += v[rows] @ psi
            second += (psi * v[rows, None]).T @ psi
        return cls(mean=mean, second_moment=second, effective_events=sample.effective_events)

    def to_bytes(self) -> bytes:
        """Serialise with safetensors."""
        return safetensors.numpy.save(
            {
                "mean": self.mean,
                "second_moment": self.second_moment,
                "effective_events": np.array(self.effective_events),
            }
        )

    @classmethod
    def from_bytes(cls, body: bytes) -> Template:
        """Read what `to_bytes` wrote.

        Raises
        ------
        safetensors.SafetensorError
            If the bytes are not a safetensors file.
        """
        arrays = safetensors.numpy.load(body)
        effective_events = float(arrays.pop("effective_events"))
        return cls(
            mean=arrays["mean"], second_moment=arrays["second_moment"], effective_events=effective_events
        )


@dataclass(frozen=True, kw_only=True)
class RunScore:
    """What t_score is made of after a run's chunks.

    Attributes
    ----------
    score:
        C, float64 (r,).
    coefficients:
        abar, float64 (r,).
    expected, h, h_squared:
        As for `Nulls.aggregated`.
    """

    score: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    expected: float
    h: NDArray[np.float64]
    h_squared: NDArray[np.float64]

    @classmethod
    def of(cls, run: Aggregation) -> RunScore:
        """Take them from a running state with at least one chunk."""
        h, h_squared = run.shrinkage_means
        return cls(
            score=run.score,
            coefficients=run.mean_coefficients,
            expected=run.expected,
            h=h,
            h_squared=h_squared,
        )

    @classmethod
    def of_equal_chunks(
        cls, basis: Basis, score: NDArray[np.float64], *, size: float, chunks: int
    ) -> RunScore:
        """Take them from the sum of the scores of chunks of one expected count, where there is no running state."""
        mu, total = basis.second_moment, chunks * size
        h = basis.shrinkage(size)
        return cls(score=score, coefficients=h * score / mu / total, expected=total, h=h, h_squared=h**2)

    def t_score(self, basis: Basis) -> float:
        """Give t_score itself."""
        return self.moved(basis, np.zeros(basis.size))

    def moved(self, basis: Basis, shift: NDArray[np.float64]) -> float:
        r"""Give t_score of the scores less :math:`\lambda_k \delta` in each chunk, for a shift delta (r,).

        abar moves by :math:`\langle h \rangle \delta / \mu`, for chunks of any sizes.
        """
        mu = basis.second_moment
        mean = self.coefficients - self.h * shift / mu
        return float(2 * (self.score - self.expected * shift) @ mean - self.expected * mu @ mean**2)


@dataclass(frozen=True, kw_only=True)
class Profiled:
    """The profiled statistic, and the mixture that explains the data best.

    Attributes
    ----------
    statistic:
        t_profiled with its null.
    fractions:
        theta of the smallest t_score, float64 (M,); what is left to 1 is the reference's. That of t_profiled itself
        leans towards templates with a large kappa, which says nothing about the data.
    """

    statistic: TestStatistic
    fractions: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Tolerance:
    """The templates of a reference.

    Attributes
    ----------
    basis:
        The reference's eigenbasis.
    mode:
        "shape" or "rate". Templates change the shape: in mode "rate" the expected count stays.
    templates:
        At least one.

    Examples
    --------
    >>> from nplmon.nplm import KernelModel, Reference
    >>> from nplmon.nplm.aggregation import Aggregation
    >>> rng = np.random.default_rng(0)
    >>> model = KernelModel.prepare(Reference(rng.exponential(size=(20_000, 1))), centres=50, sigma=0.7, lambda_=1e-4)
    >>> up = Template.of(model.basis, Reference(1.1 * rng.exponential(size=(20_000, 1))))
    >>> run = Aggregation(model.basis, model.features, None, "shape", event_cap=0)
    >>> for _ in range(4):  # the scale is up by about half of the template's
    ...     events = 1.05 * rng.exponential(size=(1_000, 1))
    ...     fit = model.fit(events, 1_000.0)
    ...     run.apply(fit.coefficients, fit.score, fit.statistic, 1_000.0, events)
    >>> found = Tolerance(basis=model.basis, mode="shape", templates=[up]).profiled(RunScore.of(run), chunks=4)
    >>> bool(found.statistic.value < run.statistics()["t_score"].value), bool(0.2 < found.fractions[0] < 0.9)
    (True, True)
    """

    basis: Basis
    mode: Mode
    templates: Sequence[Template]

    def __post_init__(self) -> None:
        if not self.templates:
            raise ValueError("no templates: give at least one alternative reference")
        if any(one.mean.size != self.basis.size for one in self.templates):
            raise ValueError(
                f"templates of {[one.mean.size for one in self.templates]} components for an eigenbasis of "
                f"{self.basis.size}: make them with this eigenbasis"
            )

    @property
    def effective_events(self) -> float:
        """N_eff of the smallest sample, the reference among them."""
        return min(self.basis.effective_events, *(one.effective_events for one in self.templates))

    def profiled(self, run: RunScore, *, chunks: int) -> Profiled:
        """Minimise t_score over the mixtures.

        Parameters
        ----------
        run:
            The run's scores.
        chunks:
            Their number n.
        """
        shifts = np.stack([one.mean - self.basis.mean_feature for one in self.templates])
        more = self.widening(run) - 1
        fractions = self._nearest(run, shifts)
        theta = self._least(run, shifts, more, fractions)
        value = run.moved(self.basis, theta @ shifts) / (1 + float(theta @ more))
        return Profiled(
            statistic=TestStatistic(value=value, null=self.null(run), chunks=chunks), fractions=fractions
        )

    def null(self, run: RunScore) -> ChiSquareSum:
        """Give the null of t_score with the smallest sample's N_eff."""
        smallest = replace(self.basis, effective_events=self.effective_events)
        return Nulls(basis=smallest, mode=self.mode).aggregated(run.expected, run.h, run.h_squared)

    def widening(self, run: RunScore) -> NDArray[np.float64]:
        """Give kappa of each template, at least 1, float64 (M,)."""
        root = np.sqrt((2 * run.h - run.h_squared) / self.basis.second_moment)
        reference = self._size(root, np.diag(self.basis.second_moment), self.basis.mean_feature)
        sizes = [self._size(root, one.second_moment, one.mean) / reference for one in self.templates]
        return np.maximum(1.0, np.max(sizes, axis=1))

    def _size(
        self, root: NDArray[np.float64], second: NDArray[np.float64], mean: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Mean, deviation and largest weight of t for events of these moments, but for common factors."""
        covariance = second
        if self.mode == "shape":
            cross = np.outer(mean, self.basis.mean_feature)
            covariance = second - cross - cross.T + np.outer(self.basis.mean_feature, self.basis.mean_feature)
        form = root[:, None] * covariance * root
        last = len(form) - 1
        largest = linalg.eigvalsh(form, subset_by_index=[last, last])[0]
        return np.array([np.trace(form), np.sqrt(np.sum(form**2)), largest])

    def _least(
        self,
        run: RunScore,
        shifts: NDArray[np.float64],
        more: NDArray[np.float64],
        theta: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Give the theta of t_profiled, (M,), beginning at that of the smallest t_score.

        The ratio of a convex form to a positive linear one has one minimum. What an iteration leaves of it is far
        below what is known of kappa.
        """
        if not more.any():
            return theta
        origin = run.t_score(self.basis)
        d, g = self._form(run)
        linear, form = shifts @ g, (shifts * d) @ shifts.T
        # Of order 1 at the start, for the minimiser's tolerance.
        unit = max(abs(origin), 1.0)

        def ratio(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            bend, kappa = form @ theta, 1 + float(more @ theta)
            value = float(origin - 2 * linear @ theta + theta @ bend) / kappa
            return value / unit, (2 * (bend - linear) - value * more) / kappa / unit

        found = optimize.minimize(
            ratio,
            theta,
            jac=True,
            method="SLSQP",
            bounds=[(0.0, 1.0)] * theta.size,
            constraints={"type": "ineq", "fun": lambda x: 1 - x.sum(), "jac": lambda x: -np.ones_like(x)},
            options={"ftol": 1e-12, "maxiter": 200},
        )
        other = np.clip(found.x, 0.0, 1.0)
        other /= max(1.0, float(other.sum()))
        return other if ratio(other)[0] < ratio(theta)[0] else theta

    def _form(self, run: RunScore) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        r"""Give D and g of t_score as a form in delta: :math:`t - 2 g \cdot \delta + \delta D \delta`."""
        mu = self.basis.second_moment
        d = run.expected * (2 * run.h - run.h**2) / mu
        return d, run.expected * (1 - run.h) * run.coefficients + run.h * run.score / mu

    def _nearest(self, run: RunScore, shifts: NDArray[np.float64]) -> NDArray[np.float64]:
        r"""Give the theta of the smallest t_score, (M,).

        t_score is a quadratic form in delta, :math:`t - 2 g \cdot \delta + \delta D \delta` with diagonal D > 0, so
        that theta is where the convex hull of the points :math:`D^{1/2} \delta_m - D^{-1/2} g`, :math:`\delta_0 = 0`,
        comes nearest to 0. That is a problem of non-negative least squares (Lawson & Hanson 1974, chapter 23): for the
        matrix P of the points the u >= 0 that minimises :math:`|P u|^2 + (1 \cdot u - 1)^2` is theta, times a number.
        """
        d, g = self._form(run)
        points = np.sqrt(d)[:, None] * np.column_stack([np.zeros(d.size), shifts.T])
        points -= (g / np.sqrt(d))[:, None]
        nearest = float(np.sqrt((points**2).sum(axis=0).min()))
        points /= nearest or 1.0
        # The triangle has the same lengths and angles, and M + 1 rows in place of r.
        triangle = np.asarray(linalg.qr(points, mode="r")[0])[: points.shape[1]]
        wanted = np.zeros(len(triangle) + 1)
        wanted[-1] = 1.0
        u, _ = optimize.nnls(np.vstack([triangle, np.ones(points.shape[1])]), wanted)
        return np.asarray(u[1:] / u.sum())

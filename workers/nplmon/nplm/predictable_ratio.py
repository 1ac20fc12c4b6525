r"""The predictable density ratio: learned from past chunks only, so that the next chunk is an independent test of it.

Before chunk k, with the models f_j of the chunks before it and :math:`\lambda_0` the expected count of the first of
them (the mixture of the past as in E-C2ST, arXiv:2210.13027; its weights are ours):

.. math:: \tilde r_k(x) = \frac{\lambda_0 + \sum_{j<k} w_j e^{f_j(x)}}{\lambda_0 + \sum_{j<k} w_j},
   \qquad w_j = \lambda_j \, e^{-(k-1-j)/\tau}

with all of the past weighted alike where the memory tau is infinite. The constant term keeps the ratio away from 0:
it can never be below :math:`\lambda_0 / (\lambda_0 + \sum w_j)`, whatever the data did. Its mean over the reference is
the same average of the means of the :math:`e^{f_j}`, one number for each model.

numpy only.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

LARGEST_COEFFICIENT: Final = 1e30
"""|f| is at most the norm of its coefficients: float32 can hold it."""


class PredictableRatio:
    """Mixtures of the models of past chunks in one eigenbasis, one for each memory.

    The models are kept, up to a cap; there, neighbours are merged in pairs, by the weighted mean of their
    coefficients: the geometric mean of their ratios, equal to the mixture to first order in f. The work for a chunk
    is then bounded however many there were. A merged ratio is as valid as any other: it is positive, a function of
    the past alone, and its mean over the reference is computed anew.

    Parameters
    ----------
    reference_features:
        psi at the reference events, float32 (N_R, r).
    weights:
        v, (N_R,), or None for 1.
    memories:
        tau of each mixture, in chunks; the first is that of the merging.
    model_cap:
        Models kept, at least 2.

    Raises
    ------
    ValueError
        If a memory or the cap is too small.

    Examples
    --------
    >>> psi = np.array([[-1.0], [1.0]], dtype=np.float32)
    >>> ratio = PredictableRatio(psi, None, memories=[np.inf])
    >>> ratio.learn(np.array([np.log(3.0)]), 10.0)
    >>> np.exp(ratio.log_ratio(psi)).round(4).tolist(), np.exp(ratio.log_mean).round(4).tolist()
    ([[0.6667, 2.0]], [1.3333])
    """

    def __init__(
        self,
        reference_features: NDArray[np.float32],
        weights: NDArray[np.floating] | None,
        *,
        memories: Sequence[float],
        model_cap: int = 128,
    ) -> None:
        if not all(memory > 0 for memory in memories) or model_cap < 2:
            raise ValueError(
                f"memories of {memories} chunks and {model_cap} models: give more than 0 and at least 2"
            )
        self.model_cap = model_cap
        self._forgotten = 1 / np.array(memories)
        v = np.ones(len(reference_features)) if weights is None else np.asarray(weights, dtype=np.float64)
        # At events of weight 0 a model may be anywhere: they could hide all others in a sum of exponentials.
        counted = v > 0
        self._features = reference_features if counted.all() else reference_features[counted]
        self._share = v[counted] / v.sum()
        # The first row is the constant term: it is neither merged nor forgotten.
        self._models = np.zeros((1, reference_features.shape[1]))
        self._log_weights = np.zeros((1, len(memories)))
        self._log_means = np.zeros(1)

    @property
    def models(self) -> int:
        """Number of models kept, merged ones counted once."""
        return len(self._models) - 1

    @property
    def log_mean(self) -> NDArray[np.float64]:
        """Log of the mean of rtil over the reference, float64 (memories,)."""
        sums = np.logaddexp.reduce(self._log_weights + self._log_means[:, None])
        return np.asarray(sums - np.logaddexp.reduce(self._log_weights))

    def log_ratio(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Evaluate log rtil where psi is `features`, (N, r); float64 (memories, N)."""
        return self.log_mixture(self._models @ features.astype(np.float64).T)

    @property
    def coefficients(self) -> NDArray[np.float64]:
        """The models kept, float64 (K, r); the first is the constant term, with none."""
        return self._models

    def log_mixture(self, f: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give log rtil where the models of `coefficients` have the values f, (K, N); float64 (memories, N)."""
        shares = self._log_weights - np.logaddexp.reduce(self._log_weights)
        return np.stack([_log_sum(f + share[:, None]) for share in shares.T])

    def learn(self, coefficients: NDArray[np.float64], expected: float) -> None:
        """Add the model of a chunk.

        Parameters
        ----------
        coefficients:
            a of f = sum_j a_j psi_j, float64 (r,).
        expected:
            lam of the chunk.

        Raises
        ------
        ValueError
            If the coefficients are not finite or too large; nothing is then learned.
        """
        largest = float(np.abs(coefficients).max())
        if not largest < LARGEST_COEFFICIENT:
            raise ValueError(
                f"a coefficient of {largest}: its ratio overflows; test the chunk without learning from it"
            )
        log_weight = math.log(expected)
        if not self.models:
            self._log_weights[0] = log_weight
        self._log_weights[1:] -= self._forgotten
        self._models = np.vstack([self._models, coefficients])
        self._log_means = np.append(self._log_means, self._log_mean_of(coefficients))
        self._log_weights = np.vstack([self._log_weights, np.full(len(self._forgotten), log_weight)])
        if self.models > self.model_cap:
            self._merge()

    def _log_mean_of(self, model: NDArray[np.float64]) -> float:
        """Log of the mean of e^f over the reference."""
        f = (self._features @ model.astype(np.float32)).astype(np.float64)
        top = float(f.max())
        return top + math.log(self._share @ np.exp(f - top))

    def _merge(self) -> None:
        """Merge neighbours: what is older has been merged more often."""
        pairs = [slice(first, first + 2) for first in range(1, len(self._models), 2)]
        log_weights = np.array([np.logaddexp.reduce(self._log_weights[pair]) for pair in pairs])
        models = [
            np.exp(self._log_weights[pair, 0] - total) @ self._models[pair]
            for pair, total in zip(pairs, log_weights[:, 0], strict=True)
        ]
        self._models = np.vstack([self._models[:1], *models])
        self._log_weights = np.vstack([self._log_weights[:1], log_weights])
        self._log_means = np.array([0.0, *(self._log_mean_of(model) for model in models)])

    def arrays(self) -> dict[str, NDArray[np.float64]]:
        """Give all that was learned."""
        return {
            "models": self._models,
            "log_weights": self._log_weights,
            "log_means": self._log_means,
        }

    def restore(self, arrays: Mapping[str, NDArray[np.float64]]) -> None:
        """Continue from what `arrays` gave, for the same reference, eigenbasis and memories."""
        self._models, self._log_weights = arrays["models"], arrays["log_weights"]
        self._log_means = arrays["log_means"]


def _log_sum(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the sum of exponentials over the first axis; faster than `logaddexp` by an order of magnitude."""
    top = terms.max(axis=0)
    return np.asarray(top + np.log(np.exp(terms - top).sum(axis=0)))

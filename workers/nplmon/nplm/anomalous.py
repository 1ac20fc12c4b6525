r"""The most anomalous events of a run, in bounded memory: those where the models see most more data than reference.

An event is as anomalous as the averaged log ratio is large there,

.. math:: \bar f_n(x) = \bar a_n \cdot \psi(x), \qquad \bar a_n = \Lambda_n^{-1} \sum_k \lambda_k a_k ,

the mean of the models' coefficients over the chunks (ours). It is at most :math:`\log \bar r(x)`, since the mean of
logarithms is below the logarithm of a mean, equal where the models agree, and it takes no more than one coefficient
vector whatever n is. A bounded number of candidates is kept with their features and judged anew after each chunk: what
looked anomalous by the noise of early models falls behind. numpy only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import safetensors.numpy

from nplmon.nplm.basis import gaussian_kernel, standardise
from nplmon.nplm.errors import StateError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis

CANDIDATES: Final = 100
"""Events kept, of which the first are told."""
SCREENED: Final = 1_000
"""Events of one chunk, evenly spaced, that are judged where their features are not at hand."""


class Anomalous:
    """The candidates of one run in one eigenbasis.

    Parameters
    ----------
    basis:
        The reference eigenbasis.

    Examples
    --------
    >>> from nplmon.nplm.preparation import prepare
    >>> rng = np.random.default_rng(0)
    >>> basis = prepare(rng.normal(size=(2_000, 1)), centres=50)
    >>> found = Anomalous(basis)
    >>> events = rng.normal(size=(100, 1)).astype(np.float32)
    >>> found.add(basis.features(events).sum(axis=0), 100.0, events, sequence=1)
    >>> bool(found.rows[0] == np.argmax(basis.features(events) @ found.coefficients))
    True
    """

    def __init__(self, basis: Basis) -> None:
        self._basis = basis
        self._expected = 0.0
        self._sum = np.zeros(basis.size)
        self.events = np.empty((0, basis.mean.size), dtype=np.float32)
        """Of the candidates, the most anomalous first, float32 (C, d)."""
        self.sequences = np.empty(0, dtype=np.int64)
        """The number of each one's chunk."""
        self.rows = np.empty(0, dtype=np.int64)
        """Its place in the chunk, from 0."""
        self._features = np.empty((0, basis.size), dtype=np.float32)

    @property
    def coefficients(self) -> NDArray[np.float64]:
        """The mean of the models, float64 (r,)."""
        return self._sum / self._expected

    @property
    def log_ratios(self) -> NDArray[np.float64]:
        """The averaged log ratio at each candidate, float64 (C,), decreasing."""
        return self._judged(self._features)

    def add(
        self,
        coefficients: NDArray[np.floating],
        expected: float,
        events: NDArray[np.float32],
        *,
        sequence: int,
        features: NDArray[np.float32] | None = None,
    ) -> None:
        """Add one chunk and judge all candidates anew.

        Parameters
        ----------
        coefficients:
            a_k of its model, (r,).
        expected:
            lam_k.
        events:
            Its events (N_k, d), in feature units.
        sequence:
            Its number.
        features:
            psi at its events, float32 (N_k, r). Without them `SCREENED` events are judged.
        """
        self._sum += expected * coefficients.astype(np.float64)
        self._expected += expected
        rows = np.arange(len(events))
        if features is None:
            rows = rows[:: -(-len(events) // SCREENED)]
            rows = rows[_largest(self._screened(events[rows]))]
            features = self._basis.features(events[rows])
        else:
            rows = _largest(features @ self.coefficients.astype(np.float32))
            features = features[rows]
        everything = np.concatenate([self._features, features])
        kept = _largest(self._judged(everything))
        self._features = everything[kept]
        self.events = np.concatenate([self.events, events[rows]])[kept]
        self.rows = np.concatenate([self.rows, rows])[kept]
        self.sequences = np.concatenate([self.sequences, np.full(len(rows), sequence)])[kept]

    def _judged(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        # Row by row the same whatever other rows there are, as a product of matrices is not.
        return np.asarray((features * self.coefficients.astype(np.float32)).sum(axis=1, dtype=np.float64))

    def _screened(self, events: NDArray[np.float32]) -> NDArray[np.float64]:
        """Evaluate the averaged log ratio without the features: one product with the kernel."""
        basis = self._basis
        points = standardise(events, basis.mean, basis.scale)
        kernel = gaussian_kernel(points, basis.centres, basis.sigma)
        return np.asarray(kernel @ (basis.projection @ self.coefficients))

    def to_bytes(self) -> bytes:
        """Serialise all that the next judgement depends on."""
        return safetensors.numpy.save(
            {
                "expected": np.array([self._expected]),
                "sum": self._sum,
                "events": np.ascontiguousarray(self.events),
                "sequences": self.sequences,
                "rows": self.rows,
                "features": self._features,
            }
        )

    def restore(self, body: bytes) -> None:
        """Continue from what `to_bytes` gave.

        Raises
        ------
        StateError
            If the bytes are those of something else.
        """
        try:
            saved = safetensors.numpy.load(body)
            if saved["sum"].shape != self._sum.shape or saved["events"].shape[1:] != self.events.shape[1:]:
                raise StateError("the candidates belong to another eigenbasis: reset the run")
            self._expected, self._sum = float(saved["expected"][0]), saved["sum"]
            self.events, self.sequences, self.rows = saved["events"], saved["sequences"], saved["rows"]
            self._features = saved["features"]
        except (safetensors.SafetensorError, KeyError) as error:
            raise StateError(f"{len(body)} bytes are no candidates ({error}): reset the run") from error


def _largest(values: NDArray[np.floating]) -> NDArray[np.intp]:
    """Give the places of the largest values, in decreasing order; of equal ones the first come first."""
    return np.argsort(-values, kind="stable")[:CANDIDATES]

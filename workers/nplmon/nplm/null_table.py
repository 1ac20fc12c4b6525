r"""Tail probabilities of many toys at once: the nulls of runs of nearly equal chunks, tabulated.

A toy's chunks have Poisson counts of one mean. To second order in the spread of their sizes its nulls are those of
chunks that all have the mean size :math:`\lambda = \Lambda / n` (ours). In mode "shape" the nulls of t_agg, t_score
and t_ref after n such chunks are that of one, :math:`1 + \Lambda / N_{eff}` times, so that tables over the size are
enough; that of t_sum, and all in mode "rate", where the size is constant, are tabulated for some numbers of chunks, in
units of the deviation, and interpolated in log n. Values beyond a table are computed one by one. numpy and scipy only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import interpolate

from nplmon.nplm.null import ChiSquareSum, Nulls

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis
    from nplmon.nplm.null import Mode

NODES: Final = 24
REACH: Final = 12.0
"""Deviations above the mean that are tabulated, and below it where there are values."""
SPREAD: Final = 6.0
"""Deviations of a Poisson count around its mean between which sizes are tabulated."""
LENGTHS: Final = 1.4
"""Ratio of the numbers of chunks that are tabulated."""


class NullTable:
    """Log tail probabilities of the statistics of runs whose chunks have Poisson counts of one mean.

    Parameters
    ----------
    basis:
        The reference eigenbasis.
    mode:
        "shape" or "rate".
    events:
        The mean count of a chunk.

    Examples
    --------
    >>> from nplmon.nplm.preparation import prepare
    >>> basis = prepare(np.random.default_rng(0).exponential(size=(5_000, 1)), centres=50, sigma=0.7, lambda_=1e-4)
    >>> table = NullTable(basis, "rate", 400.0)
    >>> found = table.log_p("t_chunk", np.array([15.0]), np.array([1.0]), np.array([400.0]))
    >>> round(float(found[0]), 3) == round(Nulls(basis=basis, mode="rate").chunk(400.0).log_tail(15.0), 3)
    True
    """

    def __init__(self, basis: Basis, mode: Mode, events: float) -> None:
        self._basis = basis
        self._nulls = Nulls(basis=basis, mode=mode)
        self._events = events
        near = min(0.9, SPREAD / events**0.5) if mode == "shape" else 0.0
        self._sizes = events * np.array([1 - near, 1.0, 1 + near]) if near else np.array([events])
        self._tables: dict[bool, _Table] = {}
        self._courses: dict[tuple[str, int], interpolate.CubicSpline] = {}

    def log_p(
        self,
        kind: str,
        values: NDArray[np.float64],
        chunks: NDArray[np.float64],
        sizes: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Give log P(T >= t).

        Parameters
        ----------
        kind:
            "t_chunk", "t_agg", "t_ref", "t_score" or "t_sum".
        values:
            t, an excess taken off, of any shape; NaN stays NaN.
        chunks:
            n of each value; broadcast.
        sizes:
            Lambda / n of each value, for t_chunk lam; broadcast.
        """
        values, chunks, sizes = np.broadcast_arrays(values, chunks, sizes)
        result = np.full(values.shape, np.nan)
        there = np.isfinite(values)
        t, n, size = values[there], chunks[there], sizes[there]
        if kind == "t_chunk":
            n = np.ones_like(n)
        if kind == "t_sum" or self._nulls.mode == "rate":
            result[there] = self._course(kind, t, n, size)
        else:
            scaled = t / (1 + n * size / self._basis.effective_events)
            result[there] = self._table(squared=kind == "t_ref").at(scaled, size)
        return result

    def null(self, kind: str, chunks: int, size: float) -> ChiSquareSum:
        """Give the null after a number of chunks of one size."""
        h = self._basis.shrinkage(size)
        if kind == "t_sum":
            return self._nulls.total(chunks * size, chunks, chunks * (2 * h - h**2), h, h**2)
        if kind == "t_ref":
            return self._nulls.divergence(chunks * size, h, h**2)
        return self._nulls.aggregated(chunks * size, h, h**2)

    def _table(self, *, squared: bool) -> _Table:
        if squared not in self._tables:

            def one(size: float) -> ChiSquareSum:
                """Null of a chunk of that size without the reference's error."""
                h = self._basis.shrinkage(size)
                return self._nulls.quadratic(h**2 if squared else 2 * h - h**2)

            self._tables[squared] = _Table(self._sizes, [one(size) for size in self._sizes.tolist()], one)
        return self._tables[squared]

    def _course(
        self, kind: str, t: NDArray[np.float64], n: NDArray[np.float64], size: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Interpolate between numbers of chunks, in deviations from the mean."""
        mean, deviation = self._moments(kind, n, size)
        z = (t - mean) / deviation
        inside = np.clip(z, -REACH, REACH)
        result = np.empty(t.shape)
        for low, high in _neighbours(int(n.max(initial=1.0))):
            here = (n >= low) & (n < high)
            if not here.any():
                continue
            result[here] = self._standard(kind, low)(inside[here])
            if high > low + 1:
                share = np.log(n[here] / low) / np.log(high / low)
                above = self._standard(kind, high)(inside[here])
                result[here] = (1 - share) * result[here] + share * above
        for k in np.flatnonzero(z > REACH).tolist():
            result[k] = self.null(kind, int(n[k]), float(size[k])).log_tail(float(t[k]))
        return np.minimum(result, 0.0)

    def _moments(
        self, kind: str, n: NDArray[np.float64], size: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and deviation after n chunks, from traces."""
        e = n * size / self._basis.effective_events
        again = n - 1 if kind == "t_sum" else np.zeros_like(n)
        if self._nulls.mode == "shape":
            mean, variance = self._table(squared=False).moments(size)
            return mean * (again + 1 + e), np.sqrt(variance * (again + (1 + e) ** 2))
        h = self._basis.shrinkage(self._events)
        s = h**2 if kind == "t_ref" else 2 * h - h**2
        q = self._basis.mean_feature**2 / self._basis.second_moment
        total, squares, along, turned = (float(x.sum()) for x in (s, s**2, s * q, s**2 * q))
        mean = (again + 1 + e) * total - e * along
        half = (again + (1 + e) ** 2) * squares - 2 * e * (1 + e) * turned + (e * along) ** 2
        return mean, np.sqrt(2 * half)

    def _standard(self, kind: str, n: int) -> interpolate.CubicSpline:
        if (kind, n) not in self._courses:
            null = self.null(kind, n, self._events)
            z = np.linspace(max(-REACH, -null.mean / null.deviation), REACH, 3 * NODES)
            found = [null.log_tail(null.mean + x * null.deviation) for x in z.tolist()]
            if z[0] > -REACH:  # where there are no values, but what rounding leaves of one
                z, found = np.insert(z, 0, -REACH), [0.0, *found]
            self._courses[kind, n] = interpolate.CubicSpline(z, found)
        return self._courses[kind, n]


class _Table:
    """Log tails over t / mean at one or three sizes, between which they are interpolated by a parabola."""

    def __init__(self, sizes: NDArray[np.float64], nulls: list[ChiSquareSum], exact: _Exact) -> None:
        self._sizes, self._exact = sizes, exact
        self._mean = [null.mean for null in nulls]
        self._variance = [null.deviation**2 for null in nulls]
        self._end = max(1 + REACH * null.deviation / null.mean for null in nulls)
        u = self._end * np.linspace(0, 1, NODES) ** 1.5
        self._log_p = [
            interpolate.CubicSpline(u, [null.log_tail(x * null.mean) for x in u.tolist()]) for null in nulls
        ]

    def moments(self, size: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and variance."""
        shares = self._shares(size)
        return _mixed(shares, self._mean), _mixed(shares, self._variance)

    def at(self, t: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.float64]:
        shares = self._shares(size)
        u = t / _mixed(shares, self._mean)
        inside = np.clip(u, 0.0, self._end)
        result = np.minimum(_mixed(shares, [table(inside) for table in self._log_p]), 0.0)
        for k in np.flatnonzero(u > self._end).tolist():
            result[k] = self._exact(float(size[k])).log_tail(float(t[k]))
        return result

    def _shares(self, size: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Lagrange's polynomials of the sizes."""
        if self._sizes.size == 1:
            return [np.ones(size.shape)]
        x = (size - self._sizes[1]) / (self._sizes[2] - self._sizes[1])
        return [x * (x - 1) / 2, 1 - x**2, x * (x + 1) / 2]


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    _Exact = Callable[[float], ChiSquareSum]


def _mixed(
    shares: list[NDArray[np.float64]], values: Iterable[float | NDArray[np.float64]]
) -> NDArray[np.float64]:
    return np.sum([share * value for share, value in zip(shares, values, strict=True)], axis=0)


def _neighbours(most: int) -> Iterator[tuple[int, int]]:
    """Give the numbers of chunks that are tabulated, in pairs, up to one above `most`."""
    low = 1
    while low <= most:
        high = max(low + 1, int(low * LENGTHS))
        yield low, high
        low = high

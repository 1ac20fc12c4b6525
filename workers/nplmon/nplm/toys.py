r"""Toys: whole runs under H0, replayed with all that a monitor does to its data.

Counts are Poisson, chunks are drawn from real events without repetition within a toy, every chunk is fitted, every
width is aggregated, and each statistic gets its closed-form p-value as the monitor computes it. The fits of many toys
run side by side. What is evaluated, after chunks 1..n, with :math:`r_n = \sum_k \lambda_k e^{f_k} / \Lambda_n` and
:math:`c_n` its mean over the reference, are the formulas of `nplmon.nplm.aggregation`, for all n at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from nplmon.nplm.basis import kernel_blocks, standardise
from nplmon.nplm.errors import FitError
from nplmon.nplm.null_table import NullTable
from nplmon.nplm.reference import Reference
from nplmon.nplm.statistic import excess
from nplmon.nplm.toy_plan import KINDS, Source, ToyPlan, Trajectories

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis
    from nplmon.nplm.model import KernelFamily, KernelFitted
    from nplmon.nplm.null import Mode

__all__ = ["KINDS", "Source", "ToyPlan", "Trajectories", "replay"]

TOGETHER: Final = 64
"""Chunks fitted side by side."""
BLOCK: Final = 2_000_000
"""Events x chunks at a time."""


def replay(
    models: Sequence[KernelFamily],
    pool: NDArray[np.floating],
    plan: ToyPlan,
    first: int,
    count: int,
    *,
    prepare: Callable[[Reference, int], Sequence[KernelFamily]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Trajectories:
    """Replay toys number `first` to `first + count - 1`.

    A toy depends on its number alone: any batches give the same numbers, to what is left of the fits (3e-4 of t).

    Parameters
    ----------
    models:
        Kernel models of the monitor's reference, one for each width.
    pool:
        Events of H0 without weights that are not in the reference, in feature units, (P, d).
    plan:
        What to replay.
    first, count:
        The toys.
    prepare:
        Prepares the models of all widths for another reference, with a seed for the centres: for "disjoint".
    progress:
        Called with the numbers of toys done and to do.

    Raises
    ------
    ValueError
        If the models have different references, the pool is too small for one toy or of other features, or "disjoint"
        is asked for without `prepare` or with a weighted reference.
    FitError
        If a fit of a toy does not converge, with the toy's number.

    Examples
    --------
    >>> from nplmon.nplm import KernelModel
    >>> rng = np.random.default_rng(0)
    >>> model = KernelModel.prepare(Reference(rng.exponential(size=(10_000, 1))), centres=50, sigma=0.7, lambda_=1e-4)
    >>> plan = ToyPlan(mode="shape", source="fixed-reference", chunks=3, events=300.0, seed=1)
    >>> toys = replay([model], rng.exponential(size=(20_000, 1)), plan, first=0, count=4)
    >>> toys.log_p["t_agg"].shape, toys.numbers.tolist()
    ((4, 3, 1), [0, 1, 2, 3])
    """
    reference = _checked(models, pool, plan, first, count)
    draws = _Draws(reference.events, pool, plan)
    results = _Results(plan, first, count, len(models))
    if plan.source == "disjoint":
        if prepare is None:
            raise ValueError("disjoint toys need their references prepared: give `prepare`")
        if reference.weights is not None:
            raise ValueError(
                "disjoint toys of a weighted reference: its events and the pool's are not exchangeable; use "
                "fixed-reference"
            )
        for number in range(first, first + count):
            own, toy = draws.disjoint(number)
            for width, model in enumerate(prepare(own, number)):
                results.add(number, width, model, [toy], NullTable(model.basis, plan.mode, plan.events))
            if progress is not None:
                progress(number + 1 - first, count)
    else:
        tables = [NullTable(model.basis, plan.mode, plan.events) for model in models]
        step = max(1, TOGETHER // plan.chunks)
        for begin in range(first, first + count, step):
            end = min(begin + step, first + count)
            toys = [draws.fixed(number) for number in range(begin, end)]
            for width, (model, table) in enumerate(zip(models, tables, strict=True)):
                results.add(begin, width, model, toys, table)
            if progress is not None:
                progress(end - first, count)
    return results.trajectories()


def _checked(
    models: Sequence[KernelFamily], pool: NDArray[np.floating], plan: ToyPlan, first: int, count: int
) -> Reference:
    if not models:
        raise ValueError("no models: give one for each width")
    reference = models[0].reference
    if any(model.reference is not reference for model in models):
        raise ValueError("the models have different references: prepare all widths with the same one")
    if first < 0 or count < 1:
        raise ValueError(f"toys from number {first}, {count} of them: count from 0, and ask for at least one")
    if pool.ndim != 2 or pool.shape[1] != reference.events.shape[1]:
        raise ValueError(
            f"a pool of shape {pool.shape}: give (P, {reference.events.shape[1]}), as the reference has"
        )
    if not np.isfinite(pool).all():
        raise ValueError("an event of the pool is not finite: remove such events")
    if len(pool) < plan.events_needed:
        raise ValueError(
            f"{len(pool):,} events in the pool, but a toy of {plan.chunks} chunks of {plan.events:g} events needs "
            f"{plan.events_needed:,}: add events to the pool, or ask for shorter toys"
        )
    return reference


@dataclass(frozen=True)
class _Draws:
    """The events of toys by number."""

    reference: NDArray[np.floating]
    pool: NDArray[np.floating]
    plan: ToyPlan

    def fixed(self, number: int) -> list[NDArray[np.floating]]:
        """Draw the chunks of a toy from the pool."""
        rng, counts = self._counts(number)
        order = rng.choice(len(self.pool), size=int(counts.sum()), replace=False)
        return np.split(self.pool[order], np.cumsum(counts)[:-1])

    def disjoint(self, number: int) -> tuple[Reference, list[NDArray[np.floating]]]:
        """Draw a reference and the chunks of a toy from reference and pool together."""
        rng, counts = self._counts(number)
        size = len(self.reference)
        order = rng.permutation(size + len(self.pool))[: size + int(counts.sum())]
        # Of the two arrays the rows are taken apart: a union would be one more copy of both.
        events = np.empty((order.size, self.reference.shape[1]), dtype=self.reference.dtype)
        old = order < size
        events[old], events[~old] = self.reference[order[old]], self.pool[order[~old] - size]
        return Reference(events[:size]), np.split(events[size:], np.cumsum(counts)[:-1])

    def _counts(self, number: int) -> tuple[np.random.Generator, NDArray[np.int64]]:
        rng = np.random.default_rng([self.plan.seed, number])
        return rng, np.maximum(
            rng.poisson(self.plan.events, size=self.plan.chunks), 1
        )  # no fit without events


class _Results:
    """The values of toys, as they are replayed."""

    def __init__(self, plan: ToyPlan, first: int, count: int, widths: int) -> None:
        self._plan, self._first, self._count = plan, first, count
        shape = (count, plan.chunks, widths)
        self._values, self._log_p = ({kind: np.full(shape, np.nan) for kind in plan.kinds} for _ in range(2))

    def add(
        self,
        number: int,
        width: int,
        model: KernelFamily,
        toys: list[list[NDArray[np.floating]]],
        table: NullTable,
    ) -> None:
        """Replay some toys, of which `number` is the first, for one width."""
        plan = self._plan
        runs = [_Run.of(model.basis, plan.mode, plan.events, toy) for toy in toys]
        if set(plan.kinds) - {"t_score"}:
            _fit(model, runs, number)
        n = np.arange(1.0, plan.chunks + 1)
        for k, run in enumerate(runs, number - self._first):
            sizes = np.cumsum(run.expected) / n
            for kind, found in run.values(model, plan).items():
                over = (
                    excess(model.basis, model.features, model.reference.v, n, sizes) if kind == "t_agg" else 0
                )
                size = run.expected if kind == "t_chunk" else sizes
                self._values[kind][k, :, width] = found
                self._log_p[kind][k, :, width] = table.log_p(kind, found - over, n, size)

    def trajectories(self) -> Trajectories:
        """Give all of them."""
        numbers = np.arange(self._first, self._first + self._count)
        return Trajectories(plan=self._plan.digest, numbers=numbers, values=self._values, log_p=self._log_p)


def _fit(model: KernelFamily, runs: list[_Run], first: int) -> None:
    """Fit the chunks of some toys side by side."""
    chunks = [events for run in runs for events in run.chunks]
    expected = np.concatenate([run.expected for run in runs]).tolist()
    try:
        fits = model.fit_together(chunks, expected)
    except FitError as error:
        raise FitError(f"toys {first} to {first + len(runs) - 1}: {error}") from error
    size = len(runs[0].chunks)
    for k, run in enumerate(runs):
        run.fits = fits[k * size : (k + 1) * size]


@dataclass
class _Run:
    """One toy of one width."""

    basis: Basis
    mode: Mode
    chunks: list[NDArray[np.floating]]
    expected: NDArray[np.float64]
    scores: NDArray[np.float64]
    fits: Sequence[KernelFitted] = ()

    @classmethod
    def of(cls, basis: Basis, mode: Mode, events: float, chunks: list[NDArray[np.floating]]) -> _Run:
        counts = np.array([len(one) for one in chunks], dtype=np.float64)
        expected = counts if mode == "shape" else np.full(counts.size, events)
        scores = _feature_sums(basis, chunks) - np.outer(expected, basis.mean_feature)
        return cls(basis, mode, chunks, expected, scores)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Events of each chunk."""
        return np.array([len(one) for one in self.chunks])

    def values(self, model: KernelFamily, plan: ToyPlan) -> dict[str, NDArray[np.float64]]:
        """Give the statistics after each chunk."""
        found: dict[str, NDArray[np.float64]] = {}
        if "t_score" in plan.kinds:
            found["t_score"] = self._t_score()
        if "t_chunk" in plan.kinds:
            found["t_chunk"] = np.array([fit.statistic for fit in self.fits])
        if "t_sum" in plan.kinds:
            found["t_sum"] = np.cumsum([fit.statistic for fit in self.fits])
        if {"t_agg", "t_ref"} & set(plan.kinds):
            # Where the data are beyond the reference, the ratio overflows; then there is no value.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                mean, entropy = self._at_reference(model)
                if "t_ref" in plan.kinds:
                    found["t_ref"] = self._t_ref(mean, entropy)
                if "t_agg" in plan.kinds:
                    found["t_agg"] = self._t_agg(mean, plan.kept_events)
        return found

    def _t_score(self) -> NDArray[np.float64]:
        mu, lam = self.basis.second_moment, self.expected[:, None]
        curvature = lam * mu + self.basis.lambda_ * (self.basis.events + self.counts[:, None])
        total = np.cumsum(self.expected)
        mean = np.cumsum(lam * self.scores / curvature, axis=0) / total[:, None]
        score = np.cumsum(self.scores, axis=0)
        return np.asarray(2 * np.einsum("ij,ij->i", score, mean) - total * (mean**2 @ mu))

    def _ratios(
        self, features: NDArray[np.float32], chunks: int
    ) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Give r_n at rows of the features for n = 1 to `chunks`, (rows, chunks), a block at a time."""
        models = np.array([fit.coefficients for fit in self.fits[:chunks]], dtype=np.float32).T
        lam = self.expected[:chunks]
        step = max(1, BLOCK // chunks)
        for begin in range(0, len(features), step):
            rows = slice(begin, min(begin + step, len(features)))
            r = np.exp(features[rows] @ models, dtype=np.float32).astype(np.float64)
            r *= lam
            np.cumsum(r, axis=1, out=r)
            r /= np.cumsum(lam)
            yield rows, r

    def _at_reference(self, model: KernelFamily) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give the means over the reference of r_n and of r_n log r_n - r_n + 1, each (chunks,)."""
        v = model.reference.v
        mean, entropy = np.zeros((2, len(self.chunks)))
        for rows, r in self._ratios(model.features, len(self.chunks)):
            mean += v[rows] @ r
            logs = np.log(r)
            logs *= r
            logs -= r
            logs += 1
            entropy += v[rows] @ logs
        return mean / self.basis.sum_weights, entropy / self.basis.sum_weights

    def _t_ref(self, mean: NDArray[np.float64], entropy: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.cumsum(self.expected)
        if self.mode == "rate":
            return 2 * total * entropy
        # Of r / c: the mean of (r / c) log (r / c).
        return np.asarray(2 * total * ((entropy + mean - 1) / mean - np.log(mean)))

    def _t_agg(self, mean: NDArray[np.float64], kept: int) -> NDArray[np.float64]:
        total, events = np.cumsum(self.expected), np.cumsum(self.counts)
        chunks = int(np.count_nonzero(events <= kept))
        result = np.full(events.size, np.nan)
        if not chunks:
            return result
        psi = self.basis.features(np.concatenate(self.chunks[:chunks]))
        born = np.repeat(np.arange(chunks), self.counts[:chunks])
        at_events = np.zeros(chunks)
        for rows, r in self._ratios(psi, chunks):
            logs = np.log(r)
            logs[born[rows, None] > np.arange(chunks)] = 0.0  # not there yet
            at_events += logs.sum(axis=0)
        if self.mode == "rate":
            result[:chunks] = 2 * (at_events - total[:chunks] * (mean[:chunks] - 1))
        else:
            result[:chunks] = 2 * (at_events - events[:chunks] * np.log(mean[:chunks]))
        return result


def _feature_sums(basis: Basis, chunks: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Sum psi over the events of each chunk, float64 (n, r): the kernels are summed first and projected once."""
    points = standardise(np.concatenate(chunks), basis.mean, basis.scale)
    edges = np.cumsum([0, *(len(one) for one in chunks)])
    sums = np.zeros((len(chunks), len(basis.centres)))
    for rows, kernel in kernel_blocks(points, basis.centres, basis.sigma):
        # Chunks that begin or end in this block.
        low = int(np.searchsorted(edges, rows.start, side="right")) - 1
        high = int(np.searchsorted(edges, rows.stop, side="left"))
        starts = np.maximum(edges[low:high], rows.start) - rows.start
        sums[low:high] += np.add.reduceat(kernel, starts, axis=0)
    return np.asarray(sums @ basis.projection)

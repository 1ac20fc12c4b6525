r"""A whole run at once: fit every chunk, average the density ratios, test the average. For use without the service.

Three schemes (Grosso, arXiv:2407.01249), told apart by what of the run is kept:

- *full*: every chunk's model at every chunk's events;
- *streaming*: no events are kept; the averaged ratio is tested over the reference alone (t_ref) and by its scores;
- *resource-limited*: models of some of the chunks, or the test at the events of some of them.

A value is given a null only where the closed form holds: else the result says why there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.average import average, averages
from nplmon.nplm.model import KernelFitted, check_chunk, kernel_family
from nplmon.nplm.null import EVENTS_PER_DEGREE, Mode, Nulls
from nplmon.nplm.statistic import TestStatistic, log_mean, t_agg, t_ref

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.model import Fitted, KernelFamily, Model
    from nplmon.nplm.reference import Reference

RunKind = Literal["t_agg", "t_ref", "t_score", "t_sum", "t_full"]
TOGETHER: Final = 16
"""Chunks fitted side by side: enough to be fast, few enough for a progress bar to move."""
TOO_SMALL: Final = (
    "chunks of {size:.3g} events are too small for {degrees:.3g} degrees of freedom: take larger chunks or a larger "
    "lambda, or calibrate with toys"
)
NO_FAMILY: Final = "the closed form holds for the kernel family alone: calibrate with toys"
NO_LOSS: Final = "the closed form is that of the likelihood loss: calibrate with toys"
NO_SCHEME: Final = "the closed form holds for models and events of the same chunks alone: calibrate with toys"


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """What of a run is fitted and what is tested.

    Attributes
    ----------
    models:
        The first so many chunks are fitted and averaged; None: all. t_ref, t_score and t_sum are those of these
        chunks.
    tested:
        t_agg is evaluated at the events of the last so many chunks; None: of all; 0: no events are kept and there is
        no t_agg, but the result has the values after each chunk.

    Raises
    ------
    ValueError
        If nothing would be fitted, or a number is negative.

    Examples
    --------
    >>> full, streaming, limited = Scheme(), Scheme(tested=0), Scheme(models=10, tested=2)
    >>> full == FULL, streaming == STREAMING
    (True, True)
    """

    models: int | None = None
    tested: int | None = None

    def __post_init__(self) -> None:
        if (self.models is not None and self.models < 1) or (self.tested is not None and self.tested < 0):
            raise ValueError(
                f"models {self.models}, tested {self.tested}: fit at least one chunk, test 0 or more"
            )


FULL: Final = Scheme()
STREAMING: Final = Scheme(tested=0)


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What is known of a run.

    Attributes
    ----------
    mode:
        "shape" where the expected counts are the observed ones, else "rate".
    chunks, events, expected:
        Numbers of chunks n and of events, and Lambda, the sum of the expected counts, of the whole run.
    exposure_ratio:
        Lambda / N_eff: how far the run has used up the precision of the reference.
    values:
        Every statistic by kind.
    statistics:
        Those with a closed-form null, with it.
    uncalibrated:
        Why the others have none, by kind.
    t_chunk:
        t of each fitted chunk.
    chunk_statistics:
        The same with their nulls; empty where there are none.
    trajectory:
        In scheme `STREAMING` the values after each chunk; else empty.
    fits:
        The chunks' models, in order.
    reference_log_ratio:
        Log of the averaged ratio at the reference events, float64 (N_R,).
    log_normalisation:
        What its mean over the reference was divided by, as a logarithm, in mode "shape"; 0 in mode "rate".
    """

    mode: Mode
    chunks: int
    events: int
    expected: float
    exposure_ratio: float
    values: dict[RunKind, float]
    statistics: dict[RunKind, TestStatistic]
    uncalibrated: dict[RunKind, str]
    t_chunk: list[float]
    chunk_statistics: list[TestStatistic] = field(repr=False)
    trajectory: list[dict[RunKind, float]] = field(repr=False)
    fits: list[Fitted] = field(repr=False)
    reference_log_ratio: NDArray[np.float64] = field(repr=False)
    log_normalisation: float

    def log_ratio(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Evaluate the log of the averaged ratio at the points x (N, d), in feature units; float64 (N,)."""
        return average(self.fits, x) - self.log_normalisation


def aggregate(
    model: Model,
    chunks: Sequence[NDArray[np.floating]],
    expected: Sequence[float] | None = None,
    *,
    scheme: Scheme = FULL,
    union: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> RunResult:
    """Fit the chunks of a run, average their density ratios and test the average.

    Parameters
    ----------
    model:
        A model of any family, bound to its reference. The kernel family has nulls in closed form.
    chunks:
        Events of each chunk in feature units, each (N_k, d).
    expected:
        lam_k, the expected counts under H0; None takes the observed ones, so that only the shape is tested.
    scheme:
        What is fitted and what is tested.
    union:
        Whether to fit all events at once too: t_full.
    progress:
        Called with the numbers of fits done and to do.

    Raises
    ------
    ValueError
        If there are no chunks, the numbers of chunks do not fit each other, or a chunk cannot be fitted.
    FitError
        If a fit does not converge.

    Examples
    --------
    >>> from nplmon.nplm import KernelModel, Reference
    >>> rng = np.random.default_rng(0)
    >>> model = KernelModel.prepare(Reference(rng.exponential(size=(20_000, 1))), centres=100, sigma=0.7)
    >>> run = aggregate(model, [rng.exponential(size=(500, 1)) for _ in range(3)])
    >>> sorted(run.values), len(run.t_chunk), run.mode
    (['t_agg', 't_ref', 't_score', 't_sum'], 3, 'shape')
    >>> bool(0 < np.exp(run.statistics["t_agg"].log_p) < 1)
    True
    """
    data = RunData.of(model.reference, chunks, expected)
    count = len(data.chunks)
    fitted = count if scheme.models is None else scheme.models
    tested = count if scheme.tested is None else scheme.tested
    if max(fitted, tested) > count:
        raise ValueError(
            f"{count} chunks, {fitted} to fit and {tested} to test: choose no more than there are"
        )
    total = fitted + union
    fits: list[Fitted] = []
    for some in fitted_together(model, data, fitted):
        fits += some
        if progress is not None:
            progress(len(fits), total)
    if kernel_family(model):
        found = _in_eigenbasis(model, data, fits, keep=tested == fitted == count, running=not tested)
    else:
        found = Averaged.of(data, fits, reason=NO_FAMILY, running=not tested)
    if union:
        found.values["t_full"] = model.fit(np.concatenate(data.chunks), sum(data.expected)).statistic
        if kernel_family(model) and found.statistics:
            null = Nulls(basis=model.basis, mode=data.mode).chunk(sum(data.expected))
            found.statistics["t_full"] = TestStatistic(value=found.values["t_full"], null=null, chunks=count)
        if progress is not None:
            progress(total, total)
    return found.tested_on(data, fits, tested)


@dataclass(frozen=True, kw_only=True)
class RunData:
    """A reference, the chunks compared with it and their expected counts."""

    reference: Reference
    chunks: list[NDArray[np.floating]]
    expected: list[float]
    mode: Mode

    @property
    def weights(self) -> NDArray[np.float64]:
        """Weights v of the reference events, float64 (N_R,)."""
        return self.reference.v

    @classmethod
    def of(
        cls, reference: Reference, chunks: Sequence[NDArray[np.floating]], expected: Sequence[float] | None
    ) -> RunData:
        """Check the chunks; without expected counts they are the observed ones, in mode "shape"."""
        if not chunks:
            raise ValueError("no chunks: a run needs at least one")
        counts = (
            [float(len(events)) for events in chunks]
            if expected is None
            else [float(one) for one in expected]
        )
        if len(counts) != len(chunks):
            raise ValueError(f"{len(counts)} expected counts for {len(chunks)} chunks: give one for each")
        for number, (events, count) in enumerate(zip(chunks, counts, strict=True)):
            try:
                check_chunk(events, count, reference.events.shape[1])
            except ValueError as error:
                raise ValueError(f"chunk {number}: {error}") from error
        mode: Mode = "shape" if expected is None else "rate"
        return cls(reference=reference, chunks=list(chunks), expected=counts, mode=mode)


@dataclass(kw_only=True)
class Averaged:
    """The averaged ratio of fits at the reference, and what is known of it there.

    Attributes
    ----------
    log_ratio, log_normalisation:
        As in `RunResult`.
    reason:
        Why a value has no null.
    """

    log_ratio: NDArray[np.float64]
    log_normalisation: float
    reason: str
    values: dict[RunKind, float] = field(default_factory=dict)
    statistics: dict[RunKind, TestStatistic] = field(default_factory=dict)
    chunk_statistics: list[TestStatistic] = field(default_factory=list)
    trajectory: list[dict[RunKind, float]] = field(default_factory=list)

    @classmethod
    def of(
        cls,
        data: RunData,
        fits: Sequence[Fitted],
        *,
        reason: str,
        known: Sequence[KernelFamily] = (),
        running: bool = False,
    ) -> Averaged:
        """Average fits of any family; `known` models have their features at the reference already."""
        psi = {id(model.basis): model.features for model in known}
        trajectory: list[dict[RunKind, float]] = []
        expected = t_sum = 0.0
        for number, raw in enumerate(averages(fits, data.reference.events, psi)):
            expected += fits[number].expected
            t_sum += fits[number].statistic
            if running or number == len(fits) - 1:
                normalisation = log_mean(raw, data.weights) if data.mode == "shape" else 0.0
                log_ratio = raw - normalisation
                trajectory.append({"t_ref": t_ref(log_ratio, data.weights, expected), "t_sum": t_sum})
        return cls(
            log_ratio=log_ratio,
            log_normalisation=normalisation,
            reason=reason,
            values=dict(trajectory[-1]),
            trajectory=trajectory if running else [],
        )

    def tested_on(self, data: RunData, fits: list[Fitted], tested: int) -> RunResult:
        """Test at the events of the last `tested` chunks too, where that is not done yet."""
        if tested and "t_agg" not in self.values:
            at_events = average(fits, np.concatenate(data.chunks[-tested:])) - self.log_normalisation
            expected = sum(data.expected[-tested:])
            self.values["t_agg"] = t_agg(at_events, self.log_ratio, data.weights, expected, data.mode)
        return RunResult(
            mode=data.mode,
            chunks=len(data.chunks),
            events=sum(len(events) for events in data.chunks),
            expected=sum(data.expected),
            exposure_ratio=sum(data.expected) / data.reference.effective_events,
            values=self.values,
            statistics=self.statistics,
            uncalibrated={kind: self.reason for kind in self.values if kind not in self.statistics},
            t_chunk=[fit.statistic for fit in fits],
            chunk_statistics=self.chunk_statistics,
            trajectory=self.trajectory,
            fits=fits,
            reference_log_ratio=self.log_ratio,
            log_normalisation=self.log_normalisation,
        )


def fitted_together(model: Model, data: RunData, count: int) -> Iterator[Sequence[Fitted]]:
    """Fit the first `count` chunks, side by side where the family can."""
    step = TOGETHER if kernel_family(model) else 1
    for first in range(0, count, step):
        some = slice(first, min(first + step, count))
        if kernel_family(model):
            yield model.fit_together(data.chunks[some], data.expected[some])
        else:
            yield [model.fit(data.chunks[first], data.expected[first])]


def _in_eigenbasis(
    model: KernelFamily, data: RunData, fits: Sequence[Fitted], *, keep: bool, running: bool
) -> Averaged:
    """Average by the running state of the service, which knows the nulls."""
    cap = sum(len(events) for events in data.chunks) if keep else 0
    run = Aggregation(model.basis, model.features, data.weights, data.mode, cap)
    trajectory = []
    for fit, events in zip(fits, data.chunks, strict=False):  # the first chunks are the fitted ones
        if not isinstance(fit, KernelFitted):
            raise TypeError(f"a model in an eigenbasis gave a {type(fit).__name__}: it has no coefficients")
        run.apply(fit.coefficients, fit.score, fit.statistic, fit.expected, events)
        if running:
            trajectory.append({kind: one.value for kind, one in _cumulative(run).items()})
    statistics = _cumulative(run)
    nulls = Nulls(basis=model.basis, mode=data.mode)
    size, degrees = run.expected / run.chunks, run.degrees
    reason, holds = NO_SCHEME, True
    if size < EVENTS_PER_DEGREE * degrees:
        reason, holds = TOO_SMALL.format(size=size, degrees=degrees), False
    elif model.loss != "likelihood":
        reason, holds = NO_LOSS, False
    return Averaged(
        log_ratio=run.log_ratio(),
        log_normalisation=run.log_normalisation(),
        reason=reason,
        values={kind: one.value for kind, one in statistics.items()},
        statistics=statistics if holds else {},
        chunk_statistics=[
            TestStatistic(value=fit.statistic, null=nulls.chunk(fit.expected), chunks=1)
            for fit in fits
            if holds
        ],
        trajectory=trajectory,
    )


def _cumulative(run: Aggregation) -> dict[RunKind, TestStatistic]:
    found = run.statistics()
    kinds: tuple[Literal["t_agg", "t_ref", "t_score", "t_sum"], ...] = ("t_agg", "t_ref", "t_score", "t_sum")
    return {kind: found[kind] for kind in kinds if kind in found}

r"""A whole run at once: fit every chunk, average the density ratios, test the average. For use without the service.

Three schemes (Grosso, arXiv:2407.01249), told apart by what of the run is kept:

- *full*: every chunk's model at every chunk's events;
- *streaming*: no events are kept; the averaged ratio is tested over the reference alone (t_ref) and by its scores;
- *resource-limited*: models of some of the chunks, or the test at the events of some of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, runtime_checkable

import numpy as np
from scipy import special

from nplmon.nplm.aggregation import Aggregation
from nplmon.nplm.model import Fitted, Model, check_chunk
from nplmon.nplm.null import Mode, Nulls
from nplmon.nplm.ratio import AveragedRatio
from nplmon.nplm.statistic import TestStatistic, log_mean, t_agg, t_ref

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from nplmon.nplm.basis import Basis

RunKind = Literal["t_agg", "t_ref", "t_score", "t_sum", "t_full"]
EVENTS_PER_DEGREE: Final = 2.0
"""Expected events of a chunk per effective degree of freedom below which the quadratic regime is out of reach."""
TOO_SMALL: Final = (
    "chunks of {size:.3g} events are too small for {degrees:.3g} degrees of freedom: take larger chunks or a larger "
    "lambda, or calibrate with toys"
)
NO_FAMILY: Final = "the closed form holds for the kernel family alone: calibrate with toys"
NO_SCHEME: Final = "the closed form holds for models and events of the same chunks alone: calibrate with toys"


@runtime_checkable
class KernelFitted(Fitted, Protocol):
    """A fit in a reference eigenbasis."""

    @property
    def basis(self) -> Basis:
        """The eigenbasis."""

    @property
    def coefficients(self) -> NDArray[np.float64]:
        """The coefficients a of f = sum_j a_j psi_j, float64 (r,)."""

    @property
    def score(self) -> NDArray[np.float64]:
        """The score c = sum_D psi - w sum_R v psi, float64 (r,)."""


@runtime_checkable
class KernelFamily(Protocol):
    """A model in a reference eigenbasis, for which the nulls are known."""

    @property
    def basis(self) -> Basis:
        """The eigenbasis."""

    @property
    def features(self) -> NDArray[np.float32]:
        """The features psi at the reference events, float32 (N_R, r)."""

    def fit(self, events: NDArray[np.floating], expected: float) -> KernelFitted:
        """Fit one chunk."""


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """What of a run is fitted and what is tested.

    Attributes
    ----------
    models:
        The first so many chunks are fitted and averaged; None: all.
    tested:
        t_agg is evaluated at the events of the last so many chunks; None: of all; 0: no events are kept and there is
        no t_agg.
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
    chunk_statistics: list[TestStatistic]
    fits: list[Fitted] = field(repr=False)
    reference_log_ratio: NDArray[np.float64] = field(repr=False)
    log_normalisation: float

    def log_ratio(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Evaluate the log of the averaged ratio at the points x (N, d), in feature units; float64 (N,)."""
        return _average(self.fits, x) - self.log_normalisation


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
        Called with the numbers of fits done and to do, after each.

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
    counts = _expected(model, chunks, expected)
    mode: Mode = "shape" if expected is None else "rate"
    fitted = len(chunks) if scheme.models is None else scheme.models
    tested = len(chunks) if scheme.tested is None else scheme.tested
    if max(fitted, tested) > len(chunks):
        raise ValueError(
            f"{len(chunks)} chunks, {fitted} to fit and {tested} to test: choose no more than there are"
        )
    done = 0

    def fit(events: NDArray[np.floating], count: float) -> Fitted:
        nonlocal done
        one = model.fit(events, count)
        done += 1
        if progress is not None:
            progress(done, fitted + union)
        return one

    fits = [fit(events, count) for events, count in zip(chunks[:fitted], counts[:fitted], strict=True)]
    full = fit(np.concatenate(list(chunks)), sum(counts)).statistic if union else None
    weights = model.reference.weights
    v = np.ones(len(model.reference.events)) if weights is None else weights
    keep = tested == fitted == len(chunks)
    if isinstance(model, KernelFamily):
        found = _in_eigenbasis(model, v, mode, chunks[:fitted], fits, keep=keep)
        if full is not None:
            null = Nulls(basis=model.basis, mode=mode).chunk(sum(counts))
            found.values["t_full"] = full
            if found.statistics:
                found.statistics["t_full"] = TestStatistic(value=full, null=null, chunks=len(chunks))
    else:
        found = _in_any_family(model, v, mode, fits)
        if full is not None:
            found.values["t_full"] = full
    if tested and "t_agg" not in found.values:
        at_events = _average(fits, np.concatenate(list(chunks[-tested:]))) - found.log_normalisation
        found.values["t_agg"] = t_agg(at_events, found.log_ratio, v, sum(counts[-tested:]), mode)
    return RunResult(
        mode=mode,
        chunks=len(chunks),
        events=sum(len(events) for events in chunks),
        expected=sum(counts),
        exposure_ratio=sum(counts) / model.reference.effective_events,
        values=found.values,
        statistics=found.statistics,
        uncalibrated={kind: found.reason for kind in found.values if kind not in found.statistics},
        t_chunk=[fit.statistic for fit in fits],
        chunk_statistics=found.chunk_statistics,
        fits=fits,
        reference_log_ratio=found.log_ratio,
        log_normalisation=found.log_normalisation,
    )


def _expected(
    model: Model, chunks: Sequence[NDArray[np.floating]], expected: Sequence[float] | None
) -> list[float]:
    if not chunks:
        raise ValueError("no chunks: a run needs at least one")
    if expected is not None and len(expected) != len(chunks):
        raise ValueError(f"{len(expected)} expected counts for {len(chunks)} chunks: give one for each")
    counts = (
        [float(len(events)) for events in chunks] if expected is None else [float(one) for one in expected]
    )
    features = model.reference.events.shape[1]
    for number, (events, count) in enumerate(zip(chunks, counts, strict=True)):
        try:
            check_chunk(events, count, features)
        except ValueError as error:
            raise ValueError(f"chunk {number}: {error}") from error
    return counts


@dataclass(kw_only=True)
class _Averaged:
    """The averaged ratio at the reference, and what is known of it there."""

    log_ratio: NDArray[np.float64]
    log_normalisation: float
    reason: str
    """Why a value has no null."""
    values: dict[RunKind, float] = field(default_factory=dict)
    statistics: dict[RunKind, TestStatistic] = field(default_factory=dict)
    chunk_statistics: list[TestStatistic] = field(default_factory=list)


def _in_any_family(
    model: Model, weights: NDArray[np.float64], mode: Mode, fits: Sequence[Fitted]
) -> _Averaged:
    raw = _average(fits, model.reference.events)
    normalisation = log_mean(raw, weights) if mode == "shape" else 0.0
    found = _Averaged(log_ratio=raw - normalisation, log_normalisation=normalisation, reason=NO_FAMILY)
    found.values["t_ref"] = t_ref(found.log_ratio, weights, sum(fit.expected for fit in fits))
    found.values["t_sum"] = sum(fit.statistic for fit in fits)
    return found


def _in_eigenbasis(
    model: KernelFamily,
    weights: NDArray[np.float64],
    mode: Mode,
    chunks: Sequence[NDArray[np.floating]],
    fits: Sequence[Fitted],
    *,
    keep: bool,
) -> _Averaged:
    run = Aggregation(
        model.basis, model.features, weights, mode, sum(len(events) for events in chunks) if keep else 0
    )
    nulls = Nulls(basis=model.basis, mode=mode)
    chunk_statistics = []
    for fit, events in zip(fits, chunks, strict=True):
        if not isinstance(fit, KernelFitted):
            raise TypeError(f"a model in an eigenbasis gave a {type(fit).__name__}: it has no coefficients")
        run.apply(fit.coefficients, fit.score, fit.statistic, fit.expected, events)
        chunk_statistics.append(TestStatistic(value=fit.statistic, null=nulls.chunk(fit.expected), chunks=1))
    found = run.statistics()
    kinds: tuple[Literal["t_agg", "t_ref", "t_score", "t_sum"], ...] = ("t_agg", "t_ref", "t_score", "t_sum")
    statistics: dict[RunKind, TestStatistic] = {kind: found[kind] for kind in kinds if kind in found}
    size, degrees = run.expected / run.chunks, found["t_score"].null.mean
    holds = size >= EVENTS_PER_DEGREE * degrees
    reason = NO_SCHEME if holds else TOO_SMALL.format(size=size, degrees=degrees)
    return _Averaged(
        log_ratio=run.log_ratio(),
        log_normalisation=run.log_normalisation(),
        reason=reason,
        values={kind: one.value for kind, one in statistics.items()},
        statistics=statistics if holds else {},
        chunk_statistics=chunk_statistics if holds else [],
    )


def _average(fits: Sequence[Fitted], x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log of the average of the fits' ratios at x, each weighted with its expected count, float64 (N,)."""
    log_weights = np.log([fit.expected for fit in fits])
    in_basis = [fit for fit in fits if isinstance(fit, KernelFitted)]
    if len(in_basis) == len(fits):  # psi is evaluated once for all of them
        coefficients = np.array([fit.coefficients for fit in in_basis])
        return AveragedRatio(coefficients=coefficients, log_weights=log_weights).log_ratio(
            in_basis[0].basis, x
        )
    f = np.stack([fit.log_ratio(x) for fit in fits])
    return np.asarray(special.logsumexp(f + log_weights[:, None], axis=0) - special.logsumexp(log_weights))

"""An analysis of files from end to end: samples in, a result with all that is shown out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from nplmon.nplm import KernelModel, Reference
from nplmon.nplm.errors import NplmError
from nplmon.nplm.run import FULL, STREAMING, Scheme, aggregate
from nplmon.offline.chunk import union
from nplmon.offline.course import course
from nplmon.offline.errors import AnalysisError
from nplmon.offline.family import prepare
from nplmon.offline.marginal import Marginal, marginals
from nplmon.offline.several import best_width, left_open
from nplmon.offline.toys import NOTED_OVERLAP, Pool, hold_out
from nplmon.offline.verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from nplmon.nplm import Model
    from nplmon.nplm.run import RunKind, RunResult
    from nplmon.offline.chunk import Chunk
    from nplmon.offline.sample import Sample
    from nplmon.offline.settings import Settings

    Tell = Callable[[str, int, int], None]

EXPOSURE_BUDGET = 0.5
"""Lambda / N_eff past which the reference's own error dominates."""
TOGETHER = 32
"""Toys fitted side by side."""
SHARED = 0.5
"""Of the data: if more of their events are in the reference too, that is no accident."""
NOTED_DISAGREEMENT = 1e-3
"""p of toys and closed form being one distribution, below which it is said."""


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """The result of an analysis.

    Attributes
    ----------
    settings:
        What was asked.
    reference, data:
        The samples as read.
    chunks:
        How the data were cut; one chunk for "single".
    model:
        The model, bound to the reference as it was used; of several kernel widths the one with the smallest p.
    sigmas:
        All kernel widths of a kernel model.
    held_out:
        Events of the reference file that only toys were drawn from.
    verdicts:
        Every statistic by kind; `answer` is the one that was asked for.
    chunk_verdicts:
        t of each fitted chunk.
    course:
        The statistic that was asked for after each chunk, where it has a closed form.
    marginals:
        Data, reference and learned ratio along each feature.
    effect_size:
        Weighted mean over the reference of |rbar - 1|.
    exposure_ratio:
        Lambda / N_eff.
    notes:
        What a reader must know besides.
    """

    settings: Settings
    reference: Sample
    data: Sample
    chunks: list[Chunk] = field(repr=False)
    model: Model = field(repr=False)
    sigmas: tuple[float, ...] = ()
    held_out: int
    verdicts: dict[RunKind, Verdict]
    chunk_verdicts: list[Verdict]
    course: list[Verdict]
    marginals: list[Marginal]
    effect_size: float
    exposure_ratio: float
    notes: list[str]

    @property
    def answer(self) -> Verdict:
        """The statistic that was asked for."""
        return self.verdicts[self.settings.statistic]


def analyse(
    settings: Settings, reference: Sample, data: Sample, chunks: Sequence[Chunk], tell: Tell
) -> Analysis:
    """Compare data with a reference.

    Parameters
    ----------
    settings:
        What is asked.
    reference, data:
        The samples, with the same features.
    chunks:
        The data as `cut`; "single" puts them together.
    tell:
        Called with what is being done and the numbers of steps done and to do.

    Raises
    ------
    AnalysisError
        If the samples or settings do not allow it, or a fit does not converge.
    """
    chunks = [union(chunks)] if settings.analysis == "single" else list(chunks)
    expected = [chunk.expected for chunk in chunks]
    try:
        sample, pool = Reference(reference.events, reference.weights), None
    except ValueError as error:
        files = ", ".join(source.file for source in reference.sources)
        raise AnalysisError(f"{files}: {error}") from error
    if settings.toys:
        split = np.random.default_rng([settings.seed, 0])
        sample, pool = hold_out(sample, settings.toys, sum(expected), split)
    tell("preparing the reference", 0, 1)
    models = [prepare(settings, sample, *width) for width in settings.widths]
    tell("preparing the reference", 1, 1)
    best, joint = 0, None
    try:
        events = [chunk.events for chunk in chunks]
        runs = [_run(settings, one, events, expected, tell, observed=True) for one in models]
        toys = [{} if pool is None else _toys(settings, one, pool, expected, tell) for one in models]
        if len(models) > 1:
            best, joint = best_width(settings, models, runs, toys)
    except (NplmError, ValueError) as error:
        raise AnalysisError(str(error)) from error
    model, run = models[best], runs[best]
    verdicts = _verdicts(settings, run, toys[best])
    if joint is not None:
        verdicts = {
            kind: joint if kind == joint.kind else left_open(kind, one.value)
            for kind, one in verdicts.items()
        }
    v = sample.v
    with np.errstate(over="ignore"):  # a ratio that overflows makes the verdicts invalid
        effect = float(v @ np.abs(np.expm1(run.reference_log_ratio)) / v.sum())
    return Analysis(
        settings=settings,
        reference=reference,
        data=data,
        chunks=chunks,
        model=model,
        sigmas=tuple(one.basis.sigma for one in models if isinstance(one, KernelModel)),
        held_out=0 if pool is None else len(pool.events),
        verdicts=verdicts,
        chunk_verdicts=_chunk_verdicts(run)
        if joint is None
        else [left_open("t_chunk", value) for value in run.t_chunk],
        course=course(model, chunks, run, settings.statistic) if len(chunks) > 1 and joint is None else [],
        marginals=marginals(
            sample.events,
            sample.weights,
            run.reference_log_ratio,
            union(chunks).events,
            run.expected,
            features=data.features,
            units=reference.units,
        ),
        effect_size=effect,
        exposure_ratio=run.exposure_ratio,
        notes=_notes(reference, data, run, pool, verdicts[settings.statistic]),
    )


def _run(
    settings: Settings,
    model: Model,
    events: Sequence[NDArray[np.floating]],
    expected: Sequence[float],
    tell: Tell,
    *,
    observed: bool,
) -> RunResult:
    scheme = {
        "single": STREAMING,
        "sum": STREAMING,
        "resource-limited": Scheme(models=settings.models, tested=settings.tested),
    }.get(settings.analysis, FULL)
    return aggregate(
        model,
        events,
        expected if settings.mode == "rate" else None,
        scheme=scheme,
        # For comparison, once: no toy pays for it.
        union=observed and settings.analysis == "aggregation" and len(events) > 1,
        progress=(lambda done, total: tell("fitting", done, total)) if observed else None,
    )


def _values(settings: Settings, run: RunResult) -> dict[RunKind, float]:
    """Give the statistics by kind; of a single test there is one, whatever it is called in a run."""
    return {"t_full": run.values["t_sum"]} if settings.analysis == "single" else run.values


def _toys(
    settings: Settings, model: Model, pool: Pool, expected: Sequence[float], tell: Tell
) -> dict[RunKind, NDArray[np.float64]]:
    """Give every statistic of each toy; a toy depends on the seed and its own number alone."""
    values: dict[RunKind, list[float]] = {}
    together = TOGETHER if settings.analysis == "single" and isinstance(model, KernelModel) else 1
    for first in range(0, settings.toys, together):
        numbers = range(first, min(first + together, settings.toys))
        drawn = [
            pool.draw(np.random.default_rng([settings.seed, 1, number]), expected, settings.mode)
            for number in numbers
        ]
        if settings.analysis == "single" and isinstance(model, KernelModel):
            events = [chunk for (chunk,) in drawn]
            fits = model.fit_together(events, [expected[0]] * len(events))
            values.setdefault("t_full", []).extend(fit.statistic for fit in fits)
        else:
            run = _run(settings, model, drawn[0], expected, tell, observed=False)
            for kind, value in _values(settings, run).items():
                values.setdefault(kind, []).append(value)
        tell("toys", numbers[-1] + 1, settings.toys)
    return {kind: np.array(found) for kind, found in values.items()}


def _verdicts(
    settings: Settings, run: RunResult, toys: dict[RunKind, NDArray[np.float64]]
) -> dict[RunKind, Verdict]:
    statistics, reasons = run.statistics, run.uncalibrated
    if settings.analysis == "single":
        statistics = {"t_full": statistics["t_sum"]} if "t_sum" in statistics else {}
        reasons = {"t_full": reasons.get("t_sum", "")}
    return {
        kind: judge(kind, value, statistics.get(kind), toys.get(kind), reason=reasons.get(kind, ""))
        for kind, value in _values(settings, run).items()
    }


def _chunk_verdicts(run: RunResult) -> list[Verdict]:
    reason = next(iter(run.uncalibrated.values()), "")
    if not run.chunk_statistics:
        return [judge("t_chunk", value, None, reason=reason) for value in run.t_chunk]
    return [judge("t_chunk", one.value, one) for one in run.chunk_statistics]


def _notes(reference: Sample, data: Sample, run: RunResult, pool: Pool | None, answer: Verdict) -> list[str]:
    notes = []
    shared = data.shared_with(reference)
    if shared > SHARED:
        notes.append(
            f"{shared:.0%} of the data events are in the reference too: a sample compared with itself agrees too "
            "well, and p means nothing"
        )
    if run.exposure_ratio > EXPOSURE_BUDGET:
        notes.append(
            f"exposure {run.exposure_ratio:.2g} is past {EXPOSURE_BUDGET:g}: the reference is small for so many "
            "data, and its own error, which the null contains on average, dominates; take a larger reference"
        )
    if pool is not None and run.expected > NOTED_OVERLAP * len(pool.events):
        notes.append(
            f"a toy takes {run.expected / len(pool.events):.0%} of the {len(pool.events):,} events held out: toys "
            "share events, and their spread is too small; take a larger reference"
        )
    if answer.note:
        notes.append(f"{answer.kind}: {answer.note}")
    agreement = None if answer.toys is None else answer.toys.closed_form_p
    if agreement is not None and agreement < NOTED_DISAGREEMENT:
        notes.append(
            f"{answer.kind}: toys and closed form differ (Kolmogorov-Smirnov p = {agreement:.2g}): toys are of this "
            "reference, the closed form is an average over references"
        )
    return notes

"""The plots of a closure: p-values beside uniform ones, run lengths, the largest evidence of ordinary streams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from nplmon.closure.power import Separation
from nplmon.offline.figures.null_figure import NAMES
from nplmon.offline.figures.style import DATA, LEARNED, NULL, ONE_SIGMA, REFERENCE, TOYS, TWO_SIGMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from nplmon.closure.delay import Delay
    from nplmon.closure.uniform import Found

COLOURS: Final = (DATA, LEARNED, NULL, TOYS)
BAND: Final = 0.99


def uniform_figure(found: list[Found]) -> Figure:
    """Draw the share of runs below p over p, for each statistic of one case, on logarithmic axes.

    The band has 99 % of the uniform ones at each p. What is promised is drawn in full, what is not dotted.
    """
    kinds = list(dict.fromkeys(one.kind for one in found))
    figure = Figure(figsize=(4.1 * len(kinds) + 0.6, 5.0))
    frame = {"left": 0.07, "right": 0.99, "top": 0.9, "bottom": 0.14, "wspace": 0.06}
    row = np.atleast_1d(figure.subplots(1, len(kinds), sharey=True, gridspec_kw=frame))
    for axes, kind in zip(row, kinds, strict=True):
        _uniform(axes, [one for one in found if one.kind == kind])
        axes.text(0.96, 0.05, NAMES.get(kind, r"$t$ of a chunk"), transform=axes.transAxes, ha="right")
        axes.set_xlabel("$p$")
    row[0].set_ylabel("share of runs / $p$")
    row[0].legend(loc="upper right", fontsize=10.5, handlelength=1.4)
    case = found[0].case
    figure.text(
        0.07,
        0.925,
        f"{case.source.name}, {case.calibrated}, exposure {case.exposure:g}, {found[0].p.size:,} runs",
        fontsize=13,
    )
    return figure


def _uniform(axes: Axes, found: list[Found]) -> None:
    runs = found[0].p.size
    p = np.geomspace(2 / runs, 1.0, 200)
    low, high = stats.binom.interval(BAND, runs, p)
    toys = found[-1].toys
    if toys:
        # Toys fluctuate as the runs do.
        width = np.sqrt(1 + runs / toys)
        low, high = runs * p - width * (runs * p - low), runs * p + width * (high - runs * p)
    axes.fill_between(p, low / runs / p, high / runs / p, color=TWO_SIGMA, linewidth=0, label="uniform, 99 %")
    axes.axhline(1.0, color=TOYS, linewidth=1.0)
    numbers = list(dict.fromkeys(one.chunk for one in found))
    for one in found:
        share = np.searchsorted(one.p, p, side="right") / runs
        axes.plot(
            p,
            share / p,
            color=COLOURS[numbers.index(one.chunk) % len(COLOURS)],
            linestyle="-" if one.promised else ":",
            linewidth=1.5,
            label=f"$n = {one.chunk}$, {'toys' if one.toys else 'closed form'}",
        )
    axes.set_xscale("log")
    axes.set_xlim(p[0], 1.0)
    axes.set_ylim(0.0, 3.0)


def run_length_figure(lengths: NDArray[np.int64], wanted: float) -> Figure:
    """Draw the share of streams without an alarm over the chunks, beside the geometric one."""
    figure = Figure(figsize=(6.4, 5.0))
    axes = figure.subplots(gridspec_kw={"left": 0.14, "right": 0.97, "top": 0.97, "bottom": 0.14})
    count, n = lengths.size, np.arange(0, int(5 * wanted) + 1)
    share = (1 - 1 / wanted) ** n
    low, high = stats.binom.interval(BAND, count, share)
    axes.fill_between(n, low / count, high / count, color=ONE_SIGMA, linewidth=0, label="asked for, 99 %")
    axes.plot(n, share, color=NULL, linewidth=1.2)
    left = 1 - np.searchsorted(np.sort(lengths), n, side="right") / count
    mean, error = lengths.mean(), lengths.std(ddof=1) / count**0.5
    axes.step(n, left, where="post", color=DATA, label=f"{count} streams, mean ${mean:.0f} \\pm {error:.0f}$")
    axes.set_xlim(0, n[-1])
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("chunks")
    axes.set_ylabel("share without a false alarm")
    axes.legend(loc="upper right")
    return figure


def evidence_figure(peaks: dict[str, NDArray[np.float64]]) -> Figure:
    """Draw the share of ordinary streams whose E has reached 1/alpha, over alpha, beside the bound."""
    figure = Figure(figsize=(6.4, 5.0))
    axes = figure.subplots(gridspec_kw={"left": 0.15, "right": 0.97, "top": 0.97, "bottom": 0.15})
    level = np.geomspace(1, 1_000, 200)
    axes.plot(level, 1 / level, color=TOYS, linewidth=1.2, label=r"bound, $1/A$")
    count = next(iter(peaks.values())).size
    axes.fill_between(
        level,
        1 / level,
        stats.binom.ppf(BAND, count, 1 / level) / count,
        color=ONE_SIGMA,
        linewidth=0,
        label="99 % above it",
    )
    for (form, found), colour in zip(peaks.items(), (LEARNED, NULL, REFERENCE), strict=False):
        share = 1 - np.searchsorted(np.sort(found), np.log(level), side="left") / count
        there = share > 0
        axes.plot(level[there], share[there], color=colour, linewidth=2.0, label=f"{form} form")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(1, 1_000)
    axes.set_ylim(0.05 / count, 1.5)
    axes.set_xlabel("level $A$")
    axes.set_ylabel("share of ordinary streams with $E \\geq A$")
    axes.legend(loc="lower left")
    return figure


def power_figure(found: list[Separation]) -> Figure:
    """Draw Z of each statistic for each signal with its interval, on an axis that is logarithmic above 1."""
    signals = list(dict.fromkeys(one.signal for one in found))
    kinds = list(dict.fromkeys(one.kind for one in found))
    figure = Figure(figsize=(6.4, 5.0))
    axes = figure.subplots(gridspec_kw={"left": 0.2, "right": 0.97, "top": 0.97, "bottom": 0.14})
    for number, (kind, colour) in enumerate(zip(kinds, COLOURS, strict=False)):
        mine = [one for one in found if one.kind == kind]
        _points(axes, [signals.index(one.signal) + 0.16 * (number - 1.5) for one in mine], mine, colour, kind)
    axes.set_xscale("symlog", linthresh=1.0)  # of few runs Z may be below 0
    axes.set_yticks(range(len(signals)), signals)
    axes.invert_yaxis()
    axes.set_xlabel("$Z$ of the median")
    axes.legend(loc="lower right")
    return figure


def delay_figure(found: list[Delay]) -> Figure:
    """Draw the median delay of each detector for each anomaly and start with its interval."""
    cases = list(dict.fromkeys((one.anomaly, one.start) for one in found))
    detectors = list(dict.fromkeys(one.detector for one in found))
    figure = Figure(figsize=(6.4, 5.0))
    axes = figure.subplots(gridspec_kw={"left": 0.27, "right": 0.97, "top": 0.97, "bottom": 0.14})
    for number, (detector, colour) in enumerate(zip(detectors, COLOURS, strict=False)):
        # What lies beyond the streams' end has no place here: it stands in the table.
        mine = [one for one in found if one.detector == detector and np.isfinite(one.high)]
        places = [cases.index((one.anomaly, one.start)) + 0.2 * (number - 1) for one in mine]
        _points(axes, places, mine, colour, detector)
    axes.set_xlim(left=0)
    axes.set_yticks(range(len(cases)), [f"{anomaly} from {start}" for anomaly, start in cases])
    axes.invert_yaxis()
    axes.set_xlabel("chunks from the start of the anomaly to the alarm")
    axes.legend(loc="upper right")
    return figure


def _points(
    axes: Axes, places: list[float], found: Sequence[Separation | Delay], colour: str, label: str
) -> None:
    """Draw numbers with their intervals, one above the other."""
    middle = np.array([one.z if isinstance(one, Separation) else one.median for one in found])
    low, high = np.array([one.low for one in found]), np.array([one.high for one in found])
    axes.errorbar(
        middle, places, xerr=np.abs([middle - low, high - middle]), fmt="o", color=colour, ms=4, label=label
    )

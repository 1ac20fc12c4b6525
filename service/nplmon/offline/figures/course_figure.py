"""The chunks: t of each one in the bands of its null, and below the significance of the run so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from scipy import special

from nplmon.offline.figures.null_figure import NAMES
from nplmon.offline.figures.style import DATA, LEARNED, NULL, ONE_SIGMA, TWO_SIGMA

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from nplmon.offline.verdict import Verdict


def course_figure(chunks: Sequence[Verdict], course: Sequence[Verdict]) -> Figure:
    """Draw the chunks' own statistic and, where there is one, the course of the cumulative one."""
    figure = Figure(figsize=(7.2, 6.4 if course else 4.2))
    frame = {"left": 0.12, "right": 0.98, "top": 0.98, "bottom": 0.1 if course else 0.15}
    if course:
        frame |= {"hspace": 0.05}
        upper, last = figure.subplots(2, 1, sharex=True, height_ratios=(1.2, 1), gridspec_kw=frame)
        _significance(last, course)
        upper.tick_params(labelbottom=False)
    else:
        upper = last = figure.subplots(gridspec_kw=frame)
    _values(upper, chunks)
    upper.set_xlim(0.5, len(chunks) + 0.5)
    last.set_xlabel("chunk")
    last.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    for axes in {upper, last}:
        axes.xaxis.set_minor_locator(NullLocator())  # there are no half chunks
        axes.yaxis.set_label_coords(-0.09, 1.0)
    return figure


def _values(axes: Axes, chunks: Sequence[Verdict]) -> None:
    numbers = np.arange(1, len(chunks) + 1)
    values = np.array([one.value for one in chunks])
    if all(one.closed_form is not None for one in chunks):
        _bands(axes, chunks)
    axes.plot(numbers, values, "o", color=DATA, markersize=5, label="data", zorder=5)
    bottom, top = min(0.0, float(values.min())), axes.get_ylim()[1]
    axes.set_ylim(bottom, bottom + 1.3 * (top - bottom))
    axes.set_ylabel(r"$t$ of each chunk")
    axes.legend(loc="upper left", ncols=4, columnspacing=1.0)


def _bands(axes: Axes, chunks: Sequence[Verdict]) -> None:
    edges = np.arange(len(chunks) + 1) + 0.5
    known: dict[tuple[float, float], list[float]] = {}
    rows = []
    for one in chunks:
        closed = one.closed_form
        if closed is None:
            raise AssertionError("a chunk without its null has no bands")
        # Chunks of one size have one null.
        key = (closed.mean, closed.deviation)
        if key not in known:
            known[key] = [closed.statistic.threshold(float(special.ndtr(-z))) for z in (-2, -1, 0, 1, 2)]
        rows.append(known[key])
    lower_two, lower_one, median, upper_one, upper_two = np.array(rows).T
    axes.stairs(upper_two, edges, baseline=lower_two, fill=True, color=TWO_SIGMA, label=r"null, $2\,\sigma$")
    axes.stairs(upper_one, edges, baseline=lower_one, fill=True, color=ONE_SIGMA, label=r"$1\,\sigma$")
    axes.stairs(median, edges, baseline=None, color=NULL, linewidth=1.2, label="median")


def _significance(axes: Axes, course: Sequence[Verdict]) -> None:
    z = np.array([np.nan if one.z is None else one.z for one in course])
    axes.axhspan(-2, 2, color=TWO_SIGMA, linewidth=0)
    axes.axhspan(-1, 1, color=ONE_SIGMA, linewidth=0)
    axes.axhline(0, color=NULL, linewidth=1.2)
    axes.plot(np.arange(1, len(z) + 1), z, "s-", color=LEARNED, markersize=5, linewidth=1.4)
    axes.set_ylabel(f"$Z$ of {NAMES[course[-1].kind]} so far")
    axes.set_ylim(min(-3.0, 1.1 * np.nanmin(z, initial=0.0)), max(3.5, 1.15 * np.nanmax(z, initial=0.0)))

"""One feature: data, reference and the reference reweighted by the learned ratio; below, ratios to the reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from nplmon.offline.figures.style import DATA, LEARNED, REFERENCE, axis_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from nplmon.offline.marginal import Marginal

LOG_SPAN = 100.0
"""Ratio of the largest to the smallest content of a bin above which the counts are shown on a logarithmic scale."""
WELL_KNOWN = 0.5
"""Relative error up to which a point of the ratio must be inside the frame."""


def marginal_figure(marginal: Marginal) -> Figure:
    """Draw one feature."""
    figure = Figure(figsize=(6.4, 6.4))
    frame = {
        "left": 0.14,
        "right": 0.97,
        "top": 0.98,
        "bottom": 0.1,
        "hspace": 0.06,
        "height_ratios": (3, 1.3),
    }
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw=frame)
    _counts(upper, marginal)
    _ratios(lower, marginal)
    upper.set_xlim(marginal.edges[0], marginal.edges[-1])
    lower.set_xlabel(axis_name(marginal.name, marginal.unit))
    for axes, place in ((upper, 1.0), (lower, 0.5)):
        axes.yaxis.set_label_coords(-0.115, place)
    return figure


def _counts(axes: Axes, m: Marginal) -> None:
    centres, low, high = _points(m)
    scaled = axes.stairs(m.reference, m.edges, fill=True, color=REFERENCE, alpha=0.55, label="reference")
    axes.stairs(m.reference, m.edges, color=REFERENCE, linewidth=1.0)
    label = "reference × learned ratio"
    learned = axes.stairs(m.learned, m.edges, color=LEARNED, linewidth=1.8, label=label)
    shown = m.data > 0
    points = axes.errorbar(
        centres[shown],
        m.data[shown],
        yerr=np.array([(m.data - low)[shown], (high - m.data)[shown]]),
        fmt="o",
        color=DATA,
        markersize=4.5,
        linewidth=1.2,
        label=f"data, {int(m.data.sum()):,} events",
        zorder=5,
    )
    contents = m.reference[m.reference > 0]
    top = max(float(high.max()), float(m.reference.max()), float(m.learned.max()))
    if contents.max() > LOG_SPAN * contents.min():
        bottom = max(0.5 * float(contents.min()), 0.1)
        axes.set_yscale("log")
        axes.set_ylim(bottom, bottom * (top / bottom) ** 1.45)
    else:
        axes.set_ylim(0, 1.5 * top)
    width = m.edges[1] - m.edges[0]
    axes.set_ylabel(f"events / {width:.2g} {m.unit}".rstrip())
    axes.legend(handles=[points, scaled, learned], loc="upper right")
    axes.tick_params(labelbottom=False)


def _ratios(axes: Axes, m: Marginal) -> None:
    centres, low, high = _points(m)
    there = m.reference > 0
    r = np.where(there, m.reference, 1.0)
    ratio = m.data / r
    band = np.where(there, m.reference_error / r, 0.0)
    axes.stairs(1 + band, m.edges, baseline=1 - band, fill=True, color=REFERENCE, alpha=0.55)
    axes.axhline(1.0, color="black", linewidth=0.8, linestyle=":")
    axes.stairs(np.where(there, m.learned / r, np.nan), m.edges, baseline=None, color=LEARNED, linewidth=1.8)
    bottom, top = _window(ratio[there], (0.5 * (high - low) / r)[there], (m.learned / r)[there])
    # No event where fewer than that was to come tells nothing.
    shown = there & ((m.data > 0) | (high / r < top))
    axes.errorbar(
        centres[shown],
        ratio[shown],
        yerr=np.array([(m.data - low)[shown], (high - m.data)[shown]]) / r[shown],
        fmt="o",
        color=DATA,
        markersize=4.5,
        linewidth=1.2,
        zorder=5,
    )
    axes.set_ylim(bottom, top)
    # What lies outside the frame is shown at its edge, not left out.
    for outside, edge, marker in ((ratio > top, top, "^"), (ratio < bottom, bottom, "v")):
        chosen = there & outside
        axes.plot(
            centres[chosen], np.full(chosen.sum(), edge), marker, color=DATA, markersize=7, clip_on=False
        )
    axes.set_ylabel("ratio to ref.", loc="center")
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10], prune="upper"))


def _points(m: Marginal) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    low, high = m.data_interval
    return 0.5 * (m.edges[1:] + m.edges[:-1]), low, high


def _window(
    ratio: NDArray[np.float64], error: NDArray[np.float64], learned: NDArray[np.float64]
) -> tuple[float, float]:
    """Choose the frame of the ratio: all that is well measured and all that was learned, at least 0.8 to 1.2."""
    known = error <= WELL_KNOWN * np.maximum(ratio, 1e-9)
    inside = np.concatenate([(ratio + error)[known], (ratio - error)[known], learned])
    span = float(np.max(np.abs(inside - 1), initial=0.0))
    span = min(max(1.15 * span, 0.2), 4.0)
    return max(0.0, 1 - span), 1 + span

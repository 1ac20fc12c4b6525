"""The test statistic: its null distribution, from the closed form and from toys, and the observed value."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from nplmon.offline.figures.style import LEARNED, NULL, TOYS, p_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from nplmon.offline.verdict import ClosedForm, Toys, Verdict

NAMES = {
    "t_full": r"$t$",
    "t_sum": r"$t_\mathrm{sum}$",
    "t_agg": r"$t_\mathrm{agg}$",
    "t_ref": r"$t_\mathrm{ref}$",
    "t_score": r"$t_\mathrm{score}$",
}
FAR = 9.0
"""Standard deviations of the null above its mean beyond which an observed value is an arrow at the edge."""
BELOW, ABOVE = 3.5, 4.5
"""Standard deviations of the null around its mean that are shown at least; it leans to the right."""
POINTS = 240


def null_figure(verdict: Verdict) -> Figure:
    """Draw one statistic; without any null, the observed value alone."""
    figure = Figure(figsize=(6.4, 5.2))
    axes = figure.subplots(gridspec_kw={"left": 0.15, "right": 0.97, "top": 0.97, "bottom": 0.13})
    low, high = _range(verdict)
    tallest = 0.0
    if verdict.toys is not None:
        tallest = max(tallest, _toys(axes, verdict.toys, low, high))
    if verdict.closed_form is not None:
        tallest = max(tallest, _density(axes, verdict, low, high))
    _observed(axes, verdict, high, 0.72 * tallest or 1.0)
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1.65 * tallest or 1.0)
    axes.set_xlabel(f"test statistic {NAMES[verdict.kind]}")
    axes.set_ylabel("probability density")
    axes.legend(loc="upper right")
    return figure


def _range(verdict: Verdict) -> tuple[float, float]:
    """Choose the range of t: the null, and the observed value where it is not too far."""
    nulls: list[ClosedForm | Toys] = [one for one in (verdict.closed_form, verdict.toys) if one is not None]
    if not nulls:
        return min(0.0, 1.5 * verdict.value), max(1.5 * abs(verdict.value), 1.0)
    low = min(one.mean - BELOW * one.deviation for one in nulls)
    high = max(one.mean + ABOVE * one.deviation for one in nulls)
    if verdict.toys is not None:
        low, high = min(low, verdict.toys.values.min()), max(high, verdict.toys.values.max())
    reach = max(one.mean + FAR * one.deviation for one in nulls)
    margin = 0.06 * (high - low)
    if verdict.value <= reach:
        high = max(high, verdict.value + margin)
    low = min(low, verdict.value - margin)
    return (max(low, 0.0) if verdict.value > 0 else low), high


def _toys(axes: Axes, toys: Toys, low: float, high: float) -> float:
    bins = int(np.clip(round(np.sqrt(len(toys.values))), 8, 40))
    counts, edges = np.histogram(toys.values, bins=bins, range=(min(low, toys.values.min()), high))
    unit = len(toys.values) * np.diff(edges)
    label = f"{len(toys.values):,} toys, {toys.mean:.1f} ± {toys.deviation:.1f}"
    axes.stairs(counts / unit, edges, fill=True, color=TOYS, alpha=0.4, label=label)
    axes.stairs(counts / unit, edges, color=TOYS, linewidth=1.0)
    centres, error = 0.5 * (edges[1:] + edges[:-1]), np.sqrt(counts) / unit
    axes.errorbar(centres, counts / unit, yerr=error, fmt="none", color="#555555", linewidth=1.0)
    return float((counts / unit + error).max())


def _density(axes: Axes, verdict: Verdict, low: float, high: float) -> float:
    closed = verdict.closed_form
    if closed is None:
        return 0.0
    t, density = density_of(closed, low, high)
    label = f"closed form, {closed.mean:.1f} ± {closed.deviation:.1f}"
    axes.plot(t, density, color=NULL, linewidth=2.0, label=label)
    beyond = t >= verdict.value
    axes.fill_between(t[beyond], density[beyond], color=NULL, alpha=0.25, linewidth=0)
    return float(density.max())


def density_of(
    closed: ClosedForm, low: float, high: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give points t and the closed form's density there, as differences of its tail."""
    null, excess = closed.statistic.null, closed.statistic.excess
    edges = np.linspace(low, high, POINTS + 1)
    tail = np.array([null.tail(max(float(t) - excess, 0.0)) for t in edges])
    return 0.5 * (edges[1:] + edges[:-1]), -np.diff(tail) / np.diff(edges)


def _observed(axes: Axes, verdict: Verdict, high: float, height: float) -> None:
    said = f"observed {verdict.value:.1f}"
    if verdict.p is not None and verdict.z is not None:
        relation = r"\leq" if verdict.state == "toys" and not verdict.toys.exceeding else "="  # type: ignore[union-attr]  # of this state
        said += f"\n$p {relation} {p_words(verdict.p)}$, $Z = {verdict.z:.1f}$\n({verdict.state})"
    else:
        said += f"\n({verdict.state}: no $p$)"
    if verdict.value <= high:
        axes.plot([verdict.value] * 2, [0, height], color=LEARNED, linewidth=2.4, label=said)
        axes.plot([verdict.value], [0], marker="v", color=LEARNED, markersize=9, clip_on=False)
        return
    low = axes.get_xlim()[0]
    axes.annotate(
        "",
        xy=(high, 0.25 * height),
        xytext=(high - 0.16 * (high - low), 0.25 * height),
        arrowprops={"arrowstyle": "-|>", "color": LEARNED, "linewidth": 2.4, "mutation_scale": 20},
    )
    axes.plot([], [], color=LEARNED, linewidth=2.4, marker=">", markersize=8, label=said)

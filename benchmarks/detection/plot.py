"""A plot of the median delay against the measured run length, for some scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

SHOWN: Final = {
    "nplmon t_score, 3 widths": ("#0072B2", "-", "o"),
    "nplmon t_score, windows, 3 widths": ("#D55E00", "-", "s"),
    "MMD online, 2 chunks": ("#009E73", "--", "^"),
    "MMD online, 8 chunks": ("#009E73", ":", "v"),
    "LSDD online, 8 chunks": ("#CC79A7", ":", "v"),
    "KS per chunk, Bonferroni": ("#999999", "--", "D"),
}
"""Colour (Okabe and Ito's), line and marker."""

FEWEST: Final = 8
"""Streams without a false alarm that a median is shown of."""
RUN_LENGTHS: Final = (10, 20, 50, 100)
DELAYS: Final = (1, 2, 5, 10, 20)


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw them into a file."""
    curves = [
        (problem["name"], curve)
        for problem in result["problems"]
        for curve in problem["curves"]
        if curve["delays"]
    ]
    if not curves:
        return
    columns = 2
    rows = -(-len(curves) // columns)
    with mpl.rc_context({"font.size": 9.5, "axes.grid": True, "grid.alpha": 0.3, "axes.axisbelow": True}):
        figure = Figure(figsize=(4.6 * columns, 2.9 * rows + 0.8), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True)
        for place, (problem, curve) in zip(axes.flat, curves, strict=False):
            _panel(place, problem, curve)
        for place in list(axes.flat)[len(curves) :]:
            place.remove()
        for place in axes[-1]:
            place.set_xlabel("mean run length under H0 [chunks]")
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False)
        figure.savefig(path, dpi=130)


def _panel(place: Any, problem: str, curve: dict[str, Any]) -> None:  # noqa: ANN401 (of a package without types)
    horizon = 0
    for name, (colour, line, marker) in SHOWN.items():
        points = [point for point in curve["delays"].get(name, []) if point["streams"] >= FEWEST]
        horizon = max([horizon, *(point["horizon"] for point in points)])
        lengths = [point["run length"] for point in points]
        # A median beyond the streams lies at their end, hollow.
        medians = [point["horizon"] if point["median"] is None else point["median"] for point in points]
        place.plot(lengths, medians, color=colour, linestyle=line, linewidth=1.6, label=name)
        for length, value, point in zip(lengths, medians, points, strict=True):
            face = "white" if point["median"] is None else colour
            place.plot(length, value, marker, color=colour, markerfacecolor=face, markersize=5)
    after = f"after {curve['quiet']} quiet chunks" if curve["quiet"] else "from the first chunk on"
    place.set_title(f"{problem}: {curve['name']}, strength {curve['strength']}, {after}", fontsize=9.5)
    place.set_xscale("log")
    place.set_yscale("log")
    place.set_ylim(0.85, 1.2 * max(horizon, 2))
    place.set_ylabel("median delay [chunks]")
    place.set_xticks(RUN_LENGTHS, [f"{one:g}" for one in RUN_LENGTHS])
    place.set_yticks(DELAYS, [f"{one:g}" for one in DELAYS])
    place.minorticks_off()

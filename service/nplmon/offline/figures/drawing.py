"""All plots of an analysis, each as PNG and PDF."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from nplmon.offline.figures.course_figure import course_figure
from nplmon.offline.figures.marginal_figure import marginal_figure
from nplmon.offline.figures.null_figure import null_figure
from nplmon.offline.figures.style import style

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.figure import Figure

    from nplmon.offline.analysis import Analysis

SUFFIXES = (".png", ".pdf")


def draw(analysis: Analysis, directory: Path, tell: Callable[[str, int, int], None]) -> list[Path]:
    """Draw an analysis into a directory: the marginals, the statistic, and the chunks where there are several.

    Parameters
    ----------
    analysis:
        What is drawn. A statistic that is invalid, and marginals of a ratio that overflows, are left out.
    directory:
        An existing directory; files of the same names are replaced.
    tell:
        Called with what is being done and the numbers of plots done and to do.
    """
    wanted: dict[str, Callable[[], Figure]] = {}
    if analysis.answer.state != "invalid":
        for number, one in enumerate(analysis.marginals, 1):
            plain = re.sub(r"[^A-Za-z0-9._-]+", "-", one.name).strip("-.")
            wanted[f"marginal-{number}-{plain}"] = partial(marginal_figure, one)
        wanted["statistic"] = partial(null_figure, analysis.answer)
        if len(analysis.chunk_verdicts) > 1:
            wanted["chunks"] = partial(course_figure, analysis.chunk_verdicts, analysis.course)
    written = []
    with style():
        for done, (name, make) in enumerate(wanted.items()):
            tell("plots", done, len(wanted))
            figure = make()
            for suffix in SUFFIXES:
                path = directory / f"{name}{suffix}"
                # No date: the same analysis gives the same files.
                figure.savefig(path, metadata={"CreationDate": None} if suffix == ".pdf" else None)
                written.append(path)
        tell("plots", len(wanted), len(wanted))
    return written

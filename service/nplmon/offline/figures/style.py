"""One look for all plots: mplhep's ROOT style at the size of a column in print."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import mplhep

if TYPE_CHECKING:
    from collections.abc import Iterator

# Okabe and Ito's colours (Color Universal Design, 2008): told apart with any colour vision.
DATA = "black"
REFERENCE = "#56B4E9"
LEARNED = "#D55E00"
NULL = "#0072B2"
TOYS = "#999999"
TWO_SIGMA = "#CFE3F0"
ONE_SIGMA = "#8FBFDD"

_RC: dict[str, Any] = {
    "font.size": 15,
    "axes.linewidth": 1.2,
    "axes.unicode_minus": True,
    "axes.labelsize": 15,
    "xtick.labelsize": 13,
    "ytick.labelsize": 13,
    "legend.fontsize": 12.5,
    "xtick.major.size": 7,
    "xtick.minor.size": 3.5,
    "ytick.major.size": 7,
    "ytick.minor.size": 3.5,
    "lines.linewidth": 1.6,
    "savefig.dpi": 150,
    "pdf.compression": 9,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in this style, and leave everyone else's alone."""
    with mpl.rc_context(mplhep.style.ROOT | _RC):
        yield


def axis_name(name: str, unit: str) -> str:
    """Label an axis with a feature; underscores and dollars of a name are shown as they are.

    Examples
    --------
    >>> axis_name("pt1", "GeV"), axis_name("eta", "")
    ('pt1 [GeV]', 'eta')
    """
    plain = name.replace("$", r"\$")
    return f"{plain} [{unit}]" if unit else plain


def p_words(p: float) -> str:
    r"""Show a p-value as mathematics.

    Examples
    --------
    >>> p_words(0.0312), p_words(3.2e-7), p_words(1e-320)
    ('0.031', '3.2 \\times 10^{-7}', '10^{-300}')
    """
    if p < 1e-300:
        return "10^{-300}"
    if p >= 1e-3:
        return f"{p:.2g}"
    mantissa, exponent = f"{p:.1e}".split("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}"

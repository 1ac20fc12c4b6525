"""The plots of an analysis, in the style of mplhep; needs the extra `plots`."""

from nplmon.offline.figures.drawing import draw

__all__ = ["draw"]

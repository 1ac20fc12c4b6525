"""Judgement: what a run is judged by and what of it is tolerated, as a snapshot tells it."""

from __future__ import annotations

from typing import Literal

from nplmon.broker.findings import Finding

NULL_LEVELS = (0.00135, 0.025, 0.16, 0.5, 0.84, 0.975, 0.99865)
"""P(T <= q) of `Statistic.null_quantiles`: the median with 68, 95 and 99.7 % around it."""


class TemplateFraction(Finding, frozen=True, kw_only=True):
    """How much of a template the data ask for."""

    name: str
    fraction: float


class ToleranceState(Finding, frozen=True, kw_only=True):
    """What was tolerated after the last chunk."""

    templates: tuple[TemplateFraction, ...] = ()
    """The mixture that explains the data best; what is left to 1 is the reference's."""
    effect_size: float | None = None
    """The floor, None where there is none."""
    withheld: bool = False
    """Whether a warning or an alarm would be raised, were it not for the floor."""
    reason: str = ""
    """Why it is withheld, with the numbers, in words."""


class CalibrationUsed(Finding, frozen=True, kw_only=True):
    """What p and thresholds of t_score are from at the present chunk."""

    source: Literal["closed form", "toys"]
    run_length: float
    """Expected chunks between false alarms by the shape; twice those of the policy beside a test of the rate."""
    warning_run_length: float
    key: str
    """Names all that it depends on."""
    toys: int = 0
    chunks: int = 0
    """Until where the toys go."""
    p_resolution: float | None = None
    """The smallest p that toys, or draws of several widths, can tell."""
    disagreement: str = ""
    """Where toys and closed form differ by more than the number of toys explains, and by how much."""
    note: str = ""
    """Why toys are not used."""

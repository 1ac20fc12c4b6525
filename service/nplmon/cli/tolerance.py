"""What is tolerated of a run, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nplmon.client import ToleranceState


def tolerance_words(tolerance: ToleranceState) -> str:
    """Say what mixture explains the data best, and what is withheld.

    Examples
    --------
    >>> from nplmon.client import TemplateFraction, ToleranceState
    >>> mixture = (TemplateFraction(name="up", fraction=0.42), TemplateFraction(name="down", fraction=0.0))
    >>> tolerance_words(ToleranceState(templates=mixture, effect_size=0.01))
    'mixture: 0.42 up, 0 down; effect size up to 0.01'
    >>> tolerance_words(ToleranceState(effect_size=0.1, withheld=True, reason="alarm withheld: 0.05 is small"))
    'alarm withheld: 0.05 is small'
    """
    said = []
    if tolerance.templates:
        said.append("mixture: " + ", ".join(f"{one.fraction:.2g} {one.name}" for one in tolerance.templates))
    if tolerance.withheld:
        said.append(tolerance.reason)
    elif tolerance.effect_size is not None:
        said.append(f"effect size up to {tolerance.effect_size:g}")
    return "; ".join(said)

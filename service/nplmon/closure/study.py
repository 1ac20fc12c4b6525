"""What a part of a closure finds: checks with their intervals, and what is to be drawn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Check:
    """One number beside the interval in which it should lie.

    Attributes
    ----------
    what:
        What was measured, in words.
    value:
        The number.
    low, high:
        The interval.
    expected:
        What the interval is: the probability with which a right method stays inside.
    promised:
        False where the method is known not to hold, and the failure is shown.

    Examples
    --------
    >>> Check(what="false alarms", value=12, low=3, high=19, expected=0.99).passed
    True
    """

    what: str
    value: float
    low: float
    high: float
    expected: float
    promised: bool = True

    @property
    def passed(self) -> bool:
        """Whether the number lies in the interval."""
        return self.low <= self.value <= self.high


@dataclass(frozen=True, kw_only=True)
class Study:
    """A part of a closure.

    Attributes
    ----------
    name:
        Of its files and of its member in the JSON report.
    title, text:
        Heading and introduction in the readable report.
    checks:
        What was measured.
    data:
        All numbers, for the JSON report.
    figures:
        What draws each plot, by name.
    """

    name: str
    title: str
    text: str
    checks: list[Check]
    data: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Callable[[], Figure]] = field(default_factory=dict)

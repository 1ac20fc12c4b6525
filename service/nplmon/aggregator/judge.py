"""What a run is judged by: p and thresholds from toys where they hold, from the closed form elsewhere, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from nplmon.broker.judgement import CalibrationUsed

if TYPE_CHECKING:
    from nplmon.nplm.aggregation import Kind
    from nplmon.nplm.calibration import CalibratedP, Calibration

TOLERANCE: Final = 0.25
"""How far the mean size of the chunks may be from the toys', relative."""


class Limits(NamedTuple):
    """log p, the smallest over the widths, at or below which an alarm and a warning are due."""

    alarm: float
    warning: float


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """How one statistic is judged after one chunk.

    Attributes
    ----------
    calibration:
        Gives p and thresholds.
    kind, chunks:
        Of the calibration: what the statistic is judged as, and n.
    source:
        What they are from, in words.
    note:
        Why the toys are not used, if there are any; else "".
    """

    calibration: Calibration
    kind: Kind
    chunks: int
    source: str
    note: str

    @property
    def limits(self) -> Limits:
        """The thresholds."""
        found = self.calibration
        return Limits(found.alarm(self.kind, self.chunks), found.warning(self.kind, self.chunks))

    def p(self, log_p_min: float) -> CalibratedP:
        """Give the p-value of a smallest log p over the widths."""
        return self.calibration.p(self.kind, self.chunks, min(log_p_min, 0.0))


@dataclass(frozen=True, kw_only=True)
class Judge:
    """The calibrations of one run; a run keeps those that it began with.

    Attributes
    ----------
    closed:
        In closed form.
    toys:
        By toys; None without.
    events:
        Expected count of the toys' chunks; 0 without.
    reason:
        Why there are no toys although some were asked for; else "".
    """

    closed: Calibration
    toys: Calibration | None = None
    events: float = 0.0
    reason: str = ""

    @property
    def key(self) -> str:
        """The key of the toys, which a run's state keeps; "" without."""
        return "" if self.toys is None else self.toys.key

    def rule(self, kind: Kind, chunks: int, size: float) -> Ruling:
        """Say how a statistic is judged.

        Parameters
        ----------
        kind:
            The statistic.
        chunks:
            n, the chunks in it.
        size:
            The mean expected count of a chunk.
        """
        toys = self.toys
        note = ""
        if toys is not None and kind in toys.kinds:
            note = self._out_of_range(toys, chunks, size)
            if not note:
                return Ruling(
                    calibration=toys, kind=kind, chunks=chunks, source=f"{toys.toys:,} toys", note=""
                )
        elif self.reason and kind == "t_score":
            note = f"uncalibrated: {self.reason}; closed form"
        # t_profiled is below t_score, and its own null stands for it: the thresholds of t_score are on the safe side.
        judged: Kind = "t_score" if kind == "t_profiled" else kind
        return Ruling(calibration=self.closed, kind=judged, chunks=chunks, source="closed form", note=note)

    def _out_of_range(self, toys: Calibration, chunks: int, size: float) -> str:
        if abs(size - self.events) > TOLERANCE * self.events:
            return (
                f"closed form: chunks have {size:.4g} expected events on average, the toys' {self.events:.4g}"
            )
        if chunks > toys.length:
            return f"closed form: the toys end at chunk {toys.length}"
        return ""

    def used(self, chunks: int, size: float) -> CalibrationUsed:
        """Say what t_score is judged by after so many chunks of this mean size."""
        ruling = self.rule("t_score", chunks, size)
        calibration = ruling.calibration
        by_toys = calibration is self.toys
        return CalibrationUsed(
            source="toys" if by_toys else "closed form",
            run_length=self.closed.run_length or 0.0,
            warning_run_length=self.closed.warning_run_length or 0.0,
            key=calibration.key,
            toys=calibration.toys if by_toys else 0,
            chunks=calibration.length if by_toys else 0,
            p_resolution=1 / (calibration.draws + 1) if calibration.draws else None,
            disagreement="" if self.toys is None else "; ".join(self.toys.warnings),
            note=ruling.note,
        )

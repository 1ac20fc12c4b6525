"""What the demonstration found, as numbers and in words."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nplmon.client import HistoryEntry, Status
    from nplmon.demo.stream import Stream


@dataclass(frozen=True, kw_only=True)
class Report:
    """The end of a demonstration.

    Attributes
    ----------
    stream:
        What was played.
    status:
        The run at the end.
    history:
        All its chunks.
    seconds:
        From the first push to the last chunk visible.
    """

    stream: Stream
    status: Status
    history: Sequence[HistoryEntry]
    seconds: float

    @property
    def alarm_chunk(self) -> int | None:
        """The chunk that raised the alarm, counted from 1 over the whole stream."""
        return next((entry.sequence for entry in self.history if entry.alarm == "alarm"), None)

    @property
    def passed(self) -> bool:
        """Whether the anomaly raised the alarm and the ordinary part did not; nothing else is a success."""
        alarm = self.alarm_chunk
        if self.stream.total == self.stream.ordinary:
            return alarm is None
        return alarm is not None and alarm > self.stream.ordinary

    def latency(self, percent: int) -> float:
        """Give a percentile of the time from accepted to visible, in s."""
        ages = [entry.applied_at - entry.accepted_at for entry in self.history]
        return statistics.quantiles(ages, n=100, method="inclusive")[percent - 1]

    def as_json(self) -> dict[str, Any]:
        """Give the numbers."""
        snapshot = self.status.snapshot
        found = {} if snapshot is None else snapshot.statistics
        return {
            "passed": self.passed,
            "chunks_accepted": self.status.run.accepted,
            "chunks_applied": self.status.run.applied,
            "events": 0 if snapshot is None else snapshot.events,
            "statistics": {
                kind: {
                    "value": one.value,
                    "p": one.p,
                    "Z": one.z,
                    "state": one.state,
                    "threshold": one.threshold,
                }
                for kind, one in found.items()
            },
            "alarm_chunk": self.alarm_chunk,
            "ordinary_chunks": self.stream.ordinary,
            "exposure_ratio": None if snapshot is None else snapshot.exposure_ratio,
            "chunks_per_second": len(self.history) / self.seconds,
            "latency_p50_s": self.latency(50),
            "latency_p99_s": self.latency(99),
        }

    def in_words(self) -> str:
        """Give a summary in sentences."""
        run, stream, alarm = self.status.run, self.stream, self.alarm_chunk
        ordinary = [e.statistics["t_score"].z for e in self.history[: stream.ordinary] if e.statistics]
        quiet = max((z for z in ordinary if z is not None), default=float("nan"))
        lines = [
            f"{run.applied} of {run.accepted} accepted chunks are in the statistic, each once ({stream.description}).",
        ]
        if alarm is not None and alarm <= stream.ordinary:
            lines.append(f"FALSE ALARM at ordinary chunk {alarm}: {self._rule()}.")
        else:
            lines.append(
                f"The {stream.ordinary} ordinary chunks raised no alarm (largest Z of t_score: {quiet:.1f})."
            )
        if stream.total > stream.ordinary:
            if alarm is None:
                lines.append(
                    f"NO ALARM: {stream.anomaly} was not found in {stream.total - stream.ordinary} chunks."
                )
            elif alarm > stream.ordinary:
                lines.append(
                    f"ALARM at chunk {alarm}, {_ordinal(alarm - stream.ordinary)} after the anomaly began "
                    f"({stream.anomaly}): {self._rule()}."
                )
        lines.append(
            f"{len(self.history) / self.seconds:.1f} chunks per second; from accepted to visible "
            f"{self.latency(50):.2f} s (median), {self.latency(99):.2f} s (99 %)."
        )
        return "\n".join(lines)

    def _rule(self) -> str:
        return "" if self.status.snapshot is None else self.status.snapshot.alarm.rule


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"the {number}{ending}"

"""One row of the table: a ratio, what it is a ratio of, and its goal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from benchmarks.clock import Figure


@dataclass(frozen=True, kw_only=True)
class Goal:
    """What a row shall reach.

    Attributes
    ----------
    low, high:
        Both ends count as reached; None where there is no end.
    of:
        What is held against them, by its median.
    """

    low: float | None = None
    high: float | None = None
    of: Literal["ratio", "milliseconds"] = "ratio"

    def __str__(self) -> str:
        """Say it as in the table."""
        unit = " ms" if self.of == "milliseconds" else ""
        if self.low is None:
            return f"<= {self.high:g}{unit}"
        return f">= {self.low:g}{unit}" if self.high is None else f"{self.low:g} to {self.high:g}{unit}"

    def met(self, value: float) -> bool:
        """Tell whether a value reaches the goal."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured.

    Attributes
    ----------
    work, compared:
        What is judged, and what it is compared with.
    unit:
        What the ratio counts: "passes", "x faster", "x the time", ...
    ratio:
        None where the row was skipped or failed.
    goal:
        None for what is shown only.
    milliseconds, compared_milliseconds:
        Wall time of one unit of either.
    peak_megabytes:
        Peak memory of the work, above that of a process that has imported its libraries.
    device, threads:
        Where it ran.
    note:
        What a reader must know besides.
    skipped, failed:
        Why there is no number.
    judged:
        False for tiny sizes, where all is overhead: the goals are for the sizes of the problems.
    """

    work: str
    compared: str
    unit: str = ""
    ratio: Figure | None = None
    goal: Goal | None = None
    milliseconds: Figure | None = None
    compared_milliseconds: Figure | None = None
    peak_megabytes: float | None = None
    device: str = "cpu"
    threads: int = 1
    note: str = ""
    skipped: str = ""
    failed: str = ""
    judged: bool = True

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal, a number or a judgement."""
        if self.goal is None or not self.judged:
            return None
        figure = self.ratio if self.goal.of == "ratio" else self.milliseconds
        return None if figure is None else self.goal.met(figure.median)

    def to_json(self) -> dict[str, Any]:
        """Give it as plain values, the verdict included."""
        return asdict(self) | {"met": self.met}

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> Row:
        """Read what `to_json` gave."""
        fields = {name: value for name, value in body.items() if name != "met"}
        for name in ("ratio", "milliseconds", "compared_milliseconds"):
            fields[name] = None if fields[name] is None else Figure(**fields[name])
        fields["goal"] = None if fields["goal"] is None else Goal(**fields["goal"])
        return cls(**fields)

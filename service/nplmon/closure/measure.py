"""Closure: measure what the statistics promise, on EXPO-1D and on muons, and write a report."""

from __future__ import annotations

import importlib.metadata
import json
import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from nplmon.closure.delay import DelayPlan, delays
from nplmon.closure.evidence import evidence
from nplmon.closure.lengths import run_lengths
from nplmon.closure.power import PowerPlan, power
from nplmon.closure.samples import EXPO, dimuon
from nplmon.closure.uniform import EXPOSURES, NUMBERS, Case, uniform
from nplmon.closure.workers import Workers
from nplmon.offline.errors import AnalysisError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nplmon.closure.study import Check, Study

SCHEMA: Final = "nplmon-closure-1"
STUDIES: Final = ("uniform", "run-length", "e-process", "power", "delay")
QUICK: Final[dict[str, Any]] = {"runs": 40, "streams": 40, "chunks": 8, "exposures": (0.5,), "toys": 60}
SUFFIXES: Final = (".png", ".pdf")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a closure; they stand in its report.

    Attributes
    ----------
    studies:
        What is measured.
    runs, streams, chunks:
        Runs of each case of p-values, streams of run length and e-processes, chunks of a run.
    exposures:
        Of the last chunk.
    toys:
        Runs of each signal and of none in the table of powers, a multiple of 6.
    dimuon:
        The file of the dimuon sample; empty: EXPO-1D alone.
    seed, jobs:
        The seed, and processes beside each other.

    Raises
    ------
    AnalysisError
        If one is out of range.
    """

    studies: tuple[str, ...] = STUDIES
    runs: int = 1_000
    streams: int = 400
    chunks: int = NUMBERS[-1]
    exposures: tuple[float, ...] = EXPOSURES
    toys: int = 300
    dimuon: str = ""
    seed: int = 1
    jobs: int = 1

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.studies) - set(STUDIES)):
            raise AnalysisError(f"no study {unknown[0]!r}: choose some of {', '.join(STUDIES)}")
        if min(self.runs, self.streams, self.chunks, self.jobs) < 1 or self.runs < 20 or self.streams < 20:
            raise AnalysisError(
                f"{self.runs} runs of {self.chunks} chunks, {self.streams} streams, {self.jobs} jobs: give at least 20 "
                "runs and streams, and one of the others"
            )
        if not self.exposures or not all(0 < one < math.inf for one in self.exposures):
            raise AnalysisError(f"exposures {self.exposures}: give positive numbers")
        PowerPlan(toys=self.toys)

    def quickly(self) -> Settings:
        """Give settings for a few minutes' look at whether all works; its intervals are wide."""
        return replace(self, **QUICK)

    def cases(self) -> list[Case]:
        """Give the cases of p-values."""
        return [
            Case(
                source=source,
                calibrated=calibrated,
                exposure=exposure,
                runs=self.runs,
                chunks=self.chunks,
                seed=self.seed,
            )
            for source in ([EXPO, dimuon(self.dimuon)] if self.dimuon else [EXPO])
            for calibrated in ("disjoint", "fixed-reference")
            for exposure in self.exposures
        ]


def closure(settings: Settings, out: Path, tell: Callable[[str, int, int], None]) -> dict[str, Any]:
    """Measure, and write closure.json, closure.md and the plots.

    Parameters
    ----------
    settings:
        What to measure.
    out:
        A directory; it is made where it is missing.
    tell:
        Called with what is being done and the numbers of parts done and to do.

    Returns
    -------
    dict[str, Any]
        What closure.json has.

    Raises
    ------
    AnalysisError
        If the sample has too few events.
    """
    workers = Workers(settings.jobs)
    found: list[Study] = []
    if "uniform" in settings.studies:
        found.append(uniform(settings.cases(), workers, tell))
    if "run-length" in settings.studies:
        found.append(run_lengths(settings.streams, settings.seed, workers, tell))
    if "e-process" in settings.studies:
        found.append(evidence(settings.streams, settings.seed, workers, tell))
    if "power" in settings.studies:
        found.append(power(PowerPlan(toys=settings.toys, seed=settings.seed), workers, tell))
    if "delay" in settings.studies:
        found.append(delays(DelayPlan(streams=settings.streams, seed=settings.seed), workers, tell))
    out.mkdir(parents=True, exist_ok=True)
    for study in found:
        _draw(study, out)
    result = {
        "schema": SCHEMA,
        "settings": asdict(settings),
        "versions": {
            name: importlib.metadata.version(name) for name in ("nplmon", "numpy", "scipy", "torch")
        },
        "summary": summary(found),
        "studies": {
            study.name: {"checks": [_check(one) for one in study.checks], **study.data} for study in found
        },
    }
    text = json.dumps(result, indent=2, allow_nan=False)
    (out / "closure.json").write_text(text + "\n", encoding="utf-8")
    (out / "closure.md").write_text(page(found, settings), encoding="utf-8")
    return result


def summary(found: list[Study]) -> dict[str, Any]:
    """Count the promised checks that lie outside, and how many would by chance."""
    promised = [check for study in found for check in study.checks if check.promised]
    return {
        "checks": len(promised),
        "outside": sum(not check.passed for check in promised),
        "outside_by_chance": round(sum(1 - check.expected for check in promised), 2),
    }


def page(found: list[Study], settings: Settings) -> str:
    """Give the readable report, in Markdown."""
    counts = summary(found)
    first = (
        f"{counts['outside']} of {counts['checks']} promised checks lie outside their interval; "
        f"{counts['outside_by_chance']:g} are expected to by chance. Seed {settings.seed}."
    )
    lines = ["# Closure", "", first]
    for study in found:
        lines += ["", f"## {study.title}", "", study.text, ""]
        lines += [f"![{name}]({name}.png)" for name in study.figures]
        for promised, title in ((True, "Promised"), (False, "Not promised, shown")):
            rows = [check for check in study.checks if check.promised == promised]
            if rows:
                lines += ["", f"{title}:", "", "| what | found | interval | inside |", "|---|---|---|---|"]
                lines += [_line(one) for one in rows]
    return "\n".join(lines) + "\n"


def _line(one: Check) -> str:
    inside = "yes" if one.passed else "no"
    return f"| {one.what} | {one.value:.4g} | {one.low:.4g} to {one.high:.4g} | {inside} |"


def _check(one: Check) -> dict[str, Any]:
    return asdict(one) | {"high": one.high if math.isfinite(one.high) else None, "passed": one.passed}


def _draw(study: Study, out: Path) -> None:
    from nplmon.offline.figures.style import style  # noqa: PLC0415 (needs matplotlib)

    with style():
        for name, make in study.figures.items():
            figure = make()
            for suffix in SUFFIXES:
                # No date: the same closure gives the same files.
                metadata = {"CreationDate": None} if suffix == ".pdf" else None
                figure.savefig(out / f"{name}{suffix}", metadata=metadata)

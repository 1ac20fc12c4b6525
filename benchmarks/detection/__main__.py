"""Detection against other tools: `python -m benchmarks.detection`.

All detectors get the same streams, and thresholds of the same measured run length.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import environment
from benchmarks.detection import report, skab
from benchmarks.detection.compare import QUICK, Sizes, compared
from benchmarks.detection.lineup import SKIPPABLE
from benchmarks.detection.problem import Streams
from benchmarks.detection.sources import SOURCES, AbsentError
from benchmarks.machine import machine
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.detection.problem import Problem
    from benchmarks.detection.sources import Scenario

    Keep = Callable[[dict[str, Any]], None]

HERE = Path(__file__).parent
RESULT = HERE.parent / "results" / "detection.json"
PROBLEMS = (*SOURCES, "skab")
CURVES = {"expo": (("13", "1"),), "dimuon": (("resonance", "0.01"), ("gain shift", "-0.01")), "cms": ()}
QUICK_SCENARIOS = 2


class Run:
    """One run of the command.

    Parameters
    ----------
    asked:
        Its options.
    notes:
        Takes lines on what happens.
    """

    def __init__(self, asked: argparse.Namespace, notes: Console) -> None:
        self.asked, self.notes = asked, notes
        self.sizes = QUICK if asked.quick else Sizes()
        self.result: dict[str, Any] = {
            "machine": machine(),
            "quick": asked.quick,
            "left out": [],
            "problems": [],
        }

    def measure(self, name: str) -> None:
        """Measure a problem, or say that its data are absent; the file is written after each scenario."""
        clock = time.process_time()
        place = len(self.result["problems"])

        def keep(found: dict[str, Any]) -> None:
            self.result["problems"][place:] = [found | {"seconds": round(time.process_time() - clock)}]
            self.write()

        try:
            (self._skab if name == "skab" else self._source)(name, keep)
        except AbsentError as error:
            self.result["left out"].append(str(error))
        self.write()

    def write(self) -> None:
        """Write the file."""
        self.asked.into.parent.mkdir(parents=True, exist_ok=True)
        self.asked.into.write_text(
            json.dumps(self.result, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )

    def _source(self, name: str, keep: Keep) -> None:
        made, sizes = SOURCES[name](quick=self.asked.quick), self.sizes
        problem = made.problem
        calibration = Streams.drawn(problem, sizes.streams, sizes.length, [1])
        verification = Streams.drawn(problem, sizes.streams, sizes.length, [2])
        before = Streams.drawn(problem, sizes.scenario_streams, max(sizes.quiet), [3])
        # The seed is the scenario's place among all of them: chosen ones are the same as in a full run.
        chosen = [
            (one.name, one.strength, _streams(problem, one, seed, sizes, before))
            for seed, one in enumerate(made.scenarios)
            if not self.asked.scenarios or one.name in self.asked.scenarios
        ]
        if self.asked.quick:
            chosen = chosen[:QUICK_SCENARIOS]
        self._compared(problem, (calibration, verification), chosen, sizes, keep, CURVES[name])

    def _skab(self, _: str, keep: Keep) -> None:
        problem = skab.problem(quick=self.asked.quick)
        quiet, groups = skab.streams(problem)
        sizes = replace(self.sizes, quiet=(skab.QUIET,), horizon=skab.DISTURBED, length=skab.QUIET)
        chosen = [(name, "", partial(_given, streams)) for name, streams in groups.items()]
        self._compared(problem, (quiet, None), chosen, sizes, keep, ())

    def _compared(
        self,
        problem: Problem,
        null: tuple[Streams, Streams | None],
        scenarios: list[tuple[str, str, Callable[[int], Streams]]],
        sizes: Sizes,
        keep: Keep,
        curves: tuple[tuple[str, str], ...],
    ) -> None:
        keep(
            compared(
                problem,
                null,
                scenarios,
                sizes,
                self.notes.print,
                keep,
                offline=self.asked.offline,
                skip=self.asked.skip,
                curves=curves,
            )
        )


def main() -> None:
    """Measure what is asked for; print the tables, and write JSON."""
    asked = _arguments()
    notes = Console(stderr=True)
    _install(asked, notes)
    run = Run(asked, notes)
    for name in asked.problems:
        run.measure(name)
    sys.stdout.write(report.markdown(run.result))
    notes.print(f"written to {asked.into}")


def _streams(
    problem: Problem, scenario: Scenario, seed: int, sizes: Sizes, before: Streams
) -> Callable[[int], Streams]:
    drawn: list[Any] = []

    def made(quiet: int) -> Streams:
        if not drawn:
            drawn.append(scenario.disturbed(problem, sizes.scenario_streams, sizes.horizon, seed))
        return before.followed(drawn[0], quiet)

    return made


def _given(streams: Streams, _: int) -> Streams:
    return streams


def _install(asked: argparse.Namespace, notes: Console) -> None:
    if asked.offline:
        return
    for name, made in (("alibi-detect", environment.python), ("river", environment.river)):
        notes.print(f"environment of {name} ...")
        try:
            made()
        except environment.UnavailableError as error:
            notes.print(f"{error}; its detectors are left out")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection", description=__doc__)
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS), help="all")
    parser.add_argument("--scenarios", nargs="+", default=[], help="names of those to measure; all")
    parser.add_argument(
        "--skip", nargs="+", choices=SKIPPABLE, default=[], help="detectors to leave out; none"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: to see that it works, not to measure"
    )
    parser.add_argument("--offline", action="store_true", help="install nothing")
    parser.add_argument("--into", type=Path, default=RESULT, help="the JSON file")
    return parser.parse_args()


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    main()

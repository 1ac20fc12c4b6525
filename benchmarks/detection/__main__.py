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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import environment
from benchmarks.detection import report, skab
from benchmarks.detection.compare import QUICK, Sizes, compared
from benchmarks.detection.problem import Streams
from benchmarks.detection.sources import SOURCES, AbsentError
from benchmarks.machine import machine
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.detection.problem import Problem
    from benchmarks.detection.sources import Scenario

HERE = Path(__file__).parent
RESULT = HERE.parent / "results" / "detection.json"
PROBLEMS = (*SOURCES, "skab")
CURVES = {"expo": (("13", "1"),), "dimuon": (("resonance", "0.01"), ("gain shift", "-0.01")), "cms": ()}
QUICK_SCENARIOS = 2


def main() -> None:
    """Measure what is asked for; print the tables, and write JSON."""
    asked = _arguments()
    notes = Console(stderr=True)
    _install(asked, notes)
    begin, start = machine(), time.monotonic()
    result: dict[str, Any] = {"machine": begin, "quick": asked.quick, "left out": [], "problems": []}
    asked.into.parent.mkdir(parents=True, exist_ok=True)
    for name in asked.problems:
        clock = time.process_time()
        try:
            measure = _skab if name == "skab" else _source
            found = measure(name, asked.quick, asked.offline, notes.print)
            result["problems"].append(found | {"seconds": round(time.process_time() - clock)})
        except AbsentError as error:
            result["left out"].append(str(error))
        result["seconds"] = round(time.monotonic() - start)
        # After each, so that an interrupted run keeps what it has.
        asked.into.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(report.markdown(result))
    notes.print(f"written to {asked.into}")


def _source(name: str, quick: bool, offline: bool, notes: Callable[[str], None]) -> dict[str, Any]:
    made = SOURCES[name](quick=quick)
    sizes = QUICK if quick else Sizes()
    problem = made.problem
    calibration = Streams.drawn(problem, sizes.streams, sizes.length, [1])
    verification = Streams.drawn(problem, sizes.streams, sizes.length, [2])
    before = Streams.drawn(problem, sizes.scenario_streams, max(sizes.quiet), [3])
    chosen = made.scenarios[:QUICK_SCENARIOS] if quick else made.scenarios
    return compared(
        problem,
        calibration,
        verification,
        [
            (one.name, one.strength, _streams(problem, one, seed, sizes, before))
            for seed, one in enumerate(chosen)
        ],
        sizes,
        notes,
        offline=offline,
        curves=CURVES[name],
    )


def _streams(
    problem: Problem, scenario: Scenario, seed: int, sizes: Sizes, before: Streams
) -> Callable[[int], Streams]:
    drawn: list[Any] = []

    def made(quiet: int) -> Streams:
        if not drawn:
            drawn.append(scenario.disturbed(problem, sizes.scenario_streams, sizes.horizon, seed))
        return before.followed(drawn[0], quiet)

    return made


def _skab(_: str, quick: bool, offline: bool, notes: Callable[[str], None]) -> dict[str, Any]:
    problem = skab.problem(quick=quick)
    quiet, groups = skab.streams(problem)
    sizes = replace(
        QUICK if quick else Sizes(), quiet=(skab.QUIET,), horizon=skab.DISTURBED, length=skab.QUIET
    )

    def given(streams: Streams) -> Callable[[int], Streams]:
        return lambda _: streams

    scenarios = [(name, "", given(streams)) for name, streams in groups.items()]
    return compared(problem, quiet, None, scenarios, sizes, notes, offline=offline)


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

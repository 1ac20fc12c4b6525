"""The process of one measurement: `python -m benchmarks.child NAME PROBLEM INTO [--quick]`."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from benchmarks import memory
from benchmarks.measurement import MEASUREMENTS, REPEATS, find
from benchmarks.problem import PROBLEMS

QUICK_REPEATS = 3


def main() -> None:
    """Measure, and write the rows as JSON."""
    parser = argparse.ArgumentParser(prog="benchmarks.child")
    parser.add_argument("name", choices=MEASUREMENTS)
    parser.add_argument("problem", choices=PROBLEMS)
    parser.add_argument("into", type=Path)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    import torch  # noqa: PLC0415  # what needs it counts from here on

    torch.set_num_threads(1)
    measure = find(asked.name)
    problem = PROBLEMS[asked.problem](quick=asked.quick)
    baseline = memory.resident()
    rows = measure(problem, QUICK_REPEATS if asked.quick else REPEATS[asked.name], baseline)
    bodies = [replace(row, judged=not asked.quick).to_json() for row in rows]
    asked.into.write_text(json.dumps(bodies), encoding="utf-8")


if __name__ == "__main__":
    main()

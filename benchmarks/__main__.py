"""The benchmarks: `python -m benchmarks`. Every row is a ratio of two times measured side by side in one run."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import environment
from benchmarks.machine import machine
from benchmarks.measurement import BY_DEFAULT, DRIFT, MEASUREMENTS, ONE_PROBLEM
from benchmarks.page import RESULT
from benchmarks.row import Row
from benchmarks.table import table
from rich.console import Console

HERE = Path(__file__).parent
PROBLEM_NAMES = ("expo", "dimuon")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main() -> None:
    """Measure what is asked for, print the table and write the JSON; exit with 1 if a measurement failed."""
    asked = _arguments()
    console, notes = Console(width=None if sys.stdout.isatty() else 200), Console(stderr=True)
    if not asked.offline and set(asked.only) & set(DRIFT):
        notes.print("environment of alibi-detect ...")
        try:
            environment.python()
        except environment.UnavailableError as error:
            notes.print(f"{error}; its rows are left out")
    begin, start = machine(), time.monotonic()
    rows: list[Row] = []
    asked.into.parent.mkdir(parents=True, exist_ok=True)
    for name in asked.only:
        for problem in [ONE_PROBLEM[name]] if name in ONE_PROBLEM else asked.problems:
            notes.print(f"{name}, {problem} ...")
            rows += measured(name, problem, quick=asked.quick)
            result = {
                "machine": begin,
                "load at the end": machine()["load"],
                "quick": asked.quick,
                "seconds": round(time.monotonic() - start),
                "rows": [row.to_json() for row in rows],
            }
            # After each, so that an interrupted run keeps what it has.
            asked.into.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    title = f"{begin['processor']}, {begin['cores']} cores, {begin['date']}; processor time of one thread"
    console.print(table(rows, title))
    missed = [row.work for row in rows if row.met is False]
    console.print(
        f"written to {asked.into}; {len(missed)} goals missed{': ' + '; '.join(missed) if missed else ''}"
    )
    sys.exit(any(row.failed for row in rows))


def measured(name: str, problem: str, *, quick: bool) -> list[Row]:
    """Run one measurement in a fresh process of one thread and read its rows."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        into = Path(folder) / "rows.json"
        command = [sys.executable, "-m", "benchmarks.child", name, problem, str(into), *["--quick"] * quick]
        ended = subprocess.run(
            command,
            check=False,  # told in the table, with its last words
            cwd=HERE.parent,
            env=os.environ | ONE_THREAD,
            capture_output=True,
            text=True,
        )
        if ended.returncode:
            words = ended.stderr.strip().splitlines() or [f"exit code {ended.returncode}"]
            return [Row(work=f"{name}, {problem}", compared="", failed=words[-1])]
        return [Row.from_json(row) for row in json.loads(into.read_text(encoding="utf-8"))]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        nargs="+",
        choices=MEASUREMENTS,
        default=BY_DEFAULT,
        help="measurements; all but large",
    )
    parser.add_argument(
        "--problems", nargs="+", choices=PROBLEM_NAMES, default=list(PROBLEM_NAMES), help="both"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: to see that it works, not to measure"
    )
    parser.add_argument("--offline", action="store_true", help="install nothing")
    parser.add_argument("--into", type=Path, default=RESULT, help="the JSON file")
    return parser.parse_args()


if __name__ == "__main__":
    main()

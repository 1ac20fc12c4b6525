"""The load figures: `python -m benchmarks.load`. Ratios of what was measured side by side in one run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.load import ingest, latency, scaling, stored
from benchmarks.machine import machine
from benchmarks.table import markdown, table
from rich.console import Console

MEASUREMENTS = {
    "ingest": ingest.rows,
    "stored": stored.rows,
    "latency": latency.rows,
    "scaling": scaling.rows,
}
RESULT = Path(__file__).parents[1] / "results" / "load.json"


def main() -> None:
    """Measure what is asked for, print the table, and write the JSON with the table of the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=list(MEASUREMENTS), default=list(MEASUREMENTS))
    parser.add_argument("--quick", action="store_true", help="to see that it works, not to measure")
    asked = parser.parse_args()
    begin = machine()
    rows = [row for name in asked.only for row in MEASUREMENTS[name](1 if asked.quick else 9)]
    result = {
        "machine": begin,
        "load at the end": machine()["load"],
        "quick": asked.quick,
        "rows": [row.to_json() for row in rows],
        "table": markdown(rows),
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    Console().print(table(rows, f"{begin['processor']}, {begin['cores']} cores, {begin['date']}"))


if __name__ == "__main__":
    main()

"""The page of the documentation: `python -m benchmarks.detection.page FILE ...` writes the tables of runs into it."""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any

from benchmarks.detection.plot import draw
from benchmarks.detection.report import markdown

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "detection.md"
MEASURED = ROOT / "docs" / "detection.json"
PLOT = ROOT / "docs" / "images" / "detection-delay.png"
BEGIN, END = "<!-- measured -->\n", "<!-- end -->\n"


def joined(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Put runs together, each of which measured some problems, scenarios or detectors.

    The first names the machine, and says for each problem what is left out; of a detector that several measured the
    last counts.
    """
    left_out = dict.fromkeys(line for result in results for line in result["left out"])
    whole = dict(results[0]) | {"problems": [], "left out": list(left_out)}
    for problem in (one for result in results for one in result["problems"]):
        known = next((one for one in whole["problems"] if one["name"] == problem["name"]), None)
        if known is None:
            whole["problems"].append(copy.deepcopy(problem))
            continue
        known["seconds"] += problem["seconds"]
        detectors = {one["name"]: one for one in [*known["detectors"], *problem["detectors"]]}
        known["detectors"] = list(detectors.values())
        for kind in ("scenarios", "curves"):
            found = {_key(one): one for one in known[kind]}
            for one in problem[kind]:
                found.setdefault(_key(one), one | {"delays": {}})["delays"] |= one["delays"]
            known[kind] = list(found.values())
    return whole


def _key(scenario: dict[str, Any]) -> tuple[str, str, int]:
    return scenario["name"], scenario["strength"], scenario["quiet"]


def main() -> None:
    """Keep the result beside the page, put its tables into the page, and draw the plot."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection.page", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="results, in the order of the page")
    result = joined([json.loads(file.read_text(encoding="utf-8")) for file in parser.parse_args().files])
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}{markdown(result)}{END}{after}", encoding="utf-8")
    MEASURED.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    draw(result, PLOT)


if __name__ == "__main__":
    main()

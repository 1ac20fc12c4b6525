"""The measurement of the dashboard runs and tells all rows; no time is asserted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SMALL = ["--monitors", "2", "--chunks", "50", "--readers", "1", "--changes", "5", "--seconds", "1"]


def test_a_small_run_tells_all_rows() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.dashboard", *SMALL],
        check=False,  # told below, with what it said
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    rows = [line.split(" | ") for line in ended.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 15
    assert all(len(row) == 2 and row[1].strip(" |") for row in rows)
    for path in ("/v1/overview", "/v1/system", "course", "history"):
        assert any(f"{path}`" in row[0] for row in rows), path

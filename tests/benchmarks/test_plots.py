"""The measurement of the plots runs and tells all rows; no time is asserted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ["--chunks", "50", "--repeats", "2", "--seconds", "1"]


def test_a_small_run_tells_all_rows() -> None:
    if shutil.which("chromium") is None and not os.environ.get("CI"):
        pytest.skip("chromium is not installed")
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.plots", *SMALL],
        check=False,  # told below, with what it said
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    rows = [line.split(" | ") for line in ended.stdout.splitlines() if line.startswith("| ")]
    assert len(rows) == 8
    assert sum("a figure of 51 chunks" in row[0] for row in rows) == 3

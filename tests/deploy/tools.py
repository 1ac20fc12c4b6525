"""The tools that judge the deployment files, and where those files are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
Model = dict[str, Any]


def tool(name: str) -> str:
    """Path of a command that was installed with the tests."""
    return str(Path(sys.executable).parent / name)


def system_tool(*names: str) -> str:
    """Path of a program that no Python package brings, under any of its names.

    Without it a test is skipped, but not in CI, where `.ci/run` brings it.
    """
    for name in names:
        if found := shutil.which(name):
            return found
    reason = f"{' or '.join(names)} is not on PATH"
    if "CI" in os.environ:
        pytest.fail(reason)
    pytest.skip(reason)


def execute(*command: str | Path, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its exit status."""
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=seconds, check=False
    )


def compose(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the compose library on a file, without the caller's settings.

    Its exit status is 0 also for a file that it refuses; only standard error tells.
    """
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("NPLMON_", "STORE_", "TORCH_"))
    }
    return subprocess.run(
        [tool("docker-compose"), "--project-directory", str(ROOT), "-f", str(file), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )

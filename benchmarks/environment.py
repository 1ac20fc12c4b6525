"""Environments of packages that are compared with ours and never needed by it, each in a place of its own.

alibi-detect needs an older numpy than ours; river is kept apart for the same versions everywhere.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "alibi-requirements.txt"
PLACE = HERE / ".venv-alibi"
RIVER_REQUIREMENTS = HERE / "river-requirements.txt"
RIVER_PLACE = HERE / ".venv-river"
PATIENCE = 900.0  # s, for the installation


class UnavailableError(Exception):
    """The environment is not there and cannot be made; the message says why."""


def river(*, offline: bool = False, place: Path = RIVER_PLACE) -> Path:
    """Give the interpreter of river's environment; see `python`."""
    return python(offline=offline, place=place, requirements=RIVER_REQUIREMENTS)


def python(*, offline: bool = False, place: Path = PLACE, requirements: Path = REQUIREMENTS) -> Path:
    """Give the environment's interpreter; make the environment first if it is absent or of other versions.

    Parameters
    ----------
    offline:
        Install nothing.
    place:
        Where it is.
    requirements:
        The file that pins all packages of it.

    Raises
    ------
    UnavailableError
        If it cannot be made, or must not be because `offline` is set.
    """
    interpreter, stamp = place / "bin" / "python", place / "requirements.txt"
    pinned = requirements.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == pinned:
        return interpreter
    if offline:
        raise UnavailableError(f"{place.name} is not installed, and --offline forbids to install it")
    try:
        _run([sys.executable, "-m", "venv", "--clear", str(place)])
        # The file pins all of them: nothing is left to resolve.
        install = [str(interpreter), "-m", "pip", "install", "--quiet", "--no-deps", "--requirement"]
        _run([*install, str(requirements)])
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", "") or str(error)
        package = requirements.name.removesuffix("-requirements.txt")
        raise UnavailableError(f"{package} cannot be installed: {said.strip().splitlines()[-1]}") from error
    stamp.write_text(pinned, encoding="utf-8")
    return interpreter


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)

"""The environment of alibi-detect, which needs an older numpy than ours and therefore a place of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "alibi-requirements.txt"
PLACE = HERE / ".venv-alibi"
PATIENCE = 900.0  # s, for the installation


class UnavailableError(Exception):
    """The environment is not there and cannot be made; the message says why."""


def python(*, offline: bool = False, place: Path = PLACE) -> Path:
    """Give the environment's interpreter; make the environment first if it is absent or of other versions.

    Raises
    ------
    UnavailableError
        If it cannot be made, or must not be because `offline` is set.
    """
    interpreter, stamp = place / "bin" / "python", place / "requirements.txt"
    pinned = REQUIREMENTS.read_text(encoding="utf-8")
    if stamp.exists() and stamp.read_text(encoding="utf-8") == pinned:
        return interpreter
    if offline:
        raise UnavailableError(f"{place.name} is not installed, and --offline forbids to install it")
    try:
        _run([sys.executable, "-m", "venv", "--clear", str(place)])
        # The file pins all of them: nothing is left to resolve.
        install = [str(interpreter), "-m", "pip", "install", "--quiet", "--no-deps", "--requirement"]
        _run([*install, str(REQUIREMENTS)])
    except (subprocess.SubprocessError, OSError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise UnavailableError(
            f"alibi-detect cannot be installed: {said.strip().splitlines()[-1]}"
        ) from error
    stamp.write_text(pinned, encoding="utf-8")
    return interpreter


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)

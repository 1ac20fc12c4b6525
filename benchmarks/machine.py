"""What the figures were measured on: without it no time means anything."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("nplmon", "numpy", "scipy", "torch", "falkon")
_CPU = Path("/proc/cpuinfo")


def machine() -> dict[str, Any]:
    """Give the processor, the cores, the load, the date and the versions."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
        "load": round(os.getloadavg()[0], 2),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _processor() -> str:
    if not _CPU.exists():
        return platform.processor()
    found = re.search(r"^model name\s*: (.+)$", _CPU.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

"""Peak memory of this process above what it held when it had imported its libraries, in MB.

Linux keeps the peak of a process's resident memory and lets it be reset; elsewhere the peak since the start is taken.
"""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_RESET_PEAK = "5"  # proc(5), /proc/pid/clear_refs


def resident() -> float:
    """Resident memory now."""
    return _status("VmRSS") if _STATUS.exists() else peak()


def reset_peak() -> None:
    """Let the peak start from now."""
    if _STATUS.exists():
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK, encoding="ascii")


def peak() -> float:
    """Give the largest resident memory since the last reset."""
    if _STATUS.exists():
        return _status("VmHWM")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)


def limit(megabytes: float) -> None:
    """Let allocations beyond this fail, so that a trial of the limits does not starve the machine."""
    size = int(1e6 * megabytes)
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def _status(name: str) -> float:
    found = re.search(rf"^{name}:\s*(\d+) kB$", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise OSError(f"{_STATUS} has no {name}")
    return int(found[1]) * 1024 / 1e6

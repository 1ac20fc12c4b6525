"""What every process tells Prometheus about itself, whatever its role."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from prometheus_client import Gauge, PlatformCollector, ProcessCollector

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

Role = Literal["api", "trainer", "aggregator"]


def export_process(registry: CollectorRegistry, role: Role) -> None:
    """Export which version runs in which role, and the memory, CPU time and files of this process.

    Parameters
    ----------
    registry:
        That of the process; each is told once.
    role:
        What the process is, the label `role` of `nplmon_build_info`.
    """
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    build = Gauge("nplmon_build_info", "The version that runs.", ["role", "version"], registry=registry)
    build.labels(role, version("nplmon")).set(1)

"""Where a running service is reached; also kept in two files of `DATA_DIR` while it runs."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

RECORD = "up.json"
TARGETS = "prometheus-targets.json"
"""The metrics addresses as Prometheus reads them from a file (`file_sd_configs`)."""


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Addresses of one running service.

    Parameters
    ----------
    pid:
        Process id of the supervisor.
    api, docs:
        HTTP addresses of the API and of its interactive documentation.
    metrics:
        Prometheus addresses by process: "api", "trainer-1", ..., "aggregator".
    store:
        Address of the store, credentials masked.
    logs:
        Folder of the log files.
    access:
        "open" or "tokens": whether requests need one.
    """

    pid: int
    api: str
    docs: str
    metrics: dict[str, str]
    store: str
    logs: str
    access: str = "open"

    def targets(self) -> list[dict[str, Any]]:
        """Give the processes as targets of Prometheus.

        Their job is `nplmon-ROLE`, as the alert rules want it. Their instance is named after the child, so that one
        that comes back on another port is seen as started anew, not as another one.
        """
        service = f"{platform.node()}:{urlsplit(self.api).port}"
        return [
            {
                "targets": [urlsplit(address).netloc],
                "labels": {"job": f"nplmon-{name.partition('-')[0]}", "instance": f"{service}/{name}"},
            }
            for name, address in self.metrics.items()
        ]

    def write(self, folder: Path) -> None:
        """Replace both files, each in one step, so that a reader never sees half of it."""
        for name, content in ((TARGETS, self.targets()), (RECORD, asdict(self))):
            fresh = folder / f"{name}.new"
            fresh.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
            fresh.replace(folder / name)


def forget(folder: Path) -> None:
    """Remove both files."""
    for name in (RECORD, TARGETS):
        (folder / name).unlink(missing_ok=True)
